;; Asks for a balance on chain 999.
(func $decide (result i32)
  (call $balance (i64.const 999) (i32.const 1024) (i32.const 20) (i32.const 128))
  (call $refuse (i32.load (i32.const 136)) (i32.load (i32.const 140))))
