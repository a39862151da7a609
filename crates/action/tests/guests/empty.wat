;; The least that a decision can be.
(func $decide (result i32) (call $allow (i32.const 1024) (i32.const 32)))
