//! How an action comes from a peer: asked for by id, fetched in chunks, checked by digest.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use countersign_network::{Lane, Transport};
use countersign_store::Store;
use countersign_types::{
    ActionId, Bytes, ComponentDigest, Failure, FailureKind, NodePublicKey, SignedPublishAction,
    action::MAX_COMPONENT_BYTES,
};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{Semaphore, oneshot},
    time::timeout,
};

use crate::wire::{self, BackgroundFrame};

/// The bytes of one chunk: half a frame.
const CHUNK_BYTES: usize = 512 << 10;
/// How long a peer may take for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// The most answers that are being looked up for peers at once.
const MAX_LOOKUPS: usize = 4;
/// The most questions that wait for peers' answers.
const MAX_QUESTIONS: usize = 64;

/// What nodes say to each other about actions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Message {
    Ask {
        id: u64,
        ask: Ask,
    },
    Answer {
        id: u64,
        answer: Answer,
    },
    /// The sender stores this action now.
    Announce {
        action: ActionId,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ask {
    Action(ActionId),
    Chunk { component: ComponentDigest, offset: u32 },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    Action { signed: Box<SignedPublishAction>, component_bytes: u32 },
    Chunk(Bytes),
    Unknown,
    Busy,
}

/// An action as a peer gave it; nothing of it is checked but its length.
pub(crate) struct Fetched {
    pub(crate) signed: SignedPublishAction,
    pub(crate) component: Vec<u8>,
}

/// Asks peers for actions, and answers theirs.
pub(crate) struct Replication {
    transport: Arc<dyn Transport>,
    store: Arc<Store>,
    questions: Mutex<BTreeMap<u64, (NodePublicKey, oneshot::Sender<Answer>)>>,
    next: AtomicU64,
    lookups: Arc<Semaphore>,
    /// The component that was served last: chunks of one are asked for in a row.
    served: Mutex<Option<(ComponentDigest, Arc<Vec<u8>>)>>,
}

impl Replication {
    pub(crate) fn new(transport: Arc<dyn Transport>, store: Arc<Store>) -> Self {
        Self {
            transport,
            store,
            questions: Mutex::new(BTreeMap::new()),
            next: AtomicU64::new(1),
            lookups: Arc::new(Semaphore::new(MAX_LOOKUPS)),
            served: Mutex::new(None),
        }
    }

    /// Tells all connected peers of an action.
    pub(crate) fn announce(&self, action: ActionId) {
        for peer in self.connected() {
            self.send(&peer, Message::Announce { action });
        }
    }

    /// Fetches an action from the first peer that has it whole.
    pub(crate) async fn fetch(&self, action: ActionId) -> Result<Fetched, Failure> {
        let peers = self.connected();
        let asked = peers.len();
        for peer in peers {
            match self.fetch_from(peer, action).await {
                Ok(fetched) => return Ok(fetched),
                Err(reason) => {
                    tracing::debug!(%action, peer = %peer.peer_id(), reason, "no action from a peer")
                }
            }
        }
        let detail = format!(
            "no action {action} here, nor at the {asked} connected members: publish it with `countersign action publish`"
        );
        Err(Failure::new(FailureKind::UnknownAction, detail))
    }

    async fn fetch_from(&self, peer: NodePublicKey, action: ActionId) -> Result<Fetched, &'static str> {
        let Answer::Action { signed, component_bytes } = self.ask(peer, Ask::Action(action)).await? else {
            return Err("it does not have it");
        };
        let length = usize::try_from(component_bytes).unwrap_or(usize::MAX);
        if length > MAX_COMPONENT_BYTES {
            return Err("it offers too large a component");
        }
        let digest = signed.publish.manifest.component;
        let mut component = Vec::new();
        while component.len() < length {
            let offset = u32::try_from(component.len()).map_err(|_| "the component is too large")?;
            let Answer::Chunk(chunk) = self.ask(peer, Ask::Chunk { component: digest, offset }).await? else {
                return Err("it stopped in the middle of the component");
            };
            if chunk.is_empty() || component.len() + chunk.len() > length {
                return Err("its chunks do not make the component that it offered");
            }
            component.extend_from_slice(&chunk);
        }
        Ok(Fetched { signed: *signed, component })
    }

    async fn ask(&self, peer: NodePublicKey, ask: Ask) -> Result<Answer, &'static str> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        {
            let mut questions = self.questions.lock().unwrap_or_else(PoisonError::into_inner);
            if questions.len() >= MAX_QUESTIONS {
                return Err("too many questions are open");
            }
            questions.insert(id, (peer, sender));
        }
        self.send(&peer, Message::Ask { id, ask });
        let answer = timeout(ANSWER_TIMEOUT, receiver).await;
        self.questions.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        match answer {
            Ok(Ok(Answer::Busy)) => Err("it is busy"),
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) | Err(_) => Err("it did not answer in time"),
        }
    }

    /// Handles a peer's question or answer.
    pub(crate) fn receive(self: &Arc<Self>, from: NodePublicKey, message: Message) {
        match message {
            Message::Ask { id, ask } => {
                let Ok(permit) = Arc::clone(&self.lookups).try_acquire_owned() else {
                    return self.send(&from, Message::Answer { id, answer: Answer::Busy });
                };
                let this = Arc::clone(self);
                tokio::task::spawn_blocking(move || {
                    let answer = this.look_up(ask);
                    this.send(&from, Message::Answer { id, answer });
                    drop(permit);
                });
            }
            Message::Answer { id, answer } => {
                let mut questions = self.questions.lock().unwrap_or_else(PoisonError::into_inner);
                if questions.get(&id).is_some_and(|(asked, _)| *asked == from)
                    && let Some((_, waiting)) = questions.remove(&id)
                {
                    // whoever asked may have stopped waiting
                    let _ = waiting.send(answer);
                }
            }
            Message::Announce { .. } => {}
        }
    }

    fn look_up(&self, ask: Ask) -> Answer {
        let found = match ask {
            Ask::Action(id) => self.store.action(&id).map(|stored| {
                stored.map(|stored| Answer::Action {
                    component_bytes: u32::try_from(stored.component_bytes).unwrap_or(u32::MAX),
                    signed: Box::new(stored.signed),
                })
            }),
            Ask::Chunk { component, offset } => self.component(component).map(|whole| {
                let whole = whole?;
                let start = usize::try_from(offset).ok()?;
                let rest = whole.get(start..)?;
                Some(Answer::Chunk(Bytes::copy_from_slice(&rest[..rest.len().min(CHUNK_BYTES)])))
            }),
        };
        match found {
            Ok(Some(answer)) => answer,
            Ok(None) => Answer::Unknown,
            Err(error) => {
                tracing::error!(%error, "cannot look an action up for a peer");
                Answer::Unknown
            }
        }
    }

    fn component(
        &self,
        digest: ComponentDigest,
    ) -> Result<Option<Arc<Vec<u8>>>, countersign_store::StoreError> {
        let mut served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((last, component)) = served.as_ref()
            && *last == digest
        {
            return Ok(Some(Arc::clone(component)));
        }
        let component = self.store.component(&digest)?.map(Arc::new);
        *served = component.clone().map(|component| (digest, component));
        Ok(component)
    }

    fn connected(&self) -> Vec<NodePublicKey> {
        self.transport.peers().into_iter().filter(|peer| peer.connected).map(|peer| peer.member).collect()
    }

    fn send(&self, to: &NodePublicKey, message: Message) {
        let sent = wire::encode(&BackgroundFrame::Replication(message))
            .map_err(|error| error.to_string())
            .and_then(|frame| self.transport.send(to, Lane::Background, frame).map_err(|e| e.to_string()));
        if let Err(error) = sent {
            tracing::debug!(peer = %to.peer_id(), error, "a replication message was not sent");
        }
    }
}
