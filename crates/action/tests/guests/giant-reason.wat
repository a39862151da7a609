;; Refuses in a million zero bytes.
(func $decide (result i32) (drop (memory.grow (i32.const 300))) (call $refuse (i32.const 65536) (i32.const 1000000)))
