;; Returns an address between two words.
(func $decide (result i32) (i32.const 3))
