;; Asks for all 4 GiB at once.
(func $decide (result i32) (drop (memory.grow (i32.const 65535))) (call $allow (i32.const 1024) (i32.const 32)))
