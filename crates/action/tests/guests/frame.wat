;; What the guests of these tests share: all imports lowered, a memory, and what gives a result. The placeholder in
;; the last module is replaced by a guest's functions, the one at the end by the exports (of an action or of a runner).
(component
  (import "countersign:action/types@0.1.0" (instance $types
    (type $e (variant (case "denied" string) (case "limit" string) (case "invalid" string)))
    (export "error" (type (eq $e)))
    (type $t (record (field "bps" u32) (field "abs" string)))
    (export "tolerance" (type $tolerance (eq $t)))
    (type $r (variant (case "identical") (case "median" $tolerance) (case "min" $tolerance) (case "max" $tolerance) (case "mode")))
    (export "rule" (type $rule (eq $r)))
    (type $f (record (field "pointer" string) (field "rule" $rule)))
    (export "field" (type $field (eq $f)))
    (type $a (variant (case "identical") (case "json-fields" (list $field))))
    (export "agree" (type (eq $a)))))
  (alias export $types "error" (type $error))
  (alias export $types "agree" (type $agree))

  (import "countersign:action/context@0.1.0" (instance $context
    (type $c (record (field "kind" string) (field "id" (list u8))))
    (export "caller" (type $caller (eq $c)))
    (type $p (record (field "chain-id" u64) (field "number" u64) (field "hash" (list u8)) (field "timestamp" u64)))
    (export "pin" (type $pin (eq $p)))
    (type $r (record
      (field "request-digest" (list u8)) (field "session-id" (list u8)) (field "action-id" (list u8))
      (field "key-id" (list u8)) (field "scheme" string) (field "public-key" (list u8))
      (field "config" (list u8)) (field "params" (list u8)) (field "callers" (list $caller))
      (field "time-ms" u64) (field "seed" (list u8)) (field "pins" (list $pin))))
    (export "request" (type $request (eq $r)))
    (export "get" (func (result $request)))))

  (import "countersign:action/http@0.1.0" (instance $http
    (export "error" (type $err (eq $error)))
    (export "agree" (type $how (eq $agree)))
    (type $h (record (field "name" string) (field "value" string)))
    (export "header" (type $header (eq $h)))
    (type $q (record (field "url" string) (field "headers" (list $header)) (field "max-body" u32) (field "timeout-ms" u32)))
    (export "request" (type $request (eq $q)))
    (type $p (record (field "status" u16) (field "headers" (list $header)) (field "body" (list u8))))
    (export "response" (type $response (eq $p)))
    (export "fetch" (func (param "req" $request) (param "how" $how) (result (result $response (error $err)))))
    (export "fetch-all" (func (param "reqs" (list (tuple $request $how))) (result (result (list $response) (error $err)))))))

  (import "countersign:action/evm@0.1.0" (instance $evm
    (export "error" (type $err (eq $error)))
    (type $c (record (field "chain-id" u64) (field "to" (list u8)) (field "data" (list u8)) (field "from" (option (list u8)))))
    (export "call" (type $call (eq $c)))
    (type $cr (variant (case "ok" (list u8)) (case "reverted" (list u8))))
    (export "call-result" (type $call-result (eq $cr)))
    (export "eth-call-all" (func (param "cs" (list $call)) (result (result (list $call-result) (error $err)))))
    (export "balance" (func (param "chain-id" u64) (param "address" (list u8)) (result (result (list u8) (error $err)))))))

  (import "countersign:action/crypto@0.1.0" (instance $crypto
    (export "keccak256" (func (param "data" (list u8)) (result (list u8))))))

  (import "countersign:action/log@0.1.0" (instance $log
    (type $l (enum "debug" "info" "warn" "error"))
    (export "level" (type $level (eq $l)))
    (export "emit" (func (param "l" $level) (param "message" string)))))

  (import "countersign:action/outcome@0.1.0" (instance $outcome
    (type $p (variant (case "bytes" (list u8)) (case "personal-message" (list u8)) (case "typed-data" string) (case "raw" (list u8))))
    (export "payload" (type $payload (eq $p)))
    (type $d (record (field "sign" (list $payload)) (field "response" (list u8))))
    (export "decision" (type (eq $d)))
    (type $r (record (field "reason" string)))
    (export "refusal" (type (eq $r)))))
  (alias export $outcome "decision" (type $decision))
  (alias export $outcome "refusal" (type $refusal))

  (core module $memory
    (memory (export "memory") 1)
    (global $top (mut i32) (i32.const 4096))
    ;; Hands out what is above all that was handed out before, and grows the memory for it.
    (func (export "realloc") (param $old i32) (param $old_size i32) (param $align i32) (param $size i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
      (global.set $top (i32.add (local.get $at) (local.get $size)))
      (block $fits
        (loop $grow
          (br_if $fits (i32.le_u (global.get $top) (i32.mul (memory.size) (i32.const 65536))))
          (drop (memory.grow (i32.const 1)))
          (br $grow)))
      (local.get $at)))
  (core instance $m (instantiate $memory))
  (core func $get (canon lower (func $context "get") (memory (core memory $m "memory")) (realloc (core func $m "realloc"))))
  (core func $balance (canon lower (func $evm "balance") (memory (core memory $m "memory")) (realloc (core func $m "realloc"))))
  (core func $calls (canon lower (func $evm "eth-call-all") (memory (core memory $m "memory")) (realloc (core func $m "realloc"))))
  (core func $fetch (canon lower (func $http "fetch") (memory (core memory $m "memory")) (realloc (core func $m "realloc"))))
  (core func $fetches (canon lower (func $http "fetch-all") (memory (core memory $m "memory")) (realloc (core func $m "realloc"))))
  (core func $keccak (canon lower (func $crypto "keccak256") (memory (core memory $m "memory")) (realloc (core func $m "realloc"))))
  (core func $emit (canon lower (func $log "emit") (memory (core memory $m "memory")) (realloc (core func $m "realloc"))))

  (core module $guest
    (import "m" "memory" (memory 1))
    (import "host" "get" (func $get (param i32)))
    (import "host" "balance" (func $balance (param i64 i32 i32 i32)))
    (import "host" "calls" (func $calls (param i32 i32 i32)))
    (import "host" "fetch" (func $fetch (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
    (import "host" "fetches" (func $fetches (param i32 i32 i32)))
    (import "host" "keccak" (func $keccak (param i32 i32 i32)))
    (import "host" "emit" (func $emit (param i32 i32 i32)))
    ;; Address 0: the result. Address 64: a list with one payload. From 1024 on: what a guest likes.
    (func $allow (param $at i32) (param $len i32) (result i32)
      (i32.store8 (i32.const 0) (i32.const 0))
      (i32.store (i32.const 4) (i32.const 64))
      (i32.store (i32.const 8) (i32.const 1))
      (i32.store (i32.const 12) (i32.const 64))
      (i32.store (i32.const 16) (i32.const 0))
      (i32.store8 (i32.const 64) (i32.const 0))
      (i32.store (i32.const 68) (local.get $at))
      (i32.store (i32.const 72) (local.get $len))
      (i32.const 0))
    (func $refuse (param $at i32) (param $len i32) (result i32)
      (i32.store8 (i32.const 0) (i32.const 1))
      (i32.store (i32.const 4) (local.get $at))
      (i32.store (i32.const 8) (local.get $len))
      (i32.const 0))
    ;; What a runner ends with: a refusal, or a failure.
    (func $end (param $case i32) (param $at i32) (param $len i32) (result i32)
      (i32.store8 (i32.const 0) (i32.const 1))
      (i32.store8 (i32.const 4) (local.get $case))
      (i32.store (i32.const 8) (local.get $at))
      (i32.store (i32.const 12) (local.get $len))
      (i32.const 0))
    $GUEST)
  (core instance $g (instantiate $guest
    (with "m" (instance $m))
    (with "host" (instance
      (export "get" (func $get)) (export "balance" (func $balance)) (export "calls" (func $calls))
      (export "fetch" (func $fetch)) (export "fetches" (func $fetches))
      (export "keccak" (func $keccak)) (export "emit" (func $emit))))))
  $EXPORTS)
