;; Returns a payload that ends beyond the memory.
(func $decide (result i32) (call $allow (i32.const 65520) (i32.const 32)))
