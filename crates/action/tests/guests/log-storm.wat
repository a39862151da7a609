;; Logs without end.
(func $decide (result i32)
  (loop $again (call $emit (i32.const 0) (i32.const 1024) (i32.const 100)) (br $again))
  (unreachable))
