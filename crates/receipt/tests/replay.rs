//! Receipts whose action runs again: what it gives is what was voted for, or evidence.

use std::{fs, path::Path};

use countersign_action::{Action, Compilation, Config, Engine, Host};
use countersign_fuzzing::receipts::{Case, Story};
use countersign_receipt::{CheckError, Evidence, ReplayError};
use countersign_types::{
    B256, Bytes, ComponentDigest, EngineId, Identifier, Limits, Manifest, Payload, Scheme, Verdict,
};

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
        callers: 1,
        attempt: 1,
    }
}

async fn replayed(host: &Host, action: &Action, case: &Case) -> Result<(), ReplayError> {
    let attested =
        case.trust().attested(&case.receipt).expect("what members signed holds, whatever it is for");
    attested.replay(&case.receipt, host, action, None).await.map(drop)
}

fn case(story: Story) -> Case {
    let case = Case::of(Scheme::SchnorrSecp256k1, story);
    case.trust().check(&case.receipt).expect("votes and signatures hold, whatever they are for");
    case
}

/// Who is named, and what the action gives.
fn evidence(error: ReplayError) -> (Vec<u16>, Evidence) {
    let text = error.to_string();
    let ReplayError::Evidence(evidence) = error else { panic!("{text}") };
    assert!(text.contains("evidence against them"), "{text}");
    (evidence.against.keys().map(|member| member.get()).collect(), evidence)
}

fn member(number: u16) -> Identifier {
    Identifier::new(number).expect("not zero")
}

#[tokio::test]
async fn votes_for_what_the_action_does_not_give_are_evidence() {
    let host = host();
    let action = host.prepare(&time_lock()).await.expect("it compiles");
    let engine = host.engine().engine_id();
    let honest = case(story(engine, b"hello"));
    replayed(&host, &action, &honest).await.expect("it gives just this");

    let lie = replayed(&host, &action, &case(story(engine, b"hallo"))).await;
    let (against, said) = evidence(lie.expect_err("three members lie"));
    assert_eq!(against, [1, 2, 3]);
    let honest = honest.trust().check(&honest.receipt).expect("it holds");
    assert_eq!(said.gives, Some(honest.outcome.hash()));

    let mut early = story(engine, b"hello");
    early.config = Bytes::from_static(br#"{"not_before":1900000000}"#);
    let (against, said) = evidence(replayed(&host, &action, &case(early)).await.expect_err("it was closed"));
    assert_eq!(against, [1, 2, 3]);
    assert!(said.what.contains("the action refuses"), "{said}");
}

#[tokio::test]
async fn who_lies_is_told_from_who_does_not() {
    let host = host();
    let action = host.prepare(&time_lock()).await.expect("it compiles");
    let engine = host.engine().engine_id();
    let mut one_lies = case(story(engine, b"hello"));
    one_lies.votes_for(member(2), story(engine, b"hallo").verdict);
    let dissent = one_lies.trust().check(&one_lies.receipt).expect_err("they do not vote for the same");
    assert!(matches!(dissent, CheckError::Dissent { members } if members == [2]));
    let (against, _) = evidence(replayed(&host, &action, &one_lies).await.expect_err("one lies"));
    assert_eq!(against, [2]);

    // two lie, and what they say stands in the receipt
    let mut two_lie = case(story(engine, b"hallo"));
    two_lie.votes_for(member(1), story(engine, b"hello").verdict);
    let (against, _) = evidence(replayed(&host, &action, &two_lie).await.expect_err("two lie"));
    assert_eq!(against, [2, 3]);

    // one that its coordinator never completed
    let mut part = case(story(engine, b"hallo"));
    part.receipt.signatures.clear();
    part.receipt.signers.retain(|signer, _| *signer == member(3));
    let (against, _) = evidence(replayed(&host, &action, &part).await.expect_err("it lies"));
    assert_eq!(against, [3]);

    // all are honest, and somebody has changed the verdict
    let mut changed = case(story(engine, b"hello"));
    changed.receipt.verdict = story(engine, b"hallo").verdict;
    let changed = replayed(&host, &action, &changed).await;
    assert!(matches!(changed, Err(ReplayError::Changed { .. })), "{changed:?}");
}

#[tokio::test]
async fn votes_over_a_run_without_verdict_are_evidence() {
    let host = host();
    let action = host.prepare(&time_lock()).await.expect("it compiles");
    let mut fuelless = story(host.engine().engine_id(), b"hello");
    fuelless.manifest.limits.fuel = 1;
    let (against, said) =
        evidence(replayed(&host, &action, &case(fuelless)).await.expect_err("it ends at once"));
    assert_eq!((against, said.gives), (vec![1, 2, 3], None));
    assert!(said.what.contains("without a verdict"), "{said}");
}

#[tokio::test]
async fn another_engine_or_action_is_no_evidence() {
    let host = host();
    let action = host.prepare(&time_lock()).await.expect("it compiles");
    let other = replayed(&host, &action, &case(story(EngineId::from([1; 32]), b"hello"))).await;
    assert!(matches!(other, Err(ReplayError::Engine { .. })), "{other:?}");
    let mut story = story(host.engine().engine_id(), b"hello");
    story.manifest.component = ComponentDigest::from([1; 32]);
    let other = replayed(&host, &action, &case(story)).await;
    assert!(matches!(other, Err(ReplayError::NotRun(_))), "{other:?}");
}

#[tokio::test]
async fn nothing_runs_for_a_receipt_that_no_member_signed() {
    let host = host();
    let action = host.prepare(&time_lock()).await.expect("it compiles");
    let mut unsigned = case(story(host.engine().engine_id(), b"hello"));
    unsigned.receipt.signers.clear();
    let run = replayed(&host, &action, &unsigned).await;
    assert!(matches!(run, Err(ReplayError::NoVotes)), "{run:?}");
}
