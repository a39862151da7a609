;; Signs the balance of account 0x00.. on chain 1; refuses with what the host says where there is none.
(func $decide (result i32)
  (call $balance (i64.const 1) (i32.const 1024) (i32.const 20) (i32.const 128))
  (if (result i32) (i32.eqz (i32.load8_u (i32.const 128)))
    (then (call $allow (i32.load (i32.const 132)) (i32.load (i32.const 136))))
    (else (call $refuse (i32.load (i32.const 136)) (i32.load (i32.const 140))))))
