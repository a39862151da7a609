use std::sync::{OnceLock, Weak, atomic::AtomicU32};

use countersign_network::{Lane, PeerStatus, SendError, Transport};
use countersign_store::KdfParameters;
use countersign_types::{
    B256, CallerSignature, ComponentDigest, Limits, Manifest, NetworkId, NodeKey, PublishAction,
};
use futures::FutureExt;
use secrecy::SecretString;

use super::*;
use crate::{questions::Message, wire};

const NETWORK: NetworkId = NetworkId(B256::repeat_byte(1));

fn key(byte: u8) -> NodeKey {
    NodeKey::from_bytes([byte; 32]).expect("a key")
}

/// Members that answer as they are told, at once.
struct Scripted {
    members: Vec<NodePublicKey>,
    answer: Box<dyn Fn(Ask) -> Option<Answer> + Send + Sync>,
    chunks_asked: AtomicU32,
    questions: OnceLock<Weak<Questions>>,
}

impl Transport for Scripted {
    fn own(&self) -> NodePublicKey {
        key(1).public_key()
    }

    fn send(&self, to: &NodePublicKey, _: Lane, frame: bytes::Bytes) -> Result<(), SendError> {
        let Ok(BackgroundFrame::Question(Message::Ask { id, ask })) = wire::decode(&frame) else {
            return Ok(());
        };
        if matches!(ask, Ask::Stored(Wanted::Chunk { .. })) {
            self.chunks_asked.fetch_add(1, Ordering::Relaxed);
        }
        let questions = self.questions.get().and_then(Weak::upgrade).expect("set");
        if let Some(answer) = (self.answer)(ask) {
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
    let publisher = key(9);
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
    world(move |ask| {
        Some(match ask {
            Ask::Stored(Wanted::Action(_)) => Answer::Action {
                signed: Box::new(signed.clone()),
                component_bytes: u32::try_from(component.len()).expect("small"),
                script_bytes: 0,
            },
            Ask::Stored(Wanted::Chunk { .. }) => Answer::Chunk(component.clone().into()),
            Ask::FinalBlock { .. } => Answer::Unknown,
        })
    })
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
