;; Signs the session's id: the second list of the context.
(func $decide (result i32)
  (call $get (i32.const 256))
  (call $allow (i32.load (i32.const 264)) (i32.load (i32.const 268))))
