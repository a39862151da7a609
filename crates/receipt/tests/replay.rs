//! Receipts whose action runs again: what it gives is what was voted for, or evidence.

use std::{fs, path::Path};

use countersign_action::{Action, Compilation, Config, Engine, Host};
use countersign_fuzzing::receipts::{Case, Story};
use countersign_receipt::ReplayError;
use countersign_types::{B256, Bytes, ComponentDigest, EngineId, Limits, Manifest, Payload, Scheme, Verdict};

/// When it all happens: after the time-lock has opened.
const TIME_MS: u64 = 1_800_000_000_000;

fn host() -> Host {
    let config = Config::default();
    let engine = Engine::new(&config).expect("an engine");
    Host::new(&config, engine, Compilation::InProcess, None).expect("a host")
}

fn time_lock() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../actions/time-lock/time-lock.wasm");
    fs::read(path).expect("it is built")
}

/// Three members say that a time-lock gave this for the message `hello`, which they asked it about with an engine.
fn story(engine: EngineId, content: &'static [u8]) -> Story {
    let manifest = Manifest {
        name: "time-lock".into(),
        component: ComponentDigest::of(&time_lock()),
        script: B256::ZERO,
        hosts: Vec::new(),
        chains: Vec::new(),
        limits: Limits::default(),
    };
    let response = r#"{"not_before":1700000000,"now":1800000000}"#;
    Story {
        manifest,
        config: Bytes::from_static(br#"{"not_before":1700000000}"#),
        params: Bytes::from_static(br#"{"messages":["0x68656c6c6f"]}"#),
        engine,
        time_ms: TIME_MS,
        reads: Default::default(),
        verdict: Verdict::Allow {
            payloads: vec![Payload::Bytes(Bytes::from_static(content))],
            response: Bytes::from_static(response.as_bytes()),
        },
    }
}

async fn replayed(host: &Host, action: &Action, story: Story) -> Result<(), ReplayError> {
    let case = Case::of(Scheme::SchnorrSecp256k1, story);
    let checked =
        case.trust().check(&case.receipt).expect("votes and signatures hold, whatever they are for");
    checked.replay(&case.receipt, host, action, None).await.map(drop)
}

#[tokio::test]
async fn votes_for_what_the_action_does_not_give_are_evidence() {
    let host = host();
    let action = host.prepare(&time_lock()).await.expect("it compiles");
    let engine = host.engine().engine_id();
    replayed(&host, &action, story(engine, b"hello")).await.expect("it gives just this");

    let lie = replayed(&host, &action, story(engine, b"hallo")).await.expect_err("three members lie");
    let ReplayError::Other { against, voted, got, .. } = &lie else { panic!("{lie}") };
    assert_eq!(against.iter().map(|member| member.get()).collect::<Vec<_>>(), [1, 2, 3]);
    assert_ne!(voted, got);
    assert!(lie.to_string().contains("evidence against them"), "{lie}");

    let mut early = story(engine, b"hello");
    early.config = Bytes::from_static(br#"{"not_before":1900000000}"#);
    let lie = replayed(&host, &action, early).await.expect_err("it was closed");
    assert!(lie.to_string().contains("a refusal"), "{lie}");
}

#[tokio::test]
async fn another_engine_or_action_is_no_evidence() {
    let host = host();
    let action = host.prepare(&time_lock()).await.expect("it compiles");
    let other = replayed(&host, &action, story(EngineId::from([1; 32]), b"hello")).await;
    assert!(matches!(other, Err(ReplayError::Engine { .. })), "{other:?}");
    let mut story = story(host.engine().engine_id(), b"hello");
    story.manifest.component = ComponentDigest::from([1; 32]);
    let other = replayed(&host, &action, story).await;
    assert!(matches!(other, Err(ReplayError::Abort(_))), "{other:?}");
}
