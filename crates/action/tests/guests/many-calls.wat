;; Asks for a million calls at once: entries of zeros, up to 40 MB.
(func $decide (result i32)
  (drop (memory.grow (i32.const 700)))
  (call $calls (i32.const 65536) (i32.const 1000000) (i32.const 128))
  (call $refuse (i32.load (i32.const 136)) (i32.load (i32.const 140))))
