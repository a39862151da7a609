;; Never gets to run: its start function does not end.
(func $forever (loop $again (br $again)))
(start $forever)
(func $decide (result i32) (unreachable))
