//! The action `taproot-release`: what it refuses whatever the price, and at which price it signs. That what it signs is BIP-341's hash
//! is shown by the example, whose transactions the `bitcoin` crate checks.

mod guest;

use std::collections::BTreeSet;

use countersign_types::{Bytes, Payload, PublicKey, Scheme, Verdict};
use guest::{Answers, Guest, prices, refusal};
use serde_json::{Value, json};

const RECEIVER: &str = "0x5120aa";

fn config() -> Value {
    json!({
        "price": { "url": "https://a.example/x", "pointer": "/price" },
        "tolerance": { "bps": 50 },
        "above": "1.49",
        "pay_to": RECEIVER,
        "max_fee": "500",
    })
}

fn input(vout: u64) -> Value {
    json!({ "txid": "01".repeat(32), "vout": vout, "sequence": 0xffff_fffd_u32, "amount": "1000" })
}

fn spend() -> Value {
    json!({
        "version": 2,
        "lock_time": 0,
        "inputs": [input(0), input(1)],
        "outputs": [{ "amount": "1600", "script": RECEIVER }],
    })
}

async fn guest() -> Guest {
    let mut guest = Guest::javascript("taproot-release", "").await;
    guest.context.scheme = Scheme::Bip340;
    guest.context.public_key = PublicKey(vec![2; 32].into());
    guest
}

async fn run(guest: &mut Guest, config: &Value, spend: &Value) -> Verdict {
    guest.context.config = config.to_string().into_bytes().into();
    guest.context.params = spend.to_string().into_bytes().into();
    let live = guest.live(Answers::web(prices)).await;
    let replay = guest.replay(&live.reads).await;
    assert_eq!(replay.end, live.end);
    live.end.expect("a verdict")
}

async fn hashes(guest: &mut Guest, spend: &Value) -> Vec<Bytes> {
    let verdict = run(guest, &config(), spend).await;
    let Verdict::Allow { payloads, .. } = verdict else { panic!("{verdict:?}") };
    let raw = |payload| {
        let Payload::Raw(bytes) = payload else { panic!("{payload:?}") };
        bytes
    };
    payloads.into_iter().map(raw).collect()
}

fn with(mut value: Value, pointer: &str, new: Value) -> Value {
    *value.pointer_mut(pointer).expect("it is there") = new;
    value
}

#[tokio::test]
async fn each_input_has_a_hash_that_every_part_of_the_transaction_moves() {
    let mut guest = guest().await;
    let mut seen: BTreeSet<Bytes> = hashes(&mut guest, &spend()).await.into_iter().collect();
    assert_eq!(seen.len(), 2, "each input has its own");
    for (pointer, new) in [
        ("/version", json!(1)),
        ("/inputs/0/txid", json!("02".repeat(32))),
        ("/inputs/0/vout", json!(7)),
        ("/inputs/1/sequence", json!(0xffff_ffff_u32)),
        ("/inputs/1/amount", json!("1001")),
        ("/outputs/0/amount", json!("1601")),
    ] {
        for hash in hashes(&mut guest, &with(spend(), pointer, new)).await {
            assert_eq!(hash.len(), 32);
            assert!(seen.insert(hash), "{pointer} does not move the hash");
        }
    }
}

#[tokio::test]
async fn the_price_must_be_above_the_limit() {
    let mut guest = guest().await;
    for (above, allowed) in [("1.49", true), ("1.5", false), ("2", false)] {
        let verdict = run(&mut guest, &with(config(), "/above", json!(above)), &spend()).await;
        assert_eq!(matches!(verdict, Verdict::Allow { .. }), allowed, "{above}: {verdict:?}");
    }
}

#[tokio::test]
async fn money_goes_nowhere_else_whatever_the_price() {
    let mut guest = guest().await;
    for (spend, words) in [
        (with(spend(), "/outputs/0/script", json!("0x5120ab")), "pays to the script 0x5120ab"),
        (with(spend(), "/outputs/0/amount", json!("1499")), "a fee of 501"),
        (with(spend(), "/outputs/0/amount", json!("2001")), "a fee of -1"),
    ] {
        let verdict = run(&mut guest, &config(), &spend).await;
        assert!(refusal(&verdict).contains(words), "{verdict:?}");
    }
}

#[tokio::test]
async fn nothing_holds_a_signed_transaction_back() {
    let mut guest = guest().await;
    for (pointer, new, words) in [
        ("/lock_time", json!(1), "lock_time is 0, got 1"),
        ("/lock_time", json!(u32::MAX), "lock_time is 0"),
        ("/inputs/1/sequence", json!(0), "a sequence is 4294967295 or 4294967293, got 0"),
        ("/inputs/0/sequence", json!(0xffff_fffe_u32), "a sequence is"),
    ] {
        let verdict = run(&mut guest, &config(), &with(spend(), pointer, new)).await;
        let reason = refusal(&verdict);
        assert!(reason.starts_with("the transaction cannot be used") && reason.contains(words), "{reason}");
    }
}

#[tokio::test]
async fn one_output_pays_the_receiver_and_more_than_dust() {
    let mut guest = guest().await;
    let paid = |amount: &str| json!({ "amount": amount, "script": RECEIVER });
    let one_input = with(spend(), "/inputs", json!([input(0)]));
    for (outputs, words) in [
        (json!([paid("800"), paid("800")]), "it has one output"),
        (json!([paid("1600"), { "amount": "1", "script": "0x5120ab" }]), "it has one output"),
        (json!([paid("0")]), "at least 546 satoshis, got 0"),
        (json!([paid("545")]), "at least 546 satoshis, got 545"),
    ] {
        let verdict = run(&mut guest, &config(), &with(one_input.clone(), "/outputs", outputs)).await;
        let reason = refusal(&verdict);
        assert!(reason.starts_with("the transaction cannot be used") && reason.contains(words), "{reason}");
    }
    let least = with(one_input, "/outputs", json!([paid("546")]));
    assert_eq!(hashes(&mut guest, &least).await.len(), 1, "a fee of 454 is allowed");
}

#[tokio::test]
async fn what_is_no_config_or_no_transaction_is_refused_with_a_reason() {
    let mut guest = guest().await;
    for (pointer, new, words) in [
        ("/price", json!("x"), "price is"),
        ("/above", json!(1), "above is"),
        ("/pay_to", json!("5120"), "pay_to is"),
        ("/max_fee", json!("-1"), "max_fee is"),
        ("/tolerance", json!({ "bps": 20_000 }), "tolerance"),
    ] {
        let verdict = run(&mut guest, &with(config(), pointer, new), &spend()).await;
        let reason = refusal(&verdict);
        assert!(reason.starts_with("the key's config cannot be used") && reason.contains(words), "{reason}");
    }
    for (pointer, new, words) in [
        ("/version", json!(-1), "version"),
        ("/lock_time", json!(4_294_967_296_u64), "lock_time"),
        ("/inputs", json!([]), "1 to 4 inputs"),
        ("/inputs", json!([input(0), input(1), input(2), input(3), input(4)]), "1 to 4 inputs"),
        ("/inputs/0/txid", json!("0x01"), "an input is"),
        ("/inputs/0/amount", json!("01"), "an input is"),
        ("/inputs/0/amount", json!("2100000000000001"), "an input is"),
        ("/outputs", json!([]), "one output"),
        ("/outputs/0/amount", json!(1500), "an output is"),
        ("/outputs/0/script", json!("0x"), "an output is"),
    ] {
        let verdict = run(&mut guest, &config(), &with(spend(), pointer, new)).await;
        let reason = refusal(&verdict);
        assert!(reason.starts_with("the transaction cannot be used") && reason.contains(words), "{reason}");
    }
}
