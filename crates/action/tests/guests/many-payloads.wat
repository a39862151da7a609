;; Returns a list of 400 million payloads: its length in bytes overflows 32 bits.
(func $decide (result i32)
  (drop (call $allow (i32.const 1024) (i32.const 1)))
  (i32.store (i32.const 8) (i32.const 400000000))
  (i32.const 0))
