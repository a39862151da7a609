;; Returns a payload of a fifth kind.
(func $decide (result i32)
  (drop (call $allow (i32.const 1024) (i32.const 1)))
  (i32.store8 (i32.const 64) (i32.const 4))
  (i32.const 0))
