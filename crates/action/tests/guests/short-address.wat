;; Asks for the balance of an address of 19 bytes.
(func $decide (result i32)
  (call $balance (i64.const 1) (i32.const 1024) (i32.const 19) (i32.const 128))
  (call $refuse (i32.load (i32.const 136)) (i32.load (i32.const 140))))
