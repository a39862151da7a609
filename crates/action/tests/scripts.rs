//! Scripts: run by their runner, under the manifest that names both.

mod guest;

use countersign_action::{
    Abort, CompileError, CompiledScript, MAX_PROGRAM_BYTES, Script, ScriptError, compile::compile as load,
};
use countersign_types::{ComponentDigest, Verdict, action::MAX_SCRIPT_BYTES, outcome::MAX_REASON_BYTES};
use guest::{Answers, Guest, nobody, prices, refusal, signs};

fn source_of_runner() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/guests/runner.wat");
    std::fs::read_to_string(path).expect("the runner")
}

fn runner() -> Vec<u8> {
    guest::runner(&source_of_runner())
}

async fn script(source: &str) -> Guest {
    Guest::script(&runner(), source).await
}

fn longest(letter: char) -> String {
    letter.to_string().repeat(MAX_SCRIPT_BYTES)
}

#[tokio::test]
async fn a_script_decides_and_its_replay_too() {
    for source in ["h", "hello", &longest('h')] {
        let guest = script(source).await;
        let live = guest.live(nobody()).await;
        let digest = ComponentDigest::of(source.as_bytes());
        assert_eq!(live.end, Ok(signs(digest.as_bytes().to_vec())), "{} bytes", source.len());
        let replay = guest.replay(&[]).await;
        assert_eq!((replay.end, replay.fuel), (live.end, live.fuel));
    }
}

#[tokio::test]
async fn a_script_reads_like_any_action() {
    let guest = script("page").await;
    let live = guest.live(Answers::web(prices)).await;
    assert!(matches!(live.end, Ok(Verdict::Allow { .. })), "{:?}", live.end);
    assert_eq!(live.reads.len(), 1);
    let replay = guest.replay(&live.reads).await;
    assert_eq!((replay.end, replay.fuel, replay.consumed), (live.end, live.fuel, 1));
}

#[tokio::test]
async fn a_refusal_is_told_from_a_failure() {
    let refused = script("refused").await.live(nobody()).await;
    assert_eq!(refused.end.as_ref().map(refusal), Ok("refused"));
    let guest = script("fails in line 3").await;
    let failed = guest.live(nobody()).await;
    let abort = Abort::Script { text: "fails in line 3".into() };
    assert_eq!(failed.end, Err(abort.clone()));
    assert!(!abort.is_local(), "it fails everywhere");
    assert_eq!(guest.replay(&[]).await.end, Err(abort));
}

#[tokio::test]
async fn giant_texts_are_cut() {
    for source in ["g", &longest('f')] {
        let live = script(source).await.live(nobody()).await;
        let Err(Abort::Script { text }) = &live.end else { panic!("{:?}", live.end) };
        assert!(text.len() < 600, "{}", text.len());
    }
    let live = script(&longest('r')).await.live(nobody()).await;
    assert!(live.end.as_ref().map(refusal).expect("a refusal").len() <= MAX_REASON_BYTES);
    let error = compile("Giant").await;
    let Err(ScriptError::Invalid { text }) = &error else { panic!("{error:?}") };
    assert!(text.len() < 600, "{}", text.len());
}

#[tokio::test]
async fn a_runner_that_traps_ends_only_its_run() {
    let guest = script("trap").await;
    for _ in 0..50 {
        assert!(matches!(guest.live(nobody()).await.end, Err(Abort::Trap { .. })));
    }
    assert!(script("h").await.live(nobody()).await.end.is_ok());
}

async fn compile(source: &str) -> Result<(), ScriptError> {
    Guest::of(&runner()).await.compiled(source).await.map(drop)
}

#[tokio::test]
async fn what_is_wrong_with_a_script_is_told_when_it_is_published() {
    assert_eq!(compile("hello").await, Ok(()));
    assert_eq!(compile(&longest('h')).await, Ok(()));
    let error = compile("").await.expect_err("nothing there");
    assert_eq!(error.to_string(), "the script cannot be used: line 1: there is nothing");
}

#[tokio::test]
async fn a_compilation_is_bounded_and_reads_nothing() {
    assert_eq!(compile("Loop").await, Err(ScriptError::Compile(Abort::Fuel { limit: 1_000_000_000 })));
    assert!(matches!(compile("Trap").await, Err(ScriptError::Compile(Abort::Trap { .. }))));
    assert_eq!(compile("Big").await, Err(ScriptError::ProgramSize { got: MAX_PROGRAM_BYTES + 1 }));
    assert_eq!(compile("Page").await, Ok(()), "its fetch is denied, and nobody is asked");
}

#[tokio::test]
async fn a_runner_needs_a_script_and_an_action_takes_none() {
    let script = Script::new("h").expect("a script");
    let action = Guest::named("empty").await;
    let runner = Guest::of(&runner()).await;
    assert_eq!((action.action.is_runner(), runner.action.is_runner()), (false, true));
    let compiled = |guest: &Guest, script: Option<Script>| {
        let (host, action) = (guest.host.clone(), guest.action.clone());
        async move { host.compile_script(&action, script.as_ref()).await }
    };
    assert_eq!(compiled(&action, None).await, Ok(None));
    assert_eq!(compiled(&action, Some(script.clone())).await, Err(ScriptError::NotRunner));
    assert_eq!(compiled(&runner, None).await, Err(ScriptError::Missing));
    let script = compiled(&runner, Some(script)).await.expect("a script");
    assert_eq!(script.as_ref().map(CompiledScript::runner), Some(runner.action.digest()));
    for (mut guest, script) in [(action, script), (runner, None)] {
        guest.manifest.script = script.as_ref().map_or_else(Default::default, CompiledScript::digest);
        guest.script = script;
        let live = guest.live(nobody()).await;
        assert!(matches!(&live.end, Err(Abort::Host { .. })) && live.fuel == 0, "{:?}", live.end);
        assert!(matches!(guest.replay(&[]).await.end, Err(Abort::Host { .. })));
    }
}

#[tokio::test]
async fn a_script_runs_only_under_its_own_manifest() {
    let mut other = script("h").await;
    other.script = Some(other.compiled("ha").await.expect("a script"));
    let mut none = script("h").await;
    none.script = None;
    for guest in [other, none] {
        let expected = Abort::Host { text: "the manifest names another script".into() };
        assert_eq!(guest.live(nobody()).await.end, Err(expected));
    }
}

#[tokio::test]
async fn a_script_runs_only_on_the_runner_that_compiled_it() {
    let mut guest = script("h").await;
    let commented = [&source_of_runner(), "(data (i32.const 1200) \"x\")"].concat();
    let other = Guest::script(&guest::runner(&commented), "h").await;
    assert_ne!(guest.action.digest(), other.action.digest());
    guest.script = other.script;
    let expected = Abort::Host { text: "the script was compiled by another runner".into() };
    assert_eq!(guest.live(nobody()).await.end, Err(expected.clone()));
    assert_eq!(guest.replay(&[]).await.end, Err(expected));
}

#[test]
fn a_runner_has_both_exports_with_their_types() {
    assert!(load(&runner()).is_ok());
    let changed = |from: &str, to: &str| {
        let text = guest::RUNNER.replace(from, to);
        assert_ne!(text, guest::RUNNER, "{from}");
        load(&guest::runner_with(
            "(func $compile (param i32 i32) (result i32) unreachable)
             (func $script (param i32 i32) (result i32) unreachable)",
            &text,
        ))
    };
    let missing = changed(r#"(export "compile" (func $compile))"#, "").expect_err("no compile");
    let CompileError::ScriptCompileType { got, .. } = &missing else { panic!("{missing}") };
    assert_eq!(got, "missing");
    let other = changed("(result (list u8) (error string))", "(result string (error string))");
    let other = other.expect_err("another compile");
    assert!(matches!(&other, CompileError::ScriptCompileType { .. }), "{other}");
    let cases = changed(r#"(case "failed" string)"#, r#"(case "threw" string)"#).expect_err("another end");
    assert!(matches!(&cases, CompileError::RunType { got, .. } if got.contains("threw")), "{cases}");
}
