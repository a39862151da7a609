;; Fetches a page, and signs the value of its one header, but only if the status is 404.
(data (i32.const 1024) "https://b.example/page")
(func $decide (result i32)
  (call $fetch
    (i32.const 1024) (i32.const 22) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 128))
  (if (i32.ne (i32.load16_u (i32.const 132)) (i32.const 404)) (then (unreachable)))
  (if (i32.ne (i32.load (i32.const 140)) (i32.const 1)) (then (unreachable)))
  (call $allow
    (i32.load offset=8 (i32.load (i32.const 136)))
    (i32.load offset=12 (i32.load (i32.const 136)))))
