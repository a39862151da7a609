;; Asks for a million fetches at once: entries of zeros, 36 MB.
(func $decide (result i32)
  (drop (memory.grow (i32.const 700)))
  (call $fetches (i32.const 65536) (i32.const 1000000) (i32.const 128))
  (call $refuse (i32.load (i32.const 136)) (i32.load (i32.const 140))))
