//! The action `approvals`: who counts, and who does not.

mod guest;

use countersign_types::{Bytes, KeyId, NodeKey, Payload, PublicKey, Verdict, typed_data_digest};
use guest::{Guest, nobody, refusal};
use serde_json::{Value, json};

/// The context's time, in seconds.
const NOW: u64 = 1_700_000_000;
/// The context's key.
const KEY: [u8; 32] = [4; 32];
/// Its public key on the context's network.
const PUBLIC_KEY: [u8; 33] = [2; 33];

fn person(number: u8) -> NodeKey {
    NodeKey::from_bytes([number; 32]).expect("a scalar")
}

fn config(needed: u64) -> Value {
    let people: Vec<String> =
        (1..=5).map(|number| person(number).public_key().address().to_string()).collect();
    json!({ "people": people, "needed": needed })
}

/// Somebody's signature, over what the action's README says.
fn approval(number: u8, key: [u8; 32], text: &str, until: u64) -> String {
    approval_under(&PUBLIC_KEY, number, key, text, until)
}

/// The same on a network where the key has another public key.
fn approval_under(public_key: &[u8], number: u8, key: [u8; 32], text: &str, until: u64) -> String {
    let typed_data = json!({
        "types": {
            "EIP712Domain": [{ "name": "name", "type": "string" }, { "name": "version", "type": "string" }],
            "Approval": [
                { "name": "key", "type": "bytes32" },
                { "name": "publicKey", "type": "bytes" },
                { "name": "text", "type": "string" },
                { "name": "until", "type": "uint64" },
            ],
        },
        "primaryType": "Approval",
        "domain": { "name": "Countersign approvals", "version": "1" },
        "message": {
            "key": KeyId::from(key),
            "publicKey": Bytes::copy_from_slice(public_key),
            "text": text,
            "until": until.to_string(),
        },
    });
    let digest = typed_data_digest(&typed_data.to_string()).expect("typed data");
    let signature = person(number).sign(countersign_types::B256::from_slice(&digest));
    Bytes::copy_from_slice(signature.as_bytes()).to_string()
}

fn good(number: u8) -> String {
    approval(number, KEY, "hello", NOW + 1)
}

async fn guest() -> Guest {
    let mut guest = Guest::javascript("approvals", "").await;
    guest.context.public_key = PublicKey(Bytes::copy_from_slice(&PUBLIC_KEY));
    guest
}

async fn run(guest: &mut Guest, config: &Value, params: &Value) -> Verdict {
    guest.context.config = config.to_string().into_bytes().into();
    guest.context.params = params.to_string().into_bytes().into();
    let live = guest.live(nobody()).await;
    let replay = guest.replay(&live.reads).await;
    assert_eq!(replay.end, live.end);
    live.end.expect("a verdict")
}

fn params(approvals: &[String]) -> Value {
    json!({ "text": "hello", "until": NOW + 1, "approvals": approvals })
}

#[tokio::test]
async fn enough_people_who_signed_this_are_signed_for() {
    let mut guest = guest().await;
    for signers in [&[1, 2, 3][..], &[5, 3, 1], &[1, 2, 3, 4, 5]] {
        let approvals: Vec<String> = signers.iter().map(|number| good(*number)).collect();
        let Verdict::Allow { payloads, response } = run(&mut guest, &config(3), &params(&approvals)).await
        else {
            panic!("{signers:?} are refused")
        };
        assert_eq!(payloads, [Payload::Bytes(b"hello".to_vec().into())]);
        let response: Value = serde_json::from_slice(&response).expect("JSON");
        assert_eq!(response["approved_by"].as_array().map(Vec::len), Some(signers.len()));
    }
}

#[tokio::test]
async fn too_few_are_refused_however_many_signatures_there_are() {
    let mut guest = guest().await;
    let other_text = approval(3, KEY, "hallo", NOW + 1);
    let other_key = approval(3, [5; 32], "hello", NOW + 1);
    let other_time = approval(3, KEY, "hello", NOW + 2);
    let no_signature = format!("0x{}", "11".repeat(65));
    for (third, approving) in [
        (None, 2),
        (Some(good(2)), 2),
        (Some(good(6)), 2),
        (Some(other_text), 2),
        (Some(other_key), 2),
        (Some(other_time), 2),
        (Some(no_signature), 2),
    ] {
        let approvals: Vec<String> = [good(1), good(2)].into_iter().chain(third).collect();
        let verdict = run(&mut guest, &config(3), &params(&approvals)).await;
        let reason = refusal(&verdict);
        assert!(reason.starts_with(&format!("{approving} of 5 people approve, 3 must")), "{reason}");
    }
}

#[tokio::test]
async fn approvals_under_another_root_key_do_not_count() {
    let mut guest = guest().await;
    // the same spec, and so the same key id, on another network
    let elsewhere = [3; 33];
    let approvals: Vec<String> =
        (1..=5).map(|number| approval_under(&elsewhere, number, KEY, "hello", NOW + 1)).collect();
    let verdict = run(&mut guest, &config(3), &params(&approvals)).await;
    let reason = refusal(&verdict);
    assert!(reason.starts_with("0 of 5 people approve, 3 must"), "{reason}");
    // they are good ones where they were given
    guest.context.public_key = PublicKey(Bytes::copy_from_slice(&elsewhere));
    let verdict = run(&mut guest, &config(3), &params(&approvals)).await;
    assert!(matches!(verdict, Verdict::Allow { .. }), "{verdict:?}");
}

#[tokio::test]
async fn approvals_end() {
    let mut guest = guest().await;
    let over = json!({ "text": "hello", "until": NOW, "approvals": [
        approval(1, KEY, "hello", NOW), approval(2, KEY, "hello", NOW), approval(3, KEY, "hello", NOW),
    ]});
    let verdict = run(&mut guest, &config(3), &over).await;
    assert!(refusal(&verdict).starts_with("the approvals ended at 2023-11-14T22:13:20"), "{verdict:?}");
}

#[tokio::test]
async fn what_is_no_config_or_no_params_is_refused_with_a_reason() {
    let mut guest = guest().await;
    let approvals = [good(1), good(2), good(3)];
    let people = config(3)["people"].clone();
    for (config, words) in [
        (json!([]), "no object"),
        (json!({ "people": people, "needed": 3, "x": 1 }), "unknown field `x`"),
        (json!({ "people": [], "needed": 1 }), "people is a list"),
        (json!({ "people": ["0x12"], "needed": 1 }), "a person is an address"),
        (json!({ "people": [people[0], people[0]], "needed": 1 }), "names somebody twice"),
        (json!({ "people": people, "needed": 6 }), "needed is 1 to 5"),
        (json!({ "people": people, "needed": 0 }), "needed is 1 to 5"),
    ] {
        let verdict = run(&mut guest, &config, &params(&approvals)).await;
        let reason = refusal(&verdict);
        assert!(reason.starts_with("the key's config cannot be used") && reason.contains(words), "{reason}");
    }
    for (params, words) in [
        (json!(null), "no object"),
        (json!({ "text": "", "until": 1, "approvals": [] }), "text is a text"),
        (json!({ "text": "a", "until": "1", "approvals": [] }), "until is a time"),
        (json!({ "text": "a", "until": 1e300, "approvals": [] }), "until is a time"),
        (json!({ "text": "a", "until": 1, "approvals": {} }), "approvals is a list"),
        (json!({ "text": "a", "until": 1, "approvals": ["0x12"] }), "an approval is a signature"),
    ] {
        let verdict = run(&mut guest, &config(3), &params).await;
        let reason = refusal(&verdict);
        assert!(reason.starts_with("the params cannot be used") && reason.contains(words), "{reason}");
    }
}
