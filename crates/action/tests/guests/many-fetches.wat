;; Asks for ten thousand pages at once; refuses with what the host says.
(data (i32.const 1024) "https://b.example/page")
(func $decide (result i32)
  (local $at i32)
  (drop (memory.grow (i32.const 10)))
  (local.set $at (i32.const 65536))
  (loop $more
    (i32.store (local.get $at) (i32.const 1024))
    (i32.store offset=4 (local.get $at) (i32.const 22))
    (local.set $at (i32.add (local.get $at) (i32.const 36)))
    (br_if $more (i32.lt_u (local.get $at) (i32.const 425536))))
  (call $fetches (i32.const 65536) (i32.const 10000) (i32.const 128))
  (call $refuse (i32.load (i32.const 136)) (i32.load (i32.const 140))))
