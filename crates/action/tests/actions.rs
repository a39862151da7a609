//! The actions that come with this repository, run by the host that nodes run.

mod guest;

use countersign_action::Abort;
use countersign_types::{
    Payload, Verdict,
    read::{Read, RecordedRead},
};
use guest::{Answers, Guest, balance, nobody, refusal, world};

const GATE: &str = r#"{"chain_id":31337,"token":null,"minimum":"1000"}"#;

async fn action(name: &str, config: &str, params: &str) -> Guest {
    Guest::action(guest::host(&guest::small()), name, config, params).await
}

#[tokio::test]
async fn balance_gate_signs_for_who_has_enough() {
    let gate = action("balance-gate", GATE, "hello").await;
    let live = gate.live(Answers::new(world)).await;
    let Ok(Verdict::Allow { payloads, .. }) = &live.end else { panic!("{:?}", live.end) };
    assert_eq!(payloads, &[Payload::Bytes(b"hello".to_vec().into())]);
    assert_eq!(live.reads.len(), 1);
    let replay = gate.replay(&live.reads).await;
    assert_eq!((&replay.end, replay.fuel, replay.consumed), (&live.end, live.fuel, 1));
}

#[tokio::test]
async fn balance_gate_refuses_over_another_agreed_balance() {
    let gate = action("balance-gate", GATE, "hello").await;
    let reads = gate.live(Answers::new(world)).await.reads;
    let Read::Evm(read) = reads[0].read() else { panic!("a balance") };
    let poor = RecordedRead::evm(read.clone(), balance(999)).expect("a balance");
    let replay = gate.replay(&[poor]).await;
    let reason = replay.end.as_ref().map(refusal).expect("a refusal");
    assert!(reason.contains("has 999 wei") && reason.contains("at least 1000"), "{reason}");
    assert_eq!(gate.replay(&[]).await.end, Err(Abort::NotAgreed { position: 0 }));
}

#[tokio::test]
async fn a_chain_beyond_the_manifest_is_refused_by_the_action() {
    let gate = action("balance-gate", &GATE.replace("31337", "1"), "hello").await;
    let live = gate.live(nobody()).await;
    assert!(matches!(live.end, Ok(Verdict::Refuse { .. })), "{:?}", live.end);
}

#[tokio::test]
async fn time_lock_goes_by_the_pinned_block() {
    let params = r#"{"messages":["0x00ff","0x01"]}"#;
    for (not_before, allowed) in [(1_700_000_000, true), (1_700_000_001, false)] {
        let config = format!(r#"{{"not_before":{not_before},"chain_id":31337}}"#);
        let lock = action("time-lock", &config, params).await;
        let live = lock.live(nobody()).await;
        assert_eq!(matches!(live.end, Ok(Verdict::Allow { .. })), allowed, "{:?}", live.end);
        assert_eq!(lock.replay(&[]).await.end, live.end);
    }
}

#[tokio::test]
async fn hostile_params_are_refused_and_trap_nothing() {
    let config = r#"{"not_before":0}"#;
    let deep = "[".repeat(60_000);
    let giant = format!(r#"{{"messages":["0x{}"]}}"#, "00".repeat(30_000));
    for params in ["", "{}", "null", r#"{"messages":[]}"#, r#"{"messages":["0x0"]}"#, &deep, &giant] {
        let live = action("time-lock", config, params).await.live(nobody()).await;
        assert!(live.end.is_ok(), "{params:.40}: {:?}", live.end);
    }
}
