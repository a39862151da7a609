;; Fetches until the host says that no reads are left.
(data (i32.const 1024) "https://b.example/page")
(func $decide (result i32)
  (loop $more
    (call $fetch
      (i32.const 1024) (i32.const 22) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
      (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 128))
    (br_if $more (i32.eqz (i32.load8_u (i32.const 128)))))
  (call $refuse (i32.load (i32.const 136)) (i32.load (i32.const 140))))
