//! What a node asks its peers outside sessions, and how an answer finds whoever waits for it.
//!
//! Nothing that a peer answers is believed: actions are checked by digest, and a block that a peer calls final is
//! a proposal that every member checks in its own view.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use countersign_network::{Lane, Transport};
use countersign_types::NodePublicKey;
use countersign_wire::{Answer, Ask, BackgroundFrame, Question};
use tokio::{sync::oneshot, time::timeout};

use crate::wire;

/// How long a peer may take for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// The most questions that wait for one peer's answers: a silent one keeps nobody from asking the others.
const MAX_OPEN: usize = 16;

/// The questions that wait for an answer.
pub(crate) struct Questions {
    transport: Arc<dyn Transport>,
    open: Mutex<BTreeMap<u64, (NodePublicKey, oneshot::Sender<Answer>)>>,
    next: AtomicU64,
}

impl Questions {
    pub(crate) fn new(transport: Arc<dyn Transport>) -> Self {
        Self { transport, open: Mutex::new(BTreeMap::new()), next: AtomicU64::new(1) }
    }

    /// Asks a peer and waits for its answer.
    pub(crate) async fn ask(&self, peer: NodePublicKey, ask: Ask) -> Result<Answer, &'static str> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        let _open = self.open(id, peer, sender)?;
        self.send(&peer, &BackgroundFrame::Question(Question::Ask { id, ask }));
        match timeout(ANSWER_TIMEOUT, receiver).await {
            Ok(Ok(Answer::Busy)) => Err("it is busy"),
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) | Err(_) => Err("it did not answer in time"),
        }
    }

    /// Notes that a question waits for its answer, until what is returned is dropped: also where nobody wants it any more.
    fn open(
        &self,
        id: u64,
        peer: NodePublicKey,
        sender: oneshot::Sender<Answer>,
    ) -> Result<Open<'_>, &'static str> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.values().filter(|(asked, _)| *asked == peer).count() >= MAX_OPEN {
            return Err("too many questions wait for it");
        }
        open.insert(id, (peer, sender));
        Ok(Open { questions: self, id })
    }

    /// Takes a peer's answer. One that was not asked for, or not of this peer, is nothing.
    pub(crate) fn answered(&self, from: NodePublicKey, id: u64, answer: Answer) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.get(&id).is_some_and(|(asked, _)| *asked == from)
            && let Some((_, waiting)) = open.remove(&id)
        {
            // whoever asked may have stopped waiting
            let _ = waiting.send(answer);
        }
    }

    /// Answers a peer.
    pub(crate) fn answer(&self, to: NodePublicKey, id: u64, answer: Answer) {
        self.send(&to, &BackgroundFrame::Question(Question::Answer { id, answer }));
    }

    /// The peers that can be asked now.
    pub(crate) fn peers(&self) -> Vec<NodePublicKey> {
        self.transport.peers().into_iter().filter(|peer| peer.connected).map(|peer| peer.member).collect()
    }

    /// Sends a frame on the background lane, where there is room.
    pub(crate) fn send(&self, to: &NodePublicKey, frame: &BackgroundFrame) {
        wire::send(self.transport.as_ref(), to, Lane::Background, frame);
    }
}

/// One question that waits.
struct Open<'a> {
    questions: &'a Questions,
    id: u64,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.questions.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}
