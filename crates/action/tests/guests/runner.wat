;; A script runner whose scripts are one letter: h signs the source's hash, r refuses and f fails with the source as
;; the text, g fails in a million zero bytes, p fetches a page and signs it, any other traps. An empty script is none,
;; and the check of one that begins with l does not end.
(data (i32.const 1024) "https://b.example/page")
(data (i32.const 1100) "line 1: there is nothing")
(func $check (param $at i32) (param $len i32) (result i32)
  (i32.store8 (i32.const 0) (i32.const 0))
  (if (i32.eqz (local.get $len))
    (then
      (i32.store8 (i32.const 0) (i32.const 1))
      (i32.store (i32.const 4) (i32.const 1100))
      (i32.store (i32.const 8) (i32.const 24))
      (return (i32.const 0))))
  (loop $again (br_if $again (i32.eq (i32.load8_u (local.get $at)) (i32.const 108))))
  (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 116)) (then (unreachable)))
  (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 103))
    (then
      (drop (memory.grow (i32.const 300)))
      (i32.store8 (i32.const 0) (i32.const 1))
      (i32.store (i32.const 4) (i32.const 1048576))
      (i32.store (i32.const 8) (i32.const 1000000))))
  (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 112)) (then (drop (call $page))))
  (i32.const 0))
(func $page (result i32)
  (call $fetch
    (i32.const 1024) (i32.const 22) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 128))
  (i32.load8_u (i32.const 128)))
(func $script (param $at i32) (param $len i32) (result i32)
  (local $letter i32)
  (local.set $letter (i32.load8_u (local.get $at)))
  (if (i32.eq (local.get $letter) (i32.const 104))
    (then
      (call $keccak (local.get $at) (local.get $len) (i32.const 128))
      (return (call $allow (i32.load (i32.const 128)) (i32.load (i32.const 132))))))
  (if (i32.eq (local.get $letter) (i32.const 114))
    (then (return (call $end (i32.const 0) (local.get $at) (local.get $len)))))
  (if (i32.eq (local.get $letter) (i32.const 102))
    (then (return (call $end (i32.const 1) (local.get $at) (local.get $len)))))
  (if (i32.eq (local.get $letter) (i32.const 103))
    (then
      (drop (memory.grow (i32.const 300)))
      (return (call $end (i32.const 1) (i32.const 1048576) (i32.const 1000000)))))
  (if (i32.eq (local.get $letter) (i32.const 112))
    (then
      (drop (call $page))
      (return (call $allow (i32.load (i32.const 144)) (i32.load (i32.const 148))))))
  (unreachable))
