;; Fetches without end, whatever the host says.
(data (i32.const 1024) "https://b.example/page")
(func $decide (result i32)
  (loop $again
    (call $fetch
      (i32.const 1024) (i32.const 22) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
      (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 128))
    (br $again))
  (unreachable))
