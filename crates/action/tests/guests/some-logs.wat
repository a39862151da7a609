;; Logs a thousand lines of a hundred bytes, then signs.
(func $decide (result i32)
  (local $left i32)
  (local.set $left (i32.const 1000))
  (loop $again
    (call $emit (i32.const 3) (i32.const 1024) (i32.const 100))
    (local.set $left (i32.sub (local.get $left) (i32.const 1)))
    (br_if $again (local.get $left)))
  (call $allow (i32.const 1024) (i32.const 32)))
