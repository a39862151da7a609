//! Seeds of what peers send.

use std::collections::BTreeMap;

use countersign_network::frame::append;
use countersign_session::{
    keygen,
    message::{
        Completion, Decline, Eager, Observation, Package, Preprocess, Proposal, Provisional, Signed,
        SignerPart, ToCoordinator, ToParticipant, shares_hash,
    },
};
use countersign_threshold::{Commitments, SigningPackage};
use countersign_types::{
    ActionId, Address, B256, FailureKind, Identifier, Pin, Record, Scheme, Signature, U256, Vote,
    evm::{EvmRead, EvmValue, Log, Receipt},
};
use countersign_wire::{
    Announcement, Answer, Ask, BackgroundFrame, Piece, Question, SigningFrame, Wanted, encode,
};
use serde::Serialize;

use super::{Seed, bodies::publication};
use crate::{
    session::{allowed, honest_messages, identical, quote},
    wire::{own_boot, own_hello},
    world::{Asked, NOW, world},
};

pub(super) fn seeds() -> Vec<Seed> {
    let mut seeds = greetings();
    seeds.extend(signing().into_iter().flat_map(|(name, frame)| on_signing_lane(name, &frame)));
    seeds.extend(key_generation());
    seeds.extend(outside_sessions());
    seeds.extend(chain());
    seeds
}

pub(super) fn bytes(value: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(value).expect("plain data in memory")
}

fn greetings() -> Vec<Seed> {
    let mut stream = vec![6];
    [&b"one"[..], b"", &[7; 300]].into_iter().for_each(|content| append(&mut stream, content));
    vec![
        Seed::new("frames", "three", stream),
        Seed::new("hello", "hello", own_hello().encode(Some(own_boot()))),
    ]
}

/// A frame of the signing lane, and the message in it.
fn on_signing_lane(name: &'static str, frame: &SigningFrame) -> [Seed; 2] {
    let (tag, message) = match frame {
        SigningFrame::ToParticipant(message) => (0, bytes(message)),
        SigningFrame::ToCoordinator(message) => (1, bytes(message)),
        SigningFrame::Preprocess(message) => (2, bytes(message)),
    };
    [Seed::new("signing_frames", name, framed(frame)), Seed::tagged("messages", name, tag, message)]
}

fn framed(frame: &impl Serialize) -> Vec<u8> {
    encode(frame).expect("plain data in memory").into()
}

fn signing() -> Vec<(&'static str, SigningFrame)> {
    let asked = &world().requests(Scheme::Bip340)[0];
    let terms = asked.terms(NOW);
    let session = terms.id(world().network());
    let signers = commitments(asked);
    let me = world().members()[0];
    let quoted = Record { entries: vec![quote(100)] };
    let package = |record: &Record| {
        let all = |id: &Identifier| (*id, record.clone());
        let sign = |id: &Identifier| {
            Some((*id, Observation::sign(record, world().network(), session, world().identity(*id))?))
        };
        Package {
            session,
            attempt: 1,
            base: signers.keys().copied().collect(),
            records: signers.keys().map(all).collect(),
            signatures: signers.keys().filter_map(sign).collect(),
            signers: signers.clone(),
        }
    };
    let request = || asked.request.signed().clone();
    let eager = Box::new(Eager { record: identical(), signers: signers.clone() });
    let propose = |eager| {
        ToParticipant::Propose(Box::new(Proposal { request: request(), terms: terms.clone(), eager }))
    };
    let sign = |record| ToParticipant::Sign { package: Box::new(package(record)), send_verdict: true };
    let observed = |record: &Record| {
        ToCoordinator::Observed(Box::new(Observation {
            session,
            record: record.clone(),
            signature: Observation::sign(record, world().network(), session, world().identity(me)),
            decision: Provisional::Allow,
            commitments: signers[&me].clone(),
        }))
    };
    let decline = Decline::Abstain { kind: FailureKind::Unavailable, reason: "the provider is down".into() };
    let (own, scheme) = (signers[&me].clone(), Scheme::Bip340);
    let part = match signed(asked, me, &package(&identical())) {
        ToCoordinator::Signed(signed) => Some((me, SignerPart { vote: signed.vote, shares: signed.shares })),
        ToCoordinator::Observed(_) | ToCoordinator::Declined { .. } | ToCoordinator::Committed { .. } => None,
    };
    let completion = Box::new(Completion {
        attempt: 1,
        signers: part.into_iter().collect(),
        signatures: vec![Signature(vec![7; 64].into())],
    });
    let to_participant = |name, message| (name, SigningFrame::ToParticipant(message));
    let to_coordinator = |name, message| (name, SigningFrame::ToCoordinator(message));
    let preprocess = |name, message| (name, SigningFrame::Preprocess(message));
    vec![
        to_participant("propose", propose(None)),
        to_participant("propose-eager", propose(Some(eager))),
        to_participant("commit", ToParticipant::Commit { session, attempt: 2 }),
        to_participant("sign", sign(&identical())),
        to_participant("sign-quotes", sign(&quoted)),
        to_participant("close", ToParticipant::Close { session, signed: None }),
        to_participant("close-signed", ToParticipant::Close { session, signed: Some(completion) }),
        to_coordinator("observed", observed(&identical())),
        to_coordinator("observed-quotes", observed(&quoted)),
        to_coordinator("declined", ToCoordinator::Declined { session, attempt: Some(1), decline }),
        to_coordinator(
            "committed",
            ToCoordinator::Committed { session, attempt: 2, commitments: own.clone() },
        ),
        to_coordinator("signed", signed(asked, me, &package(&identical()))),
        preprocess("ask", Preprocess::Ask { scheme, count: 16 }),
        preprocess("hand-out", Preprocess::HandOut { scheme, commitments: own }),
    ]
}

fn commitments(asked: &Asked) -> BTreeMap<Identifier, Vec<Commitments>> {
    world().members()[..3].iter().map(|id| (*id, vec![asked.nonces(*id, 1).1])).collect()
}

fn signed(asked: &Asked, me: Identifier, package: &Package) -> ToCoordinator {
    let outcome = allowed(asked, 1, 0);
    let commitments = package.signers.iter().map(|(id, all)| (*id, all[0].clone())).collect();
    let signing = SigningPackage::new(commitments, outcome.messages().remove(0));
    let share = asked.nonces(me, 1).0.sign(&signing, &asked.shares[&me]).expect("all are honest");
    let shares = vec![share];
    let vote = Vote {
        session: package.session,
        record: package.records[&me].hash(),
        package: package.hash(world().network()),
        outcome: outcome.hash(),
        shares: shares_hash(&shares),
    };
    let vote = vote.sign(world().network(), world().identity(me));
    ToCoordinator::Signed(Box::new(Signed { attempt: 1, shares, verdict: Some(outcome.verdict()), vote }))
}

fn key_generation() -> Vec<Seed> {
    let (messages, _) = honest_messages(Scheme::SchnorrSecp256k1);
    let named = |message: keygen::Message| {
        let shown = format!("{message:?}");
        let end = shown.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(shown.len());
        let (name, encoded) = (shown[..end].to_ascii_lowercase(), bytes(&message));
        let frame = framed(&BackgroundFrame::KeyGeneration(message));
        [Seed::new("keygen_messages", name.clone(), encoded), Seed::new("background_frames", name, frame)]
    };
    messages.into_iter().flat_map(named).collect()
}

fn outside_sessions() -> Vec<Seed> {
    let action = ActionId::from([6; 32]);
    let chunk = |of| Ask::Stored(Wanted::Chunk { of, offset: 512 << 10 });
    let (component, script) = (Piece::Component([7; 32].into()), Piece::Script(B256::repeat_byte(8)));
    let signed = Box::new(publication().0);
    let head = Pin { chain_id: 1, number: 9, hash: B256::repeat_byte(9), timestamp: 10 };
    let ask = |name, ask| (name, BackgroundFrame::Question(Question::Ask { id: 300, ask }));
    let answer = |name, answer| (name, BackgroundFrame::Question(Question::Answer { id: 300, answer }));
    let frames = [
        ("announcement", BackgroundFrame::Announcement(Announcement { action })),
        ask("ask-action", Ask::Stored(Wanted::Action(action))),
        ask("ask-component", chunk(component)),
        ask("ask-script", chunk(script)),
        ask("ask-final-block", Ask::FinalBlock { chain_id: 1 }),
        answer("answer-action", Answer::Action { signed, component_bytes: 1 << 20, script_bytes: 30 }),
        answer("answer-chunk", Answer::Chunk(vec![1; 300].into())),
        answer("answer-final-block", Answer::FinalBlock(head)),
        answer("answer-unknown", Answer::Unknown),
        answer("answer-busy", Answer::Busy),
    ];
    frames.iter().map(|(name, frame)| Seed::new("background_frames", *name, framed(frame))).collect()
}

fn chain() -> Vec<Seed> {
    let (chain_id, address, word) = (1, Address::repeat_byte(2), B256::repeat_byte(3));
    let log = Log {
        address,
        topics: vec![word],
        data: vec![1, 2].into(),
        block_number: 4,
        tx_hash: word,
        index: 5,
    };
    let receipt = Receipt { success: true, block_number: 6, block_hash: word, logs: vec![log.clone()] };
    let reads = [
        ("call", EvmRead::Call { chain_id, to: address, data: vec![1, 2, 3].into(), from: Address::ZERO }),
        ("balance", EvmRead::Balance { chain_id, address }),
        ("storage", EvmRead::Storage { chain_id, address, slot: word }),
        (
            "logs",
            EvmRead::Logs {
                chain_id,
                addresses: vec![address],
                topics: vec![vec![word], vec![]],
                from_block: 1,
                to_block: 2,
            },
        ),
        ("receipt", EvmRead::Receipt { chain_id, tx_hash: word }),
    ];
    let values = [
        ("value-call", EvmValue::Call { reverted: false, data: vec![1].into() }),
        ("value-balance", EvmValue::Balance(U256::from(7))),
        ("value-logs", EvmValue::Logs(vec![log])),
        ("value-receipt", EvmValue::Receipt(Some(receipt))),
    ];
    let reads = reads.iter().map(|(name, read)| Seed::tagged("evm_reads", *name, 0, bytes(read)));
    let values = values.iter().map(|(name, value)| Seed::tagged("evm_reads", *name, 1, bytes(value)));
    reads.chain(values).collect()
}
