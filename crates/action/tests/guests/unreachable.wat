;; Traps.
(func $decide (result i32) (unreachable))
