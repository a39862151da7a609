//! How an action comes from a peer: asked for by id, fetched in chunks, checked by digest.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use countersign_store::{Store, StoreError, StoredAction};
use countersign_types::{
    ActionId, Bytes, Failure, FailureKind, NodePublicKey, SignedPublishAction,
    action::{Content, MAX_COMPONENT_BYTES, MAX_SCRIPT_BYTES},
};
use countersign_wire::{Announcement, Answer, Ask, BackgroundFrame, Piece, Wanted};
use futures::{StreamExt, stream::FuturesUnordered};
use lru::LruCache;
use tokio::time::timeout;

use crate::{
    library::built_in,
    per_peer::{LOOKUPS, PerPeer},
    questions::Questions,
};

/// The bytes of one chunk: half a frame.
const CHUNK_BYTES: usize = 512 << 10;
/// How long one peer may take to hand over one action, with half of this node's own line while another is asked beside it.
const PEER_PATIENCE: Duration = Duration::from_secs(20);
/// How long one peer may take before the next is asked beside it: one that dribbles delays nobody for long.
const HEAD_START: Duration = Duration::from_secs(1);
/// How many peers are asked for one action at once. More would leave none of them enough of a slow line.
const ASKED_AT_ONCE: usize = 2;
/// The most actions that a peer is told of when it connects; it fetches others when a session needs them.
const MAX_GREETED: usize = 64;
/// How many components and scripts are kept for peers that ask for one chunk after the other.
const SERVED: NonZeroUsize = NonZeroUsize::new(4).expect("more than none");

/// An action as a peer gave it: it is the one that was asked for, signed, with what its manifest names.
pub(crate) struct Fetched {
    pub(crate) signed: SignedPublishAction,
    pub(crate) content: Content,
}

/// Asks peers for actions, and answers theirs.
pub(crate) struct Replication {
    questions: Arc<Questions>,
    store: Arc<Store>,
    lookups: PerPeer,
    /// Which peer is asked first.
    turn: AtomicUsize,
    /// One action at a time comes from each peer, so that none fills the memory with what is none.
    fetching: PerPeer,
    /// What was served last.
    served: Mutex<LruCache<Piece, Bytes>>,
}

impl Replication {
    pub(crate) fn new(questions: Arc<Questions>, store: Arc<Store>) -> Self {
        Self {
            questions,
            store,
            lookups: PerPeer::new(LOOKUPS),
            turn: AtomicUsize::new(0),
            fetching: PerPeer::new(1),
            served: Mutex::new(LruCache::new(SERVED)),
        }
    }

    /// Tells all connected peers of an action.
    pub(crate) fn announce(&self, action: ActionId) {
        for peer in self.questions.peers() {
            self.tell(&peer, action);
        }
    }

    fn tell(&self, peer: &NodePublicKey, action: ActionId) {
        self.questions.send(peer, &BackgroundFrame::Announcement(Announcement { action }));
    }

    /// Tells one peer of what is stored here, so that it fetches what it has missed.
    pub(crate) fn greet(self: &Arc<Self>, peer: NodePublicKey) {
        let this = Arc::clone(self);
        tokio::task::spawn_blocking(move || match this.store.actions(None, MAX_GREETED) {
            Ok(stored) => {
                for stored in stored {
                    this.tell(&peer, stored.signed.action_id());
                }
            }
            Err(error) => tracing::error!(%error, "the stored actions cannot be listed"),
        });
    }

    /// Fetches an action from the first peer that has it whole; one that sends something else is passed over. Nothing is
    /// fetched of a publication that `wanted` turns away; its failure is the result where all peers have been heard and none
    /// has a wanted one. Anybody can publish the same manifest under a name of its own.
    pub(crate) async fn fetch(
        &self,
        action: ActionId,
        wanted: impl Fn(&SignedPublishAction) -> Result<(), Failure>,
    ) -> Result<Fetched, Failure> {
        let mut peers = self.questions.peers();
        // another one first each time: nobody is asked before all others whatever it answers
        if !peers.is_empty() {
            let first = self.turn.fetch_add(1, Ordering::Relaxed) % peers.len();
            peers.rotate_left(first);
        }
        let (asked, mut unheard, mut unwanted) = (peers.len(), 0, None);
        let mut peers = peers.into_iter();
        let mut running = FuturesUnordered::new();
        loop {
            if let Some(peer) = peers.next() {
                running.push(self.fetch_in_time(peer, action, &wanted));
            }
            let next = if peers.len() == 0 || running.len() == ASKED_AT_ONCE {
                running.next().await
            } else {
                match timeout(HEAD_START, running.next()).await {
                    Ok(next) => next,
                    Err(_) => continue,
                }
            };
            match next {
                None => break,
                Some((_, Ok(Some(fetched)))) => return Ok(fetched),
                Some((_, Ok(None))) => {}
                Some((_, Err(NotFetched::Unwanted(failure)))) => unwanted = Some(failure),
                Some((peer, Err(NotFetched::Peer(reason)))) => {
                    unheard += 1;
                    tracing::debug!(%action, peer = %peer.peer_id(), reason, "no action from a peer");
                }
            }
        }
        if unheard > 0 {
            // a peer that was not heard may have a wanted one: not final, whatever the others have
            let but = unwanted.map(|failure| format!("; what another has is not taken: {}", failure.detail));
            let detail = format!(
                "no action {action} here, and {unheard} of {asked} members did not answer: ask again{}",
                but.unwrap_or_default()
            );
            return Err(Failure::new(FailureKind::Unavailable, detail));
        }
        if let Some(failure) = unwanted {
            return Err(failure);
        }
        let detail = format!(
            "no action {action} here, nor at the {asked} connected members: publish it with `countersign action publish`"
        );
        Err(Failure::new(FailureKind::UnknownAction, detail))
    }

    async fn fetch_in_time(
        &self,
        peer: NodePublicKey,
        action: ActionId,
        wanted: &impl Fn(&SignedPublishAction) -> Result<(), Failure>,
    ) -> (NodePublicKey, Result<Option<Fetched>, NotFetched>) {
        let fetched = timeout(PEER_PATIENCE, self.fetch_from(peer, action, wanted)).await;
        (peer, fetched.unwrap_or(Err(NotFetched::Peer("it took too long"))))
    }

    /// Fetches an action from one peer; none where the peer does not have it.
    async fn fetch_from(
        &self,
        peer: NodePublicKey,
        action: ActionId,
        wanted: &impl Fn(&SignedPublishAction) -> Result<(), Failure>,
    ) -> Result<Option<Fetched>, NotFetched> {
        let answer = self.questions.ask(peer, Ask::Stored(Wanted::Action(action))).await?;
        let (signed, component_bytes, script_bytes) = match answer {
            Answer::Action { signed, component_bytes, script_bytes } => {
                (signed, component_bytes, script_bytes)
            }
            Answer::Unknown => return Ok(None),
            Answer::Chunk(_) | Answer::FinalBlock(_) | Answer::Busy => {
                return Err("it answers something else".into());
            }
        };
        let network = self.store.owner().network;
        if signed.action_id() != action || signed.validate(network).is_err() {
            return Err("what it sent is not the action".into());
        }
        wanted(&signed).map_err(NotFetched::Unwanted)?;
        let one_at_a_time = self.fetching.of(peer);
        let _permit = one_at_a_time.acquire().await.map_err(|_| "this node stops")?;
        let manifest = &signed.publish.manifest;
        let component = if built_in(manifest.component).is_some() {
            None
        } else {
            let piece = Piece::Component(manifest.component);
            Some(self.fetch_piece(peer, piece, component_bytes, MAX_COMPONENT_BYTES).await?.into())
        };
        let script = if manifest.is_script() {
            let piece = Piece::Script(manifest.script);
            let script = self.fetch_piece(peer, piece, script_bytes, MAX_SCRIPT_BYTES).await?;
            Some(String::from_utf8(script).map_err(|_| "its script is no text")?)
        } else {
            None
        };
        let content = Content { component, script };
        content.check(manifest).map_err(|_| "what it sent is not the action")?;
        Ok(Some(Fetched { signed: *signed, content }))
    }

    /// Fetches a component or a script in chunks.
    async fn fetch_piece(
        &self,
        peer: NodePublicKey,
        of: Piece,
        bytes: u32,
        most: usize,
    ) -> Result<Vec<u8>, &'static str> {
        let length = usize::try_from(bytes).unwrap_or(usize::MAX);
        if length > most {
            return Err("it offers too large a component or script");
        }
        let mut piece = Vec::new();
        while piece.len() < length {
            let offset = u32::try_from(piece.len()).map_err(|_| "it offers too large a component")?;
            let Answer::Chunk(chunk) =
                self.questions.ask(peer, Ask::Stored(Wanted::Chunk { of, offset })).await?
            else {
                return Err("it stopped in the middle of the action");
            };
            // all but the last are whole, so that nobody is asked a million questions
            if chunk.len() != CHUNK_BYTES.min(length - piece.len()) {
                return Err("its chunks do not make what it offered");
            }
            piece.extend_from_slice(&chunk);
        }
        Ok(piece)
    }

    /// Answers a peer from what is stored.
    pub(crate) fn answer(self: &Arc<Self>, from: NodePublicKey, id: u64, wanted: Wanted) {
        let Ok(place) = self.lookups.of(from).try_acquire_owned() else {
            return self.questions.answer(from, id, Answer::Busy);
        };
        let this = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            this.questions.answer(from, id, this.look_up(wanted));
            drop(place);
        });
    }

    fn look_up(&self, wanted: Wanted) -> Answer {
        let found = match wanted {
            Wanted::Action(id) => self.store.action(&id).map(|stored| Some(offer(stored?))),
            Wanted::Chunk { of, offset } => self.piece(of).map(|whole| {
                let whole = whole?;
                let start = usize::try_from(offset).ok()?;
                let end = whole.len().min(start.saturating_add(CHUNK_BYTES));
                (start <= end).then(|| Answer::Chunk(whole.slice(start..end)))
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

    fn piece(&self, piece: Piece) -> Result<Option<Bytes>, StoreError> {
        let built_in = match piece {
            Piece::Component(digest) => built_in(digest),
            Piece::Script(_) => None,
        };
        if let Some(built_in) = built_in {
            return Ok(Some(Bytes::from_static(built_in)));
        }
        if let Some(served) = self.served.lock().unwrap_or_else(PoisonError::into_inner).get(&piece) {
            return Ok(Some(served.clone()));
        }
        let bytes: Option<Bytes> = match piece {
            Piece::Component(digest) => self.store.component(&digest)?.map(Bytes::from),
            Piece::Script(digest) => self.store.script(&digest)?.map(|script| script.into_bytes().into()),
        };
        if let Some(bytes) = &bytes {
            self.served.lock().unwrap_or_else(PoisonError::into_inner).put(piece, bytes.clone());
        }
        Ok(bytes)
    }
}

/// Why an action does not come from a peer.
enum NotFetched {
    /// The peer's doing: the next one is asked.
    Peer(&'static str),
    /// This node does not take the peer's publication of it; the next peer may have another publisher's.
    Unwanted(Failure),
}

impl From<&'static str> for NotFetched {
    fn from(reason: &'static str) -> Self {
        Self::Peer(reason)
    }
}

/// What a peer is told of a stored action. A peer that lacks a runner which is built in here can fetch it too.
fn offer(stored: StoredAction) -> Answer {
    let built_in = built_in(stored.signed.publish.manifest.component);
    let component_bytes = built_in.map_or(stored.component_bytes, |bytes| bytes.len() as u64);
    let length = |bytes: u64| u32::try_from(bytes).unwrap_or(u32::MAX);
    Answer::Action {
        component_bytes: length(component_bytes),
        script_bytes: length(stored.script_bytes),
        signed: Box::new(stored.signed),
    }
}

#[cfg(test)]
mod tests;
