//! Receipts: an honest one holds, whatever is changed in one is noticed, and what is wrong is named.

use countersign_fuzzing::receipts::{Case, Story};
use countersign_receipt::{
    CheckError, DecodeError, MAX_RECEIPT_BYTES, Receipt, Trust, TrustError, VoteError,
};
use countersign_types::{
    B256, Bytes, Identifier, Scheme, Verdict, Vote,
    http::HttpResponse,
    read::{Read, RecordedRead},
};
use serde_json::Value;

/// Changes a document.
type Change = Box<dyn Fn(&mut Value)>;

/// Every value in a document that is one change away: each leaf altered, each element and each field left out.
fn changes(json: &Value, path: &str, found: &mut Vec<(String, Change)>) {
    let at = path.to_owned();
    let alter = move |change: Change| -> Change {
        let at = at.clone();
        Box::new(move |whole: &mut Value| {
            if let Some(value) = whole.pointer_mut(&at) {
                change(value);
            }
        })
    };
    match json {
        Value::Object(fields) => {
            for (name, value) in fields {
                let gone = name.clone();
                let remove =
                    move |value: &mut Value| drop(value.as_object_mut().map(|all| all.remove(&gone)));
                found.push((format!("{path}/{name} is gone"), alter(Box::new(remove))));
                changes(value, &format!("{path}/{}", name.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                let remove = move |value: &mut Value| drop(value.as_array_mut().map(|all| all.remove(index)));
                found.push((format!("{path}/{index} is gone"), alter(Box::new(remove))));
                let double = move |value: &mut Value| {
                    if let Some(all) = value.as_array_mut() {
                        all.push(all[index].clone());
                    }
                };
                found.push((format!("{path}/{index} is there twice"), alter(Box::new(double))));
                if index > 0 {
                    let swap = move |value: &mut Value| {
                        if let Some(all) = value.as_array_mut() {
                            all.swap(index - 1, index);
                        }
                    };
                    found.push((format!("{path}/{index} is before the one before"), alter(Box::new(swap))));
                }
                changes(value, &format!("{path}/{index}"), found);
            }
        }
        Value::String(text) => {
            // the last character, and one in the middle
            for index in [text.len().saturating_sub(1), text.len() / 2] {
                let other = move |value: &mut Value| {
                    let mut text: Vec<char> = value.as_str().unwrap_or_default().chars().collect();
                    match text.get_mut(index) {
                        Some(c) => *c = if *c == '1' { '2' } else { '1' },
                        None => text.push('1'),
                    }
                    *value = Value::String(text.into_iter().collect());
                };
                found.push((format!("{path} is another text"), alter(Box::new(other))));
            }
        }
        Value::Number(_) => {
            let other = |value: &mut Value| *value = Value::from(value.as_u64().unwrap_or_default() + 1);
            found.push((format!("{path} is one more"), alter(Box::new(other))));
        }
        Value::Bool(_) => {
            let other = |value: &mut Value| *value = Value::Bool(!value.as_bool().unwrap_or_default());
            found.push((format!("{path} is the other"), alter(Box::new(other))));
        }
        Value::Null => {
            let other = |value: &mut Value| *value = Value::from(1);
            found.push((format!("{path} is there"), alter(Box::new(other))));
        }
    }
}

#[test]
fn whatever_is_changed_in_a_receipt_is_noticed() {
    for scheme in Scheme::ALL {
        for story in [Story::priced(), Story::identical()] {
            every_change_is_noticed(&Case::of(scheme, story));
        }
    }
}

fn every_change_is_noticed(case: &Case) {
    let trust = case.trust();
    trust.check(&case.receipt).expect("an honest one holds");
    let honest = serde_json::to_value(&case.receipt).expect("it can be written");
    let mut all = Vec::new();
    changes(&honest, "", &mut all);
    let mut looked_at = 0;
    for (what, change) in &all {
        let mut changed = honest.clone();
        change(&mut changed);
        let json = serde_json::to_vec(&changed).expect("a document");
        // no receipt, or the same in another spelling
        let Ok(receipt) = Receipt::from_json(&json) else { continue };
        if receipt == case.receipt {
            continue;
        }
        looked_at += 1;
        assert!(trust.check(&receipt).is_err(), "{what}, and nobody notices");
    }
    assert!(all.len() > 250 && looked_at > 120, "{looked_at} of {} changes were looked at", all.len());
}

fn wrong(change: impl FnOnce(&mut Receipt)) -> CheckError {
    let mut case = Case::honest(Scheme::Bip340);
    let trust = case.trust();
    change(&mut case.receipt);
    trust.check(&case.receipt).expect_err("it was changed")
}

fn member(number: u16) -> Identifier {
    Identifier::new(number).expect("not zero")
}

#[test]
fn what_is_wrong_is_named() {
    assert!(matches!(wrong(|r| r.version = 2), CheckError::Version { got: 2 }));
    assert!(matches!(wrong(|r| r.request.request.nonce = B256::ZERO), CheckError::Request(_)));
    assert!(matches!(wrong(|r| r.terms.request = [0; 32].into()), CheckError::Terms { .. }));
    assert!(matches!(wrong(|r| r.terms.epoch = 2), CheckError::Epoch { expected: 1, got: 2 }));
    assert!(matches!(wrong(|r| r.terms.time_ms += 90_000), CheckError::Time { .. }));
    assert!(matches!(wrong(|r| r.terms.time_ms += 1), CheckError::Session { .. }));
    assert!(matches!(wrong(|r| r.terms.time_ms -= 31_001), CheckError::Time { .. }));
    assert!(matches!(wrong(|r| r.terms.time_ms -= 31_000), CheckError::Session { .. }));
    assert!(matches!(wrong(|r| r.terms.pins.clear()), CheckError::Pins { .. }));
    assert!(matches!(wrong(|r| r.manifest.hosts.clear()), CheckError::Action { .. }));
    assert!(matches!(wrong(|r| r.package.attempt = 0), CheckError::Package(_)));
    let swapped = wrong(|r| {
        let one = r.package.signatures[&member(1)];
        r.package.signatures.insert(member(2), one);
    });
    assert!(matches!(swapped, CheckError::Record { member } if member.get() == 2));
    assert!(matches!(wrong(|r| drop(r.reads.pop())), CheckError::ReadCount { expected: 2, got: 1 }));
    assert!(matches!(wrong(|r| r.reads.reverse()), CheckError::Read { position: 0, .. }));
    assert!(matches!(
        wrong(|r| r.verdict = Verdict::Refuse { reason: "no".into() }),
        CheckError::Refused { .. }
    ));
    let more = wrong(|r| {
        if let Verdict::Allow { payloads, .. } = &mut r.verdict {
            payloads.push(payloads[0].clone());
        }
    });
    assert!(matches!(more, CheckError::Payloads { expected: 1, got: 2 }), "{more}");
    let other = wrong(|r| {
        if let Verdict::Allow { response, .. } = &mut r.verdict {
            *response = vec![0].into();
        }
    });
    assert!(matches!(other, CheckError::Dissent { members } if members == [1, 2, 3]));
    let forged = wrong(|r| {
        if let Some(part) = r.signers.get_mut(&member(3)) {
            part.vote.vote.outcome = [1; 32].into();
        }
    });
    assert_eq!(vote(forged), VoteError::Signature, "nobody is blamed for what somebody else wrote");
    assert!(matches!(wrong(|r| drop(r.signers.remove(&member(2)))), CheckError::Signers { .. }));
    let lent = wrong(|r| {
        let one = r.signers[&member(1)].clone();
        r.signers.insert(member(2), one);
    });
    assert_eq!(vote(lent), VoteError::Signature);
    let padded = wrong(|r| {
        if let Some(part) = r.signers.get_mut(&member(1)) {
            part.shares.push(countersign_types::Bytes::new().try_into().expect("it is short"));
        }
    });
    assert_eq!(vote(padded), VoteError::ShareCount { expected: 1, got: 2 }, "a share of no bytes is one");
    let incomplete = wrong(|r| {
        r.signatures.clear();
        r.signers.retain(|signer, _| *signer == member(1));
    });
    assert!(matches!(incomplete, CheckError::Incomplete { .. }), "{incomplete}");
}

#[test]
fn what_does_not_fit_is_told_with_its_field() {
    let told = wrong(|r| r.terms.time_ms += 1).to_string();
    assert!(told.contains("`package.session`") && told.contains("`terms`"), "{told}");
    let mut later = Story::priced();
    later.time_ms += 1;
    let later = Case::of(Scheme::Bip340, later).receipt;
    let of_another = wrong(|r| {
        r.signers.insert(member(2), later.signers[&member(2)].clone());
    });
    let told = of_another.to_string();
    assert!(told.contains("`signers.2`") && told.contains("`vote.vote.session`"), "{told}");
    let session = later.package.session;
    assert!(matches!(vote(of_another), VoteError::Session { got, .. } if got == session));
}

fn vote(error: CheckError) -> VoteError {
    let CheckError::Vote { source, .. } = error else { panic!("{error}") };
    source
}

#[test]
fn a_vote_is_for_its_own_package_record_and_shares_alone() {
    type Change = fn(&mut Vote);
    let changes: [(Change, VoteError); 3] = [
        (|vote| vote.package = [1; 32].into(), VoteError::Package),
        (|vote| vote.record = [1; 32].into(), VoteError::Record),
        (|vote| vote.shares = B256::ZERO, VoteError::Shares),
    ];
    for (change, expected) in changes {
        let mut case = Case::honest(Scheme::Ed25519);
        case.votes(member(2), change);
        let error = case.trust().attested(&case.receipt).expect_err("the member signed it for another");
        assert_eq!(vote(error), expected);
    }
}

#[test]
fn what_somebody_gave_who_was_not_asked_does_not_count() {
    let mut case = Case::of(Scheme::Ed25519, Story::identical());
    let (package, fourth) = (&mut case.receipt.package, member(4));
    package.records.insert(fourth, package.records[&member(1)].clone());
    package.base.insert(fourth);
    let part = case.receipt.signers[&member(1)].clone();
    case.receipt.signers.insert(fourth, part);
    case.votes_again();
    let error = case.trust().attested(&case.receipt).expect_err("three were asked");
    assert!(matches!(&error, CheckError::Signers { got, .. } if *got == [1, 2, 3, 4]), "{error}");
}

#[test]
fn what_a_signers_own_record_does_not_accept_is_not_agreed() {
    let mut story = Story::priced();
    let Read::Http(read) = story.reads[2][1].read().clone() else { panic!("the price comes last") };
    let body = Bytes::from_static(br#"{"price":200}"#);
    let far = HttpResponse { status: 200, content_type: None, body };
    story.reads[2][1] = RecordedRead::http(read, far).expect("it has a price");
    let case = Case::of(Scheme::Ed25519, story);
    let error = case.trust().attested(&case.receipt).expect_err("twice the median");
    assert!(matches!(error, CheckError::Agreement { member, .. } if member.get() == 3), "{error}");
}

#[test]
fn receipts_of_others_and_what_is_none_are_told_apart() {
    let case = Case::honest(Scheme::Ed25519);
    let mut genesis = case.genesis.clone();
    genesis.nonce = B256::ZERO;
    let other = Trust::new(&genesis, case.root_keys.clone());
    assert!(matches!(other, Err(TrustError::RootKeys(_))), "root keys of another network");
    let mut keys = case.root_keys.clone();
    keys.ceremonies[0].signatures.pop();
    assert!(
        matches!(Trust::new(&case.genesis, keys), Err(TrustError::RootKeys(_))),
        "not all activated them"
    );
    let mut receipt = case.receipt.clone();
    receipt.request.request.network = [1; 32].into();
    assert!(matches!(case.trust().check(&receipt), Err(CheckError::Network { .. })));

    let json = serde_json::to_vec(&case.receipt).expect("it can be written");
    assert!(matches!(Receipt::from_json(&json[..json.len() - 1]), Err(DecodeError::Form(_))));
    assert!(matches!(Receipt::from_json(b"{\"version\":2}"), Err(DecodeError::Version { got: 2 })));
    let long = vec![b' '; MAX_RECEIPT_BYTES + 1];
    assert!(matches!(Receipt::from_json(&long), Err(DecodeError::TooLong { .. })));
    let mut unknown = serde_json::to_value(&case.receipt).expect("it can be written");
    unknown["more"] = Value::Null;
    assert!(Receipt::from_json(unknown.to_string().as_bytes()).is_err());
}

#[test]
fn a_receipt_is_told_in_words() {
    let case = Case::honest(Scheme::SchnorrSecp256k1);
    let trust = case.trust();
    let checked = trust.check(&case.receipt).expect("it holds");
    let said = trust.explain(&case.receipt, &checked);
    let [balance, price] = said.reads.as_slice() else { panic!("{:?}", said.reads) };
    assert_eq!((balance.agreed.as_str(), balance.rule.as_str()), ("12 wei", "identical"));
    let saw: Vec<_> = balance.saw.iter().map(|(member, value)| (member.get(), value.as_str())).collect();
    assert_eq!(saw, [(1, "12 wei"), (2, "12 wei"), (3, "12 wei")]);
    assert_eq!((price.field.as_deref(), price.agreed.as_str()), (Some("/price"), "100.01"));
    let saw: Vec<_> = price.saw.iter().map(|(member, value)| (member.get(), value.as_str())).collect();
    assert_eq!(saw, [(1, "100"), (2, "100.01"), (3, "100.02")]);
    assert_eq!(said.signed[0].content.as_ref(), b"released");
    assert_eq!(said.signers.iter().map(|signer| signer.member.get()).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn who_did_not_say_what_it_saw_is_not_said_to_have() {
    let mut case = Case::of(Scheme::Ed25519, Story::identical());
    let package = &mut case.receipt.package;
    let member = |number| Identifier::new(number).expect("not zero");
    let fourth = member(4);
    package.records.insert(fourth, package.records[&member(1)].clone());
    package.base.insert(fourth);
    case.votes_again();
    let trust = case.trust();
    let checked = trust.check(&case.receipt).expect("the signers signed just this");
    for read in trust.explain(&case.receipt, &checked).reads {
        let saw: Vec<u16> = read.saw.iter().map(|(member, _)| member.get()).collect();
        assert_eq!(saw, [1, 2, 3], "{}", read.read);
    }
}

#[test]
fn a_manifest_that_no_node_takes_is_named() {
    let mut story = Story::priced();
    story.manifest.name = "No name".into();
    let case = Case::of(Scheme::Ed25519, story);
    let error = case.trust().check(&case.receipt).expect_err("no action has such a manifest");
    assert!(matches!(error, CheckError::Manifest(_)), "{error}");
}
