;; Never ends.
(func $decide (result i32) (loop $again (br $again)) (unreachable))
