;; Asks for something malformed without end: no read is ever made.
(data (i32.const 1024) "https://b.example:81/")
(func $decide (result i32)
  (loop $again
    (call $fetch
      (i32.const 1024) (i32.const 21) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
      (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 128))
    (br $again))
  (unreachable))
