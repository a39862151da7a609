;; Returns an address that is none.
(func $decide (result i32) (i32.const -4))
