;; Signs the keccak-256 of the params: the eighth list of the context.
(func $decide (result i32)
  (call $get (i32.const 256))
  (call $keccak (i32.load (i32.const 312)) (i32.load (i32.const 316)) (i32.const 128))
  (call $allow (i32.load (i32.const 128)) (i32.load (i32.const 132))))
