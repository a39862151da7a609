;; Logs at a level that is none.
(func $decide (result i32) (call $emit (i32.const 99) (i32.const 1024) (i32.const 1)) (unreachable))
