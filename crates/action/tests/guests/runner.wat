;; A script runner whose programs are their sources, one letter long but for what is hashed or said: h signs the
;; program's hash, r refuses and f fails with the program as the text, g fails in a million zero bytes, p fetches a page
;; and signs it, any other traps. What begins with a capital is about its compilation: L does not end, T traps, G fails in
;; a million zero bytes, P fetches a page, B makes a million and more of it. An empty script is none.
(data (i32.const 1024) "https://b.example/page")
(data (i32.const 1100) "line 1: there is nothing")
(func $compile (param $at i32) (param $len i32) (result i32)
  (local $letter i32)
  (if (i32.eqz (local.get $len))
    (then (return (call $compiled (i32.const 1) (i32.const 1100) (i32.const 24)))))
  (local.set $letter (i32.load8_u (local.get $at)))
  (loop $again (br_if $again (i32.eq (local.get $letter) (i32.const 76))))
  (if (i32.eq (local.get $letter) (i32.const 84)) (then (unreachable)))
  (if (i32.eq (local.get $letter) (i32.const 71))
    (then
      (drop (memory.grow (i32.const 300)))
      (return (call $compiled (i32.const 1) (i32.const 1048576) (i32.const 1000000)))))
  (if (i32.eq (local.get $letter) (i32.const 66))
    (then
      (drop (memory.grow (i32.const 300)))
      (return (call $compiled (i32.const 0) (i32.const 1048576) (i32.const 1048577)))))
  (if (i32.eq (local.get $letter) (i32.const 80)) (then (drop (call $page))))
  (call $compiled (i32.const 0) (local.get $at) (local.get $len)))
(func $compiled (param $end i32) (param $at i32) (param $len i32) (result i32)
  (i32.store8 (i32.const 0) (local.get $end))
  (i32.store (i32.const 4) (local.get $at))
  (i32.store (i32.const 8) (local.get $len))
  (i32.const 0))
(func $page (result i32)
  (call $fetch
    (i32.const 1024) (i32.const 22) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 128))
  (i32.load8_u (i32.const 128)))
(func $script (param $at i32) (param $len i32) (result i32)
  (local $letter i32)
  (local.set $letter (i32.load8_u (local.get $at)))
  (if (i32.eq (local.get $letter) (i32.const 104))
    (then
      (call $keccak (local.get $at) (local.get $len) (i32.const 128))
      (return (call $allow (i32.load (i32.const 128)) (i32.load (i32.const 132))))))
  (if (i32.eq (local.get $letter) (i32.const 114))
    (then (return (call $end (i32.const 0) (local.get $at) (local.get $len)))))
  (if (i32.eq (local.get $letter) (i32.const 102))
    (then (return (call $end (i32.const 1) (local.get $at) (local.get $len)))))
  (if (i32.eq (local.get $letter) (i32.const 103))
    (then
      (drop (memory.grow (i32.const 300)))
      (return (call $end (i32.const 1) (i32.const 1048576) (i32.const 1000000)))))
  (if (i32.eq (local.get $letter) (i32.const 112))
    (then
      (drop (call $page))
      (return (call $allow (i32.load (i32.const 144)) (i32.load (i32.const 148))))))
  (unreachable))
