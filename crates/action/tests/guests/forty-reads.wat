;; Reads until the host says that no reads are left.
(func $decide (result i32)
  (loop $more
    (call $balance (i64.const 1) (i32.const 1024) (i32.const 20) (i32.const 128))
    (br_if $more (i32.eqz (i32.load8_u (i32.const 128)))))
  (call $refuse (i32.load (i32.const 136)) (i32.load (i32.const 140))))
