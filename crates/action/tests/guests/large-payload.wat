;; Returns a payload of 64 KiB and a byte.
(func $decide (result i32) (drop (memory.grow (i32.const 3))) (call $allow (i32.const 0) (i32.const 65537)))
