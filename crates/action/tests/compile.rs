//! What is no action is refused with its reason, in this process and in the one that compiles.

mod guest;

use std::{path::PathBuf, time::Duration};

use countersign_action::{
    ArtefactKey, Artefacts, Compilation, CompileError, Compiler, CompilerError, Config, Engine, Host,
    LoadError, compile,
};
use guest::{component, from_text, small};

fn refused(component: &[u8]) -> CompileError {
    match compile::compile(component) {
        Ok(_) => panic!("compiled"),
        Err(error) => error,
    }
}

fn compiler(config: &Config) -> Compiler {
    Compiler::new(PathBuf::from(env!("CARGO_BIN_EXE_countersign-compile")), vec![], config)
}

#[test]
fn what_is_no_component_is_named() {
    let cases: [(&[u8], &str); 6] = [
        (b"", "nothing"),
        (b"#!/bin/sh", "not WebAssembly"),
        (b"(component)", "text"),
        (b"\0asm\x01\0\0\0", "core module"),
        (b"\0asm\x02\0\0\0", "unknown version"),
        (b"\0as", "not WebAssembly"),
    ];
    for (bytes, expected) in cases {
        let CompileError::NotComponent { found } = refused(bytes) else { panic!("{bytes:?}") };
        assert!(found.contains(expected), "{found}");
    }
    let module = from_text("(module (memory 1))");
    assert!(matches!(refused(&module), CompileError::NotComponent { .. }));
}

#[test]
fn a_component_with_a_changed_byte_compiles_or_is_refused_and_never_panics() {
    let original = component("three-reads");
    for at in (8..original.len()).step_by(97) {
        let mut changed = original.clone();
        changed[at] ^= 0x11;
        let _ = compile::compile(&changed);
    }
    assert!(matches!(refused(&original[..original.len() / 2]), CompileError::Invalid { .. }));
}

#[test]
fn foreign_imports_are_named() {
    let wasi = from_text(
        r#"(component (import "wasi:cli/environment@0.2.0" (instance
             (export "get-environment" (func (result (list (tuple string string))))))))"#,
    );
    let error = refused(&wasi);
    assert!(error.to_string().contains("wasi:cli/environment@0.2.0"), "{error}");
    let function = from_text(
        r#"(component (import "countersign:action/log@0.1.0" (instance (export "send" (func (param "m" string))))))"#,
    );
    let error = refused(&function);
    assert_eq!(
        error,
        CompileError::ForeignImports { imports: vec!["countersign:action/log@0.1.0#send".into()] }
    );
    let later = from_text(r#"(component (import "countersign:action/clock@0.1.0" (instance)))"#);
    assert!(matches!(refused(&later), CompileError::ForeignImports { .. }));
    let module = from_text(r#"(component (import "m" (core module)))"#);
    assert!(matches!(refused(&module), CompileError::ForeignImports { .. }));
}

#[test]
fn an_import_of_another_type_is_refused() {
    let component = from_text(&format!(
        r#"(component
             (import "countersign:action/crypto@0.1.0" (instance
               (export "keccak256" (func (param "data" string) (result (list u8))))))
             {RUN})"#
    ));
    let error = refused(&component);
    assert!(matches!(error, CompileError::ImportType { .. }), "{error:?}");
}

/// A well-typed `run` that traps.
const RUN: &str = r#"
  (import "countersign:action/outcome@0.1.0" (instance $outcome
    (type $p (variant (case "bytes" (list u8)) (case "personal-message" (list u8)) (case "typed-data" string) (case "raw" (list u8))))
    (export "payload" (type $payload (eq $p)))
    (type $d (record (field "sign" (list $payload)) (field "response" (list u8))))
    (export "decision" (type (eq $d)))
    (type $r (record (field "reason" string)))
    (export "refusal" (type (eq $r)))))
  (alias export $outcome "decision" (type $decision))
  (alias export $outcome "refusal" (type $refusal))
  (core module $m (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable)
    (func (export "run") (result i32) unreachable))
  (core instance $i (instantiate $m))
  (func $run (result (result $decision (error $refusal)))
    (canon lift (core func $i "run") (memory (core memory $i "memory")) (realloc (core func $i "realloc"))))
  (export "run" (func $run))"#;

#[test]
fn run_must_be_there_with_its_type() {
    assert!(compile::compile(&from_text(&format!("(component {RUN})"))).is_ok());
    assert_eq!(refused(&from_text("(component)")), CompileError::NoRun);
    let number = from_text(
        r#"(component
             (core module $m (func (export "run") (result i32) i32.const 1))
             (core instance $i (instantiate $m))
             (func $run (result u32) (canon lift (core func $i "run")))
             (export "run" (func $run)))"#,
    );
    let CompileError::RunType { got, .. } = refused(&number) else { panic!("another type") };
    assert_eq!(got, "func() -> u32");
    let renamed = from_text(&format!("(component {})", RUN.replace(r#""reason""#, r#""because""#)));
    assert!(matches!(refused(&renamed), CompileError::RunType { .. }));
    let instance = from_text(r#"(component (instance $i) (export "run" (instance $i)))"#);
    assert_eq!(refused(&instance), CompileError::NoRun);
}

#[test]
fn a_type_that_is_large_when_written_out_is_cut() {
    let mut types = String::from("(type $t0 (tuple u8 u8))");
    for level in 1..16 {
        types += &format!("(type $t{level} (record (field \"a\" $t{0}) (field \"b\" $t{0})))", level - 1);
        types += &format!("(export $e{level} \"t{level}\" (type $t{level}))");
    }
    // Whether the validator refuses it first or the check does: it ends, and the text is short.
    if let Ok(component) = wat::parse_str(format!("(component {types})")) {
        assert!(refused(&component).to_string().len() < 2_000);
    }
}

#[test]
fn what_it_needs_from_the_start_is_bounded() {
    let with = |part: &str| {
        from_text(&format!("(component (core module $big {part}) (core instance (instantiate $big)) {RUN})"))
    };
    assert!(matches!(refused(&with("(memory 1025)")), CompileError::Resources { .. }));
    assert!(matches!(refused(&with("(table 20001 funcref)")), CompileError::Resources { .. }));
    assert!(compile::compile(&with("(memory 1024) (table 20000 funcref)")).is_ok());
    let many = "(core module $one (memory 1))".to_owned() + &"(core instance (instantiate $one))".repeat(4);
    let many = from_text(&format!("(component {many} {RUN})"));
    assert!(matches!(refused(&many), CompileError::Resources { .. }), "five memories");
}

#[test]
fn features_that_the_engine_lacks_are_refused() {
    for module in ["(memory i64 1)", "(memory 1) (memory 1)", "(memory 1 1 shared)"] {
        let component = from_text(&format!("(component (core module {module}) {RUN})"));
        assert!(matches!(refused(&component), CompileError::Invalid { .. }), "{module}");
    }
}

#[test]
fn a_component_beyond_16_mib_is_refused_unread() {
    let large = vec![0; (16 << 20) + 1];
    assert_eq!(refused(&large), CompileError::TooLarge { got: large.len() });
}

#[tokio::test]
async fn the_child_compiles_what_a_host_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = small();
    let engine = Engine::new(&config).expect("an engine");
    let artefacts = Artefacts::open(folder.path(), ArtefactKey::new([1; 32]), &engine, 1 << 30);
    let host = Host::new(
        &config,
        engine.clone(),
        Compilation::Child(compiler(&config)),
        Some(artefacts.expect("a directory")),
    )
    .expect("a host");
    let component = component("three-reads");
    let digest = countersign_types::ComponentDigest::of(&component);
    assert!(host.load(digest).await.expect("no error").is_none(), "not compiled yet");
    host.prepare(&component).await.expect("an action");

    // After a restart it comes from disk: this compiler cannot start.
    let broken = Compiler::new("/nonexistent".into(), vec![], &config);
    let artefacts = Artefacts::open(folder.path(), ArtefactKey::new([1; 32]), &engine, 1 << 30);
    let restarted =
        Host::new(&config, engine, Compilation::Child(broken), Some(artefacts.expect("a directory")))
            .expect("a host");
    let guest = guest::Guest::on(restarted.clone(), &component).await;
    assert!(guest.live(guest::Answers::new(guest::world)).await.end.is_ok());

    let error = restarted.prepare(&guest::component("empty")).await.expect_err("not compiled");
    assert!(matches!(error, LoadError::Compiler(CompilerError::Process { .. })), "{error}");
}

#[tokio::test]
async fn a_damaged_artefact_is_compiled_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = small();
    let component = component("empty");
    for damage in [false, true, true] {
        if damage {
            let file = std::fs::read_dir(folder.path()).expect("there").next().expect("one").expect("a file");
            let mut bytes = std::fs::read(file.path()).expect("read");
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::write(file.path(), bytes).expect("written");
        }
        let engine = Engine::new(&config).expect("an engine");
        let artefacts = Artefacts::open(folder.path(), ArtefactKey::new([1; 32]), &engine, 1 << 30);
        let host = Host::new(
            &config,
            engine,
            Compilation::Child(compiler(&config)),
            Some(artefacts.expect("a directory")),
        )
        .expect("a host");
        let guest = guest::Guest::on(host, &component).await;
        assert!(guest.live(guest::nobody()).await.end.is_ok());
        assert_eq!(std::fs::read_dir(folder.path()).expect("there").count(), 1);
    }
}

#[tokio::test]
async fn the_child_says_why_it_refuses() {
    let compiler = compiler(&small());
    let error = compiler.compile(b"\0asm\x01\0\0\0").await.expect_err("a core module");
    assert!(
        matches!(&error, CompilerError::Component(CompileError::NotComponent { found }) if found.contains("core module")),
        "{error:?}"
    );
    let large = vec![0; (16 << 20) + 1];
    let error = compiler.compile(&large).await.expect_err("too large");
    assert!(matches!(error, CompilerError::Component(CompileError::TooLarge { .. })));
}

#[tokio::test]
async fn a_child_that_does_not_end_is_killed() {
    let slow = Compiler::new("/bin/sleep".into(), vec!["3600".into()], &small())
        .with_timeout(Duration::from_millis(50));
    assert!(matches!(slow.compile(b"x").await, Err(CompilerError::Time { .. })));
}

#[tokio::test]
async fn a_child_that_fails_otherwise_is_reported() {
    let failing = Compiler::new("/bin/sh".into(), vec!["-c".into(), "echo no >&2; exit 3".into()], &small());
    let error = failing.compile(b"x").await.expect_err("it fails");
    assert!(matches!(&error, CompilerError::Failed { text } if text == "no"), "{error:?}");
    let killed = Compiler::new("/bin/sh".into(), vec!["-c".into(), "kill -9 $$".into()], &small());
    assert!(matches!(killed.compile(b"x").await, Err(CompilerError::Exhausted { signal: 9 })));
    let endless = Compiler::new("/bin/cat".into(), vec!["/dev/zero".into()], &small());
    assert!(matches!(endless.compile(b"x").await, Err(CompilerError::TooLarge)));
}

#[tokio::test]
async fn the_child_sees_nothing_of_the_environment() {
    assert!(std::env::vars_os().next().is_some(), "this process has an environment");
    let env = Compiler::new("/usr/bin/env".into(), vec![], &small());
    let printed = env.compile(b"x").await.expect("it prints its environment");
    assert_eq!(String::from_utf8_lossy(&printed), "");
}

#[tokio::test]
async fn compilations_are_bounded() {
    let config = Config { concurrent_compilations: 1, queued_compilations: 0, ..small() };
    let slow = std::sync::Arc::new(
        Compiler::new("/bin/sleep".into(), vec!["3600".into()], &config).with_timeout(Duration::from_secs(2)),
    );
    let first = tokio::spawn({
        let slow = slow.clone();
        async move { slow.compile(b"x").await }
    });
    let mut second = slow.compile(b"x").await;
    while !matches!(second, Err(CompilerError::Busy)) && !first.is_finished() {
        second = slow.compile(b"x").await;
    }
    let first = first.await.expect("no panic");
    assert!(matches!(second, Err(CompilerError::Busy)) || matches!(first, Err(CompilerError::Busy)));
}
