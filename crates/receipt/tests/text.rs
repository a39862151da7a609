//! A receipt's JSON holds nothing beside the receipt, and its votes stand whatever its verdict says.

use countersign_fuzzing::receipts::{Case, Story};
use countersign_receipt::{CheckError, Receipt, VoteError};
use countersign_types::{Identifier, Scheme, Verdict, action::ManifestError};
use serde_json::Value;

fn member(number: u16) -> Identifier {
    Identifier::new(number).expect("not zero")
}

/// Each object of a document, by its JSON pointer.
fn objects(json: &Value, path: &str, found: &mut Vec<String>) {
    if let Some(fields) = json.as_object() {
        found.push(path.to_owned());
        for (name, value) in fields {
            objects(value, &format!("{path}/{name}"), found);
        }
    }
    for (index, value) in json.as_array().into_iter().flatten().enumerate() {
        objects(value, &format!("{path}/{index}"), found);
    }
}

#[test]
fn no_object_of_a_receipt_has_a_field_more() {
    for story in [Story::priced(), Story::identical()] {
        let honest = serde_json::to_value(Case::of(Scheme::Ed25519, story).receipt).expect("JSON");
        Receipt::from_json(honest.to_string().as_bytes()).expect("an honest one is read");
        let mut all = Vec::new();
        objects(&honest, "", &mut all);
        assert!(all.len() > 25, "{all:?}");
        for path in all {
            let mut changed = honest.clone();
            let object = changed.pointer_mut(&path).and_then(Value::as_object_mut).expect("an object");
            object.insert("more".into(), Value::Null);
            assert!(Receipt::from_json(changed.to_string().as_bytes()).is_err(), "{path}/more");
        }
    }
}

#[test]
fn nothing_is_there_twice_or_out_of_order() {
    let case = Case::honest(Scheme::Ed25519);
    let honest = serde_json::to_string(&case.receipt).expect("JSON");
    // the vote of a stranger before the member's own, which a map would keep
    let own = serde_json::to_string(&case.receipt.signers[&member(1)]).expect("JSON");
    let double =
        honest.replacen(r#""signers":{"1":{"vote""#, &format!(r#""signers":{{"1":{own},"1":{{"vote""#), 1);
    let mut changed = vec![(double, "twice")];
    for map in ["records", "signatures"] {
        let all = serde_json::to_value(&case.receipt.package).expect("JSON");
        let first = format!(r#""{map}":{{"1":{}"#, all[map]["1"]);
        let again = format!(r#"{first},"1":{}"#, all[map]["1"]);
        let start = format!(r#""{map}":{{"1":"#);
        changed.push((honest.replacen(&start, &format!("{again},\"1\":"), 1), "twice"));
    }
    for base in ["[2,1,3]", "[1,2,2,3]", "[1,2,3,3]"] {
        changed.push((honest.replacen(r#""base":[1,2,3]"#, &format!(r#""base":{base}"#), 1), ""));
    }
    for (text, word) in changed {
        assert_ne!(text, honest, "something was changed");
        let read: Receipt = serde_json::from_str(&text).expect("a map that is filled does not notice");
        assert_eq!(read, case.receipt);
        let error = Receipt::from_json(text.as_bytes()).expect_err("it is noticed");
        let told = std::error::Error::source(&error).expect("what is wrong").to_string();
        assert!(told.contains(word), "{told}");
    }
}

#[test]
fn votes_count_whatever_the_verdict_says() {
    let mut case = Case::honest(Scheme::Ed25519);
    case.votes_for(member(2), Story::identical().verdict);
    let mut more = Story::priced().verdict;
    if let Verdict::Allow { payloads, .. } = &mut more {
        payloads.push(payloads[0].clone());
    }
    let nothing = Verdict::Allow { payloads: Vec::new(), response: Default::default() };
    for verdict in [Verdict::Refuse { reason: "no".into() }, more, nothing] {
        case.receipt.verdict = verdict;
        let attested = case.trust().attested(&case.receipt).expect("all have signed their votes");
        assert_eq!(attested.votes.len(), 3);
        assert_ne!(attested.votes[&member(1)], attested.votes[&member(2)]);
        let error = case.trust().check(&case.receipt).expect_err("it makes no such signature");
        assert!(
            matches!(
                error,
                CheckError::Refused { .. } | CheckError::Payloads { .. } | CheckError::Verdict(_)
            ),
            "{error}"
        );
    }
}

#[test]
fn a_broken_vote_takes_no_other_with_it() {
    let mut case = Case::honest(Scheme::Ed25519);
    if let Some(part) = case.receipt.signers.get_mut(&member(3)) {
        part.vote.vote.outcome = [1; 32].into();
    }
    let (attested, broken) = case.trust().attested_in_part(&case.receipt).expect("two votes count");
    assert!(attested.votes.keys().eq(&[member(1), member(2)]), "nobody is blamed for what it did not sign");
    let broken = broken.expect("one does not");
    let is_of_third =
        matches!(&broken, CheckError::Vote { member, source: VoteError::Signature } if member.get() == 3);
    assert!(is_of_third, "{broken}");
    assert!(matches!(case.trust().attested(&case.receipt), Err(CheckError::Vote { .. })));
}

#[test]
fn a_manifest_is_looked_at_before_it_is_compared() {
    let mut case = Case::honest(Scheme::Ed25519);
    case.receipt.manifest.chains = vec![1; 100_000];
    let error = case.trust().check(&case.receipt).expect_err("no node takes such a manifest");
    assert!(matches!(error, CheckError::Manifest(ManifestError::List { .. })));
    assert!(error.to_string().len() < 300, "{error}");
}
