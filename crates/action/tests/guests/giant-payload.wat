;; Returns a payload of 16 MiB.
(func $decide (result i32) (drop (memory.grow (i32.const 300))) (call $allow (i32.const 0) (i32.const 16777216)))
