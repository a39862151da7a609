;; Returns typed data that are none.
(data (i32.const 2048) "{\"types\":{}}")
(func $decide (result i32)
  (drop (call $allow (i32.const 2048) (i32.const 12)))
  (i32.store8 (i32.const 64) (i32.const 2))
  (i32.const 0))
