;; Refuses with what is no text.
(func $decide (result i32) (i32.store (i32.const 1024) (i32.const -1)) (call $refuse (i32.const 1024) (i32.const 4)))
