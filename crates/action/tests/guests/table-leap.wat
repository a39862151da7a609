;; Asks for a table of four billion elements.
(table $t 1 funcref)
(func $decide (result i32)
  (drop (table.grow $t (ref.null func) (i32.const -2)))
  (call $allow (i32.const 1024) (i32.const 32)))
