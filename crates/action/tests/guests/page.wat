;; Fetches a page that must be the same everywhere, and signs it; refuses with what the host says.
(data (i32.const 1024) "https://b.example/page")
(func $decide (result i32)
  (call $fetch
    (i32.const 1024) (i32.const 22) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 128))
  (if (result i32) (i32.eqz (i32.load8_u (i32.const 128)))
    (then (call $allow (i32.load (i32.const 144)) (i32.load (i32.const 148))))
    (else (call $refuse (i32.load (i32.const 136)) (i32.load (i32.const 140))))))
