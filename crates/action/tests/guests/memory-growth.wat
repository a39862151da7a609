;; Grows its memory until that fails, then without end.
(func $decide (result i32)
  (loop $again (drop (memory.grow (i32.const 16))) (br $again))
  (unreachable))
