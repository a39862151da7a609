//! One other member: whether it is connected, what it said, and the way to its queues.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use countersign_types::NodePublicKey;
use libp2p::{Multiaddr, PeerId, swarm::ConnectionId};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    Boot, Boots, Hello, Lane, PeerStatus, SendError,
    hello::{self, Greeting, Refusal},
    identity,
    lane::{LaneSender, Unsent},
    swarm::CONNECTION_TIMEOUT,
};

/// The most characters of a reason that is kept.
const MAX_REASON_CHARS: usize = 512;

/// What the handle, the driver and the links share about a member.
pub(crate) struct Peer {
    pub(crate) member: NodePublicKey,
    pub(crate) id: PeerId,
    /// Held by the link that serves, from its `Connected` to its `Disconnected`, so that these never interleave.
    pub(crate) turn: tokio::sync::Mutex<()>,
    /// Held while a boot is accepted, which may take a disk's time; the state is not.
    accepting: Mutex<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    link: Option<Link>,
    hello: Option<Hello>,
    /// The last boot that was accepted.
    boot: Option<Boot>,
    rtt: Option<Duration>,
    last_error: Option<String>,
}

/// The connection that serves.
pub(crate) struct Link {
    pub(crate) connection: ConnectionId,
    pub(crate) address: Multiaddr,
    pub(crate) signing: LaneSender,
    pub(crate) background: LaneSender,
    /// Cancelled when a later boot of the member is accepted: then the member that this connection is with is no more.
    pub(crate) superseded: CancellationToken,
}

impl Peer {
    /// A member of which nothing is known but the last boot that was accepted.
    pub(crate) fn new(member: NodePublicKey, boot: Option<Boot>) -> Self {
        let state = State { boot, last_error: Some("not connected yet".into()), ..State::default() };
        Self {
            member,
            id: identity::peer_id(&member),
            turn: tokio::sync::Mutex::new(()),
            accepting: Mutex::new(()),
            state: Mutex::new(state),
        }
    }

    /// The last boot of the member that was accepted.
    pub(crate) fn boot(&self) -> Option<Boot> {
        self.state().boot
    }

    /// Judges the member's greeting. May wait for the disk.
    pub(crate) fn judge(&self, own: &Hello, greeting: &Greeting, boots: &dyn Boots) -> Result<(), Refusal> {
        own.judge(greeting, self.boot(), |generation| boots.own(generation))
    }

    /// Takes a boot for the member's last one, durably. To be called once both sides accept: a copy that notices what it is
    /// must not pass for the member from then on. May wait for the disk.
    pub(crate) fn accept(&self, boot: Boot, boots: &dyn Boots) -> Result<(), Refusal> {
        let _accepting = self.accepting.lock().unwrap_or_else(PoisonError::into_inner);
        let last = self.boot();
        // judged again: of two that come at once with one generation, one is refused
        hello::follows(boot, last)?;
        if last != Some(boot) {
            boots.accept(&self.member, boot)?;
            // only now: a boot that could not be kept is not one that was accepted
            self.state().boot = Some(boot);
        }
        Ok(())
    }

    /// Ends the connection that serves if it is with another boot of the member than the one that was accepted last.
    pub(crate) fn supersede(&self) {
        let state = self.state();
        if let (Some(link), Some(hello)) = (&state.link, &state.hello)
            && state.boot != Some(hello.boot)
        {
            link.superseded.cancel();
        }
    }

    /// The connection that serves.
    pub(crate) fn serving(&self) -> Option<ConnectionId> {
        self.state().link.as_ref().map(|link| link.connection)
    }

    pub(crate) fn connected(&self, hello: Hello, link: Link) {
        let mut state = self.state();
        state.link = Some(link);
        state.hello = Some(hello);
        state.last_error = None;
    }

    pub(crate) fn disconnected(&self, connection: ConnectionId, reason: &str) {
        let mut state = self.state();
        if state.link.as_ref().is_some_and(|link| link.connection == connection) {
            state.link = None;
            state.rtt = None;
            state.last_error = Some(cut(reason));
        }
    }

    /// Notes why there is no connection, unless there is one.
    pub(crate) fn failed(&self, reason: &str) {
        let mut state = self.state();
        if state.link.is_none() {
            state.last_error = Some(cut(reason));
        }
    }

    pub(crate) fn measured(&self, connection: ConnectionId, rtt: Duration) {
        let mut state = self.state();
        if state.link.as_ref().is_some_and(|link| link.connection == connection) {
            state.rtt = Some(rtt);
        }
    }

    pub(crate) fn send(&self, lane: Lane, frame: Bytes) -> Result<(), SendError> {
        let state = self.state();
        let link = state.link.as_ref().ok_or(SendError::NotConnected)?;
        let sender = match lane {
            Lane::Signing => &link.signing,
            Lane::Background => &link.background,
        };
        sender.send(frame).map_err(|unsent| match unsent {
            Unsent::Full => SendError::Busy,
            Unsent::Closed => SendError::NotConnected,
        })
    }

    pub(crate) fn status(&self) -> PeerStatus {
        let state = self.state();
        PeerStatus {
            member: self.member,
            connected: state.link.is_some(),
            hello: state.hello.clone(),
            rtt: state.rtt,
            address: state.link.as_ref().map(|link| link.address.clone()),
            last_error: state.last_error.clone(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cut(reason: &str) -> String {
    reason.chars().take(MAX_REASON_CHARS).collect()
}

/// A connection to a member, as the choice between several of them sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) connection: ConnectionId,
    /// Whether the member with the lower PeerId dialled it.
    pub(crate) by_lower: bool,
    pub(crate) made: Instant,
}

/// Which of several connections to one member are to be closed, given in the order of their making.
///
/// A member dials only while it has no connection. So of two by one dialler the older is dead at its end, and so is one
/// that was made long before the newest: either end closes these. Two by both diallers have crossed, and are good. Of
/// these the member with the lower PeerId alone chooses, or each end might close the other's: the one that serves it already, so
/// that nothing under way is lost, else the one that it dialled. The other member serves whichever is left: it sees its own made
/// earlier and the lower's later than the lower does, and so waits longer before it takes its own for dead.
pub(crate) fn surplus(
    candidates: &[Candidate],
    serving: Option<ConnectionId>,
    we_are_lower: bool,
) -> Vec<ConnectionId> {
    let Some((newest, older)) = candidates.split_last() else { return Vec::new() };
    let long = if newest.by_lower && !we_are_lower { 2 * CONNECTION_TIMEOUT } else { CONNECTION_TIMEOUT };
    let crossed = |other: &&Candidate| {
        other.by_lower != newest.by_lower && newest.made.duration_since(other.made) <= long
    };
    let rival = older.iter().rev().find(crossed);
    let mut surplus: Vec<ConnectionId> =
        older.iter().filter(|other| Some(*other) != rival).map(|other| other.connection).collect();
    if let Some(rival) = rival.filter(|_| we_are_lower) {
        let stays = rival.by_lower || serving == Some(rival.connection);
        surplus.push(if stays { newest.connection } else { rival.connection });
    }
    surplus
}

#[cfg(test)]
mod tests {
    use countersign_types::{EngineId, NetworkId, NodeKey};

    use super::*;
    use crate::{BootId, BootsError, boots::Forgotten, lane::queue};

    /// A disk that keeps nothing.
    struct Full;

    impl Boots for Full {
        fn own(&self, _: u64) -> Result<Option<BootId>, BootsError> {
            Ok(None)
        }

        fn last(&self, _: &NodePublicKey) -> Result<Option<Boot>, BootsError> {
            Ok(None)
        }

        fn accept(&self, _: &NodePublicKey, _: Boot) -> Result<(), BootsError> {
            Err(BootsError("no space left".into()))
        }
    }

    fn peer() -> Peer {
        Peer::new(NodeKey::from_bytes([1; 32]).expect("a scalar").public_key(), None)
    }

    #[test]
    fn a_boot_that_could_not_be_kept_is_not_accepted() {
        let (peer, boot) = (peer(), Boot { generation: 1, id: BootId([1; 16]) });
        for _ in 0..2 {
            let refused = peer.accept(boot, &Full);
            assert!(matches!(refused, Err(Refusal::Boots(_))), "{refused:?}");
            assert_eq!(peer.boot(), None);
        }
        peer.accept(boot, &Forgotten::default()).expect("kept");
        assert_eq!(peer.boot(), Some(boot));
        peer.accept(boot, &Full).expect("it is kept already");
    }

    #[test]
    fn of_two_boots_of_one_generation_one_is_accepted() {
        let (peer, boots) = (peer(), Forgotten::default());
        let boot = |generation, id| Boot { generation, id: BootId([id; 16]) };
        peer.accept(boot(2, 1), &boots).expect("the first");
        let copied = peer.accept(boot(2, 2), &boots);
        assert!(matches!(copied, Err(Refusal::Copied { generation: 2 })), "{copied:?}");
        let rolled_back = peer.accept(boot(1, 3), &boots);
        assert!(matches!(rolled_back, Err(Refusal::RolledBack { highest: 2, got: 1 })), "{rolled_back:?}");
        assert_eq!(peer.boot(), Some(boot(2, 1)));
    }

    #[test]
    fn the_end_of_a_connection_that_does_not_serve_leaves_the_one_that_does() {
        let (serving, other) = (ConnectionId::new_unchecked(1), ConnectionId::new_unchecked(2));
        let hello = Hello {
            network: NetworkId::from([1; 32]),
            protocol: 1,
            engine: EngineId::from([2; 32]),
            boot: Boot { generation: 1, id: BootId([1; 16]) },
            version: "test".into(),
        };
        let link = Link {
            connection: serving,
            address: "/ip4/192.0.2.1/tcp/1".parse().expect("a multiaddress"),
            signing: queue(Lane::Signing).0,
            background: queue(Lane::Background).0,
            superseded: CancellationToken::new(),
        };
        let peer = peer();
        peer.connected(hello, link);
        peer.disconnected(other, "another is kept");
        let status = peer.status();
        assert_eq!((status.connected, status.last_error), (true, None));
        peer.disconnected(serving, "it is lost");
        let status = peer.status();
        assert_eq!((status.connected, status.last_error.as_deref()), (false, Some("it is lost")));
    }

    fn candidate(id: usize, by_lower: bool, made: Instant) -> Candidate {
        Candidate { connection: ConnectionId::new_unchecked(id), by_lower, made }
    }

    #[test]
    fn of_two_that_crossed_the_lower_closes_the_one_that_does_not_serve_or_is_not_its_own() {
        let now = Instant::now();
        let (ours, theirs) = (candidate(1, true, now), candidate(2, false, now));
        for (order, serving, closed) in [
            ([ours, theirs], None, theirs),
            ([theirs, ours], None, theirs),
            ([ours, theirs], Some(ours), theirs),
            ([theirs, ours], Some(theirs), ours),
        ] {
            let serving = serving.map(|candidate| candidate.connection);
            assert_eq!(surplus(&order, serving, true), [closed.connection], "{order:?}, {serving:?}");
            assert_eq!(surplus(&order, serving, false), [], "the higher waits for the lower's choice");
        }
    }

    #[test]
    fn an_older_one_of_the_same_dialler_is_closed_by_both() {
        let now = Instant::now();
        for (by_lower, we_are_lower) in [(true, true), (true, false), (false, true), (false, false)] {
            let (dead, fresh) = (candidate(1, by_lower, now), candidate(2, by_lower, now));
            let serving = Some(dead.connection);
            assert_eq!(surplus(&[dead, fresh], serving, we_are_lower), [dead.connection]);
        }
        assert_eq!(surplus(&[], None, true), []);
        assert_eq!(surplus(&[candidate(1, true, now)], None, true), []);
    }

    #[test]
    fn one_that_was_made_long_before_the_newest_is_closed_by_both() {
        let now = Instant::now();
        let later = now + CONNECTION_TIMEOUT + Duration::from_millis(1);
        let (dead, fresh) = (candidate(1, true, now), candidate(2, false, later));
        let crossing = candidate(3, true, later);
        for we_are_lower in [true, false] {
            let serving = Some(dead.connection);
            assert_eq!(surplus(&[dead, fresh], serving, we_are_lower), [dead.connection]);
        }
        let all = [dead, fresh, crossing];
        assert_eq!(surplus(&all, None, true), [dead.connection, fresh.connection]);
        assert_eq!(surplus(&all, Some(fresh.connection), true), [dead.connection, crossing.connection]);
        assert_eq!(surplus(&all, None, false), [dead.connection]);
    }

    #[test]
    fn the_higher_keeps_its_own_for_as_long_as_the_lower_may_have_chosen_it() {
        let now = Instant::now();
        // the higher's, which serves; and the lower's, which the higher sees later than the lower does
        let (serves, at_lower) = (candidate(1, false, now), candidate(2, true, now + CONNECTION_TIMEOUT));
        let serving = Some(serves.connection);
        assert_eq!(surplus(&[serves, at_lower], serving, true), [at_lower.connection]);
        for later in [1, 2 * CONNECTION_TIMEOUT.as_millis() as u64] {
            let at_higher = candidate(2, true, now + Duration::from_millis(later));
            assert_eq!(surplus(&[serves, at_higher], serving, false), []);
        }
        let long_after = candidate(2, true, now + 2 * CONNECTION_TIMEOUT + Duration::from_millis(1));
        assert_eq!(surplus(&[serves, long_after], serving, false), [serves.connection]);
    }
}
