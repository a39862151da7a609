use std::sync::{OnceLock, Weak, atomic::AtomicU32};

use countersign_network::{Lane, PeerStatus, SendError, Transport};
use countersign_store::KdfParameters;
use countersign_types::{
    B256, CallerSignature, ComponentDigest, Limits, Manifest, NetworkId, NodeKey, PublishAction,
};
use countersign_wire::{Question, decode};
use futures::FutureExt;
use secrecy::SecretString;

use super::*;

const NETWORK: NetworkId = NetworkId(B256::repeat_byte(1));

fn key(byte: u8) -> NodeKey {
    NodeKey::from_bytes([byte; 32]).expect("a key")
}

/// Members that answer as they are told, at once.
struct Scripted {
    members: Vec<NodePublicKey>,
    answer: Box<dyn Fn(NodePublicKey, Ask) -> Option<Answer> + Send + Sync>,
    chunks_asked: AtomicU32,
    questions: OnceLock<Weak<Questions>>,
}

impl Transport for Scripted {
    fn own(&self) -> NodePublicKey {
        key(1).public_key()
    }

    fn send(&self, to: &NodePublicKey, _: Lane, frame: bytes::Bytes) -> Result<(), SendError> {
        let Ok(BackgroundFrame::Question(Question::Ask { id, ask })) = decode(&frame) else {
            return Ok(());
        };
        if matches!(ask, Ask::Stored(Wanted::Chunk { .. })) {
            self.chunks_asked.fetch_add(1, Ordering::Relaxed);
        }
        let questions = self.questions.get().and_then(Weak::upgrade).expect("set");
        if let Some(answer) = (self.answer)(*to, ask) {
            questions.answered(*to, id, answer);
        }
        Ok(())
    }

    fn peers(&self) -> Vec<PeerStatus> {
        let status = |member: &NodePublicKey| PeerStatus {
            member: *member,
            connected: true,
            hello: None,
            rtt: None,
            address: None,
            last_error: None,
        };
        self.members.iter().map(status).collect()
    }
}

struct World {
    transport: Arc<Scripted>,
    questions: Arc<Questions>,
    replication: Arc<Replication>,
    _folder: tempfile::TempDir,
}

fn world(answer: impl Fn(Ask) -> Option<Answer> + Send + Sync + 'static) -> World {
    world_of(move |_, ask| answer(ask))
}

/// With members that answer each for itself.
fn world_of(answer: impl Fn(NodePublicKey, Ask) -> Option<Answer> + Send + Sync + 'static) -> World {
    let transport = Arc::new(Scripted {
        members: [2, 3].map(|byte| key(byte).public_key()).into(),
        answer: Box::new(answer),
        chunks_asked: AtomicU32::new(0),
        questions: OnceLock::new(),
    });
    let questions = Arc::new(Questions::new(transport.clone()));
    transport.questions.set(Arc::downgrade(&questions)).expect("once");
    let folder = tempfile::tempdir().expect("a folder");
    let kdf = KdfParameters::new(8, 1).expect("cheap, and legal");
    let passphrase = SecretString::from("of a test");
    let store =
        Store::create(&folder.path().join("store"), NETWORK, &key(1), &passphrase, kdf).expect("a store");
    let replication = Arc::new(Replication::new(Arc::clone(&questions), Arc::new(store)));
    World { transport, questions, replication, _folder: folder }
}

fn publication(component: &[u8]) -> SignedPublishAction {
    published_by(&key(9), component)
}

fn published_by(publisher: &NodeKey, component: &[u8]) -> SignedPublishAction {
    let manifest = Manifest {
        name: "an-action".into(),
        component: ComponentDigest::of(component),
        script: B256::ZERO,
        hosts: Vec::new(),
        chains: Vec::new(),
        limits: Limits::default(),
    };
    let publish = PublishAction { manifest, publisher: publisher.public_key().address(), issued_at: 1 };
    let signature = publisher.sign(publish.digest(NETWORK));
    let signature = CallerSignature(Bytes::copy_from_slice(signature.as_bytes()));
    SignedPublishAction { publish, signature }
}

/// A peer that has a component, whatever publication it offers.
fn offering(signed: SignedPublishAction, component: Vec<u8>) -> World {
    world(move |ask| Some(offered(&signed, &component, ask)))
}

fn offered(signed: &SignedPublishAction, component: &[u8], ask: Ask) -> Answer {
    match ask {
        Ask::Stored(Wanted::Action(_)) => Answer::Action {
            signed: Box::new(signed.clone()),
            component_bytes: u32::try_from(component.len()).expect("small"),
            script_bytes: 0,
        },
        Ask::Stored(Wanted::Chunk { .. }) => Answer::Chunk(component.to_vec().into()),
        Ask::FinalBlock { .. } => Answer::Unknown,
    }
}

#[tokio::test]
async fn an_action_comes_with_what_its_manifest_names() {
    let signed = publication(b"a component");
    let world = offering(signed.clone(), b"a component".to_vec());
    let fetched = world.replication.fetch(signed.action_id(), |_| Ok(())).await;
    let fetched = fetched.expect("it is the one");
    assert_eq!(fetched.content.component, Some(Bytes::from_static(b"a component")));
    assert_eq!(world.transport.chunks_asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn nothing_is_fetched_of_what_is_not_the_action_or_not_wanted() {
    let signed = publication(b"a component");
    let chunks = |world: &World| world.transport.chunks_asked.load(Ordering::Relaxed);

    let world = offering(signed.clone(), b"a component".to_vec());
    let failure = world.replication.fetch(ActionId::from([7; 32]), |_| Ok(())).await.err().expect("another");
    assert_eq!((failure.kind, chunks(&world)), (FailureKind::Unavailable, 0));

    let mut forged = signed.clone();
    forged.publish.publisher = key(8).public_key().address();
    let world = offering(forged.clone(), b"a component".to_vec());
    let failure = world.replication.fetch(forged.action_id(), |_| Ok(())).await.err().expect("forged");
    assert_eq!((failure.kind, chunks(&world)), (FailureKind::Unavailable, 0));

    let world = offering(signed.clone(), b"a component".to_vec());
    let not_listed = |_: &SignedPublishAction| Err(Failure::new(FailureKind::PublisherNotListed, "no"));
    let failure = world.replication.fetch(signed.action_id(), not_listed).await.err().expect("unwanted");
    assert_eq!((failure.kind, chunks(&world)), (FailureKind::PublisherNotListed, 0));
}

/// Anybody can sign the same manifest: whoever comes first must not keep a node from the publication that its operator lists.
#[tokio::test]
async fn a_strangers_publication_at_one_peer_hides_no_other() {
    let component = b"a component".to_vec();
    let (listed, strange) = (publication(&component), published_by(&key(8), &component));
    assert_eq!(listed.action_id(), strange.action_id());
    let action = listed.action_id();
    let publisher = listed.publish.publisher;
    let wanted = move |signed: &SignedPublishAction| match signed.publish.publisher == publisher {
        true => Ok(()),
        false => Err(Failure::new(FailureKind::PublisherNotListed, "no")),
    };
    let liar = key(2).public_key();
    let world = world_of(move |peer, ask| {
        Some(offered(if peer == liar { &strange } else { &listed }, &component, ask))
    });
    // whoever comes first
    for _ in 0..2 {
        let fetched = world.replication.fetch(action, wanted).await.expect("the other peer has it");
        assert_eq!(fetched.signed.publish.publisher, publisher);
    }
}

/// Nobody says for one that is busy that it has nothing better.
#[tokio::test]
async fn a_strangers_publication_is_no_answer_for_a_busy_peer() {
    let strange = published_by(&key(8), b"a component");
    let (action, busy) = (strange.action_id(), key(3).public_key());
    let world = world_of(move |peer, ask| {
        Some(if peer == busy { Answer::Busy } else { offered(&strange, b"a component", ask) })
    });
    let not_listed =
        |_: &SignedPublishAction| Err(Failure::new(FailureKind::PublisherNotListed, "a stranger's"));
    let failure = world.replication.fetch(action, not_listed).await.err().expect("nothing is wanted");
    assert_eq!(failure.kind, FailureKind::Unavailable);
    assert!(failure.detail.ends_with("a stranger's"), "{failure}");
}

#[tokio::test]
async fn where_no_peer_has_a_wanted_publication_the_failure_says_why() {
    let [one, other] = [7, 8].map(|byte| published_by(&key(byte), b"a component"));
    let (action, first) = (one.action_id(), key(2).public_key());
    let not_listed = |signed: &SignedPublishAction| {
        Err(Failure::new(FailureKind::PublisherNotListed, signed.publish.publisher.to_string()))
    };
    for at_the_second in [Some(other), None] {
        let strangers: Vec<String> =
            [Some(&one), at_the_second.as_ref()].into_iter().flatten().map(publisher_of).collect();
        let one = one.clone();
        let world = world_of(move |peer, ask| {
            let signed = if peer == first { Some(&one) } else { at_the_second.as_ref() };
            Some(signed.map_or(Answer::Unknown, |signed| offered(signed, b"a component", ask)))
        });
        // whoever comes first
        for _ in 0..2 {
            let failure = world.replication.fetch(action, not_listed).await.err().expect("nothing is wanted");
            assert_eq!(failure.kind, FailureKind::PublisherNotListed);
            assert!(strangers.contains(&failure.detail), "{failure}");
        }
        assert_eq!(world.transport.chunks_asked.load(Ordering::Relaxed), 0);
    }
}

fn publisher_of(signed: &SignedPublishAction) -> String {
    signed.publish.publisher.to_string()
}

#[tokio::test]
async fn whatever_one_peer_does_wrong_the_other_is_asked() {
    let listed = publication(b"a component");
    let mut changed = listed.clone();
    changed.publish.issued_at += 1;
    let another = publication(b"b component");
    let offer = |signed: &SignedPublishAction, component_bytes: usize| Answer::Action {
        signed: Box::new(signed.clone()),
        component_bytes: u32::try_from(component_bytes).expect("small"),
        script_bytes: 0,
    };
    let chunk = |bytes: &'static [u8]| Answer::Chunk(Bytes::from_static(bytes));
    let whole = || Some(chunk(b"a component"));
    // what it says that it has, and what it hands over then; none: it says nothing
    let wrongs = [
        ("it has none", Answer::Unknown, None),
        ("it is busy", Answer::Busy, None),
        ("it answers something else", chunk(b"a component"), None),
        ("it has another action", offer(&another, 11), Some(chunk(b"b component"))),
        ("its publication is not signed", offer(&changed, 11), whole()),
        ("its component is too large", offer(&listed, MAX_COMPONENT_BYTES + 1), whole()),
        ("its component is empty", offer(&listed, 0), whole()),
        ("its component is shorter", offer(&listed, 10), Some(chunk(b"0123456789"))),
        ("its component is another", offer(&listed, 11), Some(chunk(b"b component"))),
        ("its chunk is shorter than it offered", offer(&listed, 11), Some(chunk(b"a comp"))),
        ("its chunk is longer than it offered", offer(&listed, 2), whole()),
        ("it does not have the component then", offer(&listed, 11), Some(Answer::Unknown)),
        ("it is busy then", offer(&listed, 11), Some(Answer::Busy)),
        ("it is silent then", offer(&listed, 11), None),
    ];
    let wrongdoer = key(2).public_key();
    for (what, said, handed_over) in wrongs {
        let honest = listed.clone();
        let world = world_of(move |peer, ask| match ask {
            Ask::Stored(Wanted::Action(_)) if peer == wrongdoer => Some(said.clone()),
            Ask::Stored(Wanted::Chunk { .. }) if peer == wrongdoer => handed_over.clone(),
            Ask::Stored(_) | Ask::FinalBlock { .. } => Some(offered(&honest, b"a component", ask)),
        });
        // whoever comes first
        for _ in 0..2 {
            let fetched = world.replication.fetch(listed.action_id(), |_| Ok(())).await;
            let fetched = fetched.unwrap_or_else(|failure| panic!("{what}: {failure}"));
            assert_eq!(fetched.signed, listed, "{what}");
            let content = Content::component(Bytes::from_static(b"a component"));
            assert_eq!(fetched.content, content, "{what}: only this is charged to the publisher");
        }
    }
}

#[tokio::test]
async fn a_silent_peer_keeps_nobody_from_asking_another() {
    let world = world(|ask| match ask {
        Ask::FinalBlock { chain_id: 1 } => Some(Answer::Unknown),
        Ask::FinalBlock { .. } | Ask::Stored(_) => None,
    });
    let [silent, other] = [2, 3].map(|byte| key(byte).public_key());
    let mut waiting: Vec<_> =
        (0..100).map(|_| Box::pin(world.questions.ask(silent, Ask::FinalBlock { chain_id: 2 }))).collect();
    let turned_away = waiting.iter_mut().filter_map(|asked| asked.now_or_never());
    assert_eq!(turned_away.filter(Result::is_err).count(), 100 - 16, "the others wait");
    assert_eq!(world.questions.ask(other, Ask::FinalBlock { chain_id: 1 }).await, Ok(Answer::Unknown));
}

/// Races both peers' first turn against a question to the silent one, which ends as late as any answer may come.
#[tokio::test]
async fn a_silent_peer_costs_a_fetch_no_more_than_its_head_start() {
    let (listed, silent) = (publication(b"a component"), key(2).public_key());
    let action = listed.action_id();
    let world = world_of(move |peer, ask| (peer != silent).then(|| offered(&listed, b"a component", ask)));
    for _ in 0..2 {
        tokio::select! {
            biased;
            fetched = world.replication.fetch(action, |_| Ok(())) => assert!(fetched.is_ok()),
            _ = world.questions.ask(silent, Ask::FinalBlock { chain_id: 1 }) => {
                panic!("the other peer was asked only when this one had been waited for");
            }
        }
    }
}

#[tokio::test]
async fn a_question_that_nobody_waits_for_any_more_takes_no_place() {
    let world = world(|_| None);
    let silent = key(2).public_key();
    for _ in 0..100 {
        let asked = world.questions.ask(silent, Ask::FinalBlock { chain_id: 1 });
        assert_eq!(asked.now_or_never(), None, "it waits, and is dropped");
    }
}
