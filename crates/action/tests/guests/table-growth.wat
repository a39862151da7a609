;; Grows a table without end.
(table $t 1 funcref)
(func $decide (result i32)
  (loop $again (drop (table.grow $t (ref.null func) (i32.const 1000))) (br $again))
  (unreachable))
