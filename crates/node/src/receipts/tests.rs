//! What is kept, written and shown, with a store on disk.

use std::{
    path::Path,
    sync::mpsc::Receiver,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use countersign_fuzzing::receipts::Case;
use countersign_receipt::{CheckError, Receipt};
use countersign_session::{
    message::Completion,
    participant::{Given, Run, SESSION_MS},
};
use countersign_store::NewReceipt;
use countersign_types::{
    Bytes, CallerSignature, Context, Failure, FailureKind, Identifier, Manifest, NodeKey, Outcome,
    ReceiptAccess, Scheme, read::RecordedRead,
};
use tempfile::TempDir;

use super::{
    keeper::Told,
    writer::{Queue, Unwritten},
    *,
};
use crate::NodeConfig;

/// What a live run left.
struct Ran {
    manifest: Manifest,
    reads: Vec<RecordedRead>,
    held_bytes: usize,
}

impl Told for Ran {
    fn manifest(&self) -> Option<&Manifest> {
        Some(&self.manifest)
    }

    fn reads(&self) -> &[RecordedRead] {
        &self.reads
    }

    fn held_bytes(&self) -> usize {
        self.held_bytes
    }
}

fn member(number: u16) -> Identifier {
    Identifier::new(number).expect("not zero")
}

/// One of the signers of a receipt's package, and what it sees.
struct Scene {
    case: Case,
    membership: Arc<Membership>,
    folder: TempDir,
}

impl Scene {
    fn new() -> Self {
        let case = Case::honest(Scheme::Bip340);
        let membership = Membership {
            network: case.genesis.network_id(),
            epoch: case.receipt.terms.epoch,
            committee: case.genesis.committee().expect("legal"),
            me: member(1),
            engine: case.receipt.terms.engine,
        };
        Self { case, membership: Arc::new(membership), folder: tempfile::tempdir().expect("a folder") }
    }

    fn keeper(&self) -> (Keeper<Ran>, Receiver<Unwritten>) {
        let (queue, written) = Queue::new();
        (Keeper::new(Arc::clone(&self.membership), queue), written)
    }

    /// What this node gave in this coordinator's session, with so many bytes that wait.
    fn given(&self, coordinator: Identifier, held_bytes: usize) -> Box<Given<Ran>> {
        let (receipt, trust) = (&self.case.receipt, self.case.trust());
        let checked = trust.check(receipt).expect("an honest one holds");
        let request = receipt.request.clone().validate().expect("in order");
        let public_key =
            trust.public_key(request.request().key.scheme, &request.key_id()).expect("the network's");
        let context = Context::new(&request, &receipt.terms, public_key);
        let outcome = Outcome::of(receipt.verdict.clone(), &request.request().key).expect("the key signs it");
        let ran = Ran { manifest: receipt.manifest.clone(), reads: checked.reads.clone(), held_bytes };
        Box::new(Given {
            run: Run {
                session: receipt.package.session,
                coordinator,
                request: Arc::new(request),
                context: Arc::new(context),
            },
            package: receipt.package.clone(),
            outcome,
            part: receipt.signers[&self.membership.me].clone(),
            recorded: Arc::new(ran),
        })
    }

    /// What an honest coordinator brings.
    fn completion(&self) -> Completion {
        let Receipt { package, signers, signatures, .. } = self.case.receipt.clone();
        Completion { attempt: package.attempt, signers, signatures }
    }

    /// The receipt without what a coordinator brings.
    fn own_part(&self) -> Receipt {
        let mut receipt = self.case.receipt.clone();
        receipt.signers.retain(|member, _| *member == self.membership.me);
        receipt.signatures.clear();
        receipt
    }

    /// What somebody makes of a receipt who wants it to prove nothing: the signature is another one.
    fn forged(&self) -> Receipt {
        let mut receipt = self.case.receipt.clone();
        let other = Case::honest(Scheme::Ed25519).receipt;
        receipt.signatures = other.signatures;
        receipt
    }

    fn store(&self, bounds: ReceiptBounds) -> Arc<Receipts> {
        Arc::new(Receipts::open(&self.folder.path().join("receipts"), bounds).expect("it opens"))
    }

    /// What is shown to somebody without a signature, of a store in which these coordinators' receipts are.
    fn shown(
        &self,
        shown_to: ShownTo,
        stored_ms: impl FnOnce(&Clock) -> u64,
        stored: &[(u16, &Receipt)],
    ) -> Result<Receipt, Failure> {
        self.shown_for(None, shown_to, stored_ms, stored)
    }

    /// The same, to somebody who signed this.
    fn shown_for(
        &self,
        access: Option<&ReceiptAccess>,
        shown_to: ShownTo,
        stored_ms: impl FnOnce(&Clock) -> u64,
        stored: &[(u16, &Receipt)],
    ) -> Result<Receipt, Failure> {
        let clock = Arc::new(Clock::new(0));
        let store = self.store(ReceiptsConfig::default().bounds());
        let stored_ms = stored_ms(&clock);
        for (coordinator, receipt) in stored {
            let content = postcard::to_stdvec(*receipt).expect("it can be stored");
            let key = &receipt.request.request.key;
            let new = NewReceipt {
                request: receipt.terms.request,
                coordinator: member(*coordinator),
                package: receipt.package.hash(self.membership.network),
                action: key.policy.action,
                key: key.key_id(),
                complete: receipt.is_complete(),
                content: &content,
            };
            store.put(&new, stored_ms).expect("stored");
        }
        let shown = Shown {
            store,
            shown_to,
            membership: Arc::clone(&self.membership),
            genesis: self.case.genesis.clone(),
            clock,
            places: Arc::new(Semaphore::new(MAX_LOOKUPS)),
        };
        shown.receipt(self.case.receipt.terms.request, access, self.case.root_keys.clone())
    }
}

#[test]
fn what_a_coordinator_brings_makes_a_receipt_of_what_this_node_gave() {
    let scene = Scene::new();
    let (mut keeper, written) = scene.keeper();
    keeper.keep(scene.given(member(2), 0), 0);
    assert!(written.try_recv().is_err(), "it waits for the others' parts");
    let session = scene.case.receipt.package.session;
    assert!(keeper.close(member(3), session, Some(scene.completion())).is_none(), "another's session");
    let closed = keeper.close(member(2), session, Some(scene.completion())).expect("a receipt");
    assert_eq!(*closed, scene.case.receipt);
    let Unwritten { coordinator, receipt } = written.try_recv().expect("written");
    assert_eq!((coordinator, receipt), (member(2), closed));
    assert!(keeper.close(member(2), session, Some(scene.completion())).is_none(), "once");
}

#[test]
fn what_nobody_completes_is_this_nodes_own_part() {
    let scene = Scene::new();
    let session = scene.case.receipt.package.session;
    let own = scene.own_part();

    // no word, one without signatures, one for another attempt
    let (mut keeper, written) = scene.keeper();
    keeper.keep(scene.given(member(2), 0), 5);
    keeper.expire(4 + SESSION_MS);
    assert!(written.try_recv().is_err(), "it may come yet");
    keeper.expire(5 + SESSION_MS);
    assert_eq!(*written.try_recv().expect("written").receipt, own);

    keeper.keep(scene.given(member(2), 0), 5);
    keeper.close(member(2), session, None);
    assert_eq!(*written.try_recv().expect("written").receipt, own);

    keeper.keep(scene.given(member(2), 0), 5);
    let other = Completion { attempt: 2, ..scene.completion() };
    keeper.close(member(2), session, Some(other));
    assert_eq!(*written.try_recv().expect("written").receipt, own);

    // a further attempt of the same session: the first one's is written at once
    keeper.keep(scene.given(member(2), 0), 5);
    assert!(written.try_recv().is_err());
    keeper.keep(scene.given(member(2), 0), 5);
    assert_eq!(*written.try_recv().expect("written").receipt, own);
    assert!(written.try_recv().is_err(), "the second waits");
}

#[test]
fn no_coordinator_says_what_this_node_gave() {
    let scene = Scene::new();
    let (mut keeper, _written) = scene.keeper();
    keeper.keep(scene.given(member(2), 0), 0);
    let mut lie = scene.completion();
    let others = lie.signers[&member(2)].clone();
    lie.signers.insert(member(1), others);
    let closed = keeper.close(member(2), scene.case.receipt.package.session, Some(lie)).expect("a receipt");
    assert_eq!(*closed, scene.case.receipt);
}

#[test]
fn one_coordinators_sessions_take_no_room_from_anothers() {
    let scene = Scene::new();
    let (mut keeper, written) = scene.keeper();
    let session = scene.case.receipt.package.session;
    // a quarter of all, each: the committee has four members
    keeper.keep(scene.given(member(2), 15 << 20), 0);
    let mut further = scene.given(member(2), 15 << 20);
    further.run.session.0.0[0] ^= 1;
    keeper.keep(further, 0);
    assert_eq!(*written.try_recv().expect("there was no room").receipt, scene.own_part());
    keeper.keep(scene.given(member(3), 15 << 20), 0);
    assert!(written.try_recv().is_err(), "another coordinator has its own room");
    for coordinator in [2, 3] {
        let closed = keeper.close(member(coordinator), session, Some(scene.completion()));
        assert_eq!(closed.as_deref(), Some(&scene.case.receipt));
    }
}

#[test]
fn everybody_is_shown_what_proves_a_signature() {
    let scene = Scene::new();
    let honest = &scene.case.receipt;
    let shown = scene.shown(ShownTo::Everybody, Clock::now, &[(2, honest)]).expect("for everybody");
    assert_eq!(shown, *honest);
    // whatever else there is: another coordinator's that proves nothing, and comes first
    let (forged, own) = (scene.forged(), scene.own_part());
    for worse in [&forged, &own] {
        let shown = Scene::new().shown(ShownTo::Everybody, Clock::now, &[(1, worse), (2, honest)]);
        assert_eq!(shown.expect("for everybody"), *honest);
    }
    let failure = Scene::new().shown(ShownTo::Callers, Clock::now, &[(2, honest)]).expect_err("for callers");
    assert_eq!(failure.kind, FailureKind::Unauthorised);
}

#[test]
fn a_caller_is_shown_a_receipt_that_nobody_else_is() {
    let scene = Scene::new();
    let honest = &scene.case.receipt;
    let shown_to_signer = |key: u8| {
        let (network, me) = (scene.membership.network, scene.membership.me);
        let node = scene.membership.committee.address(me).expect("a member");
        let expires_at = Clock::new(0).now() + 60_000;
        let key = NodeKey::from_bytes([key; 32]).expect("a scalar");
        let digest = ReceiptAccess::digest(network, node, honest.terms.request, expires_at);
        let signature = CallerSignature(Bytes::copy_from_slice(key.sign(digest).as_bytes()));
        let access = ReceiptAccess { node, expires_at, signature };
        Scene::new().shown_for(Some(&access), ShownTo::Callers, Clock::now, &[(2, honest)])
    };
    assert_eq!(shown_to_signer(9).expect("the case's caller"), *honest);
    let failure = shown_to_signer(8).expect_err("another request's caller");
    assert_eq!(failure.kind, FailureKind::Unauthorised);
    assert!(failure.detail.contains("no caller of the request"), "{}", failure.detail);
}

#[test]
fn where_nothing_proves_a_signature_this_nodes_own_part_is_shown() {
    let scene = Scene::new();
    let mut swapped = scene.case.receipt.clone();
    let others = swapped.signers[&member(2)].clone();
    swapped.signers.insert(member(3), others);
    for stored in [scene.forged(), swapped, scene.own_part()] {
        let shown =
            Scene::new().shown(ShownTo::Everybody, Clock::now, &[(2, &stored)]).expect("there is one");
        assert_eq!(shown, scene.own_part());
        // and says so
        let error = scene.case.trust().check(&shown).expect_err("it proves no signature");
        assert!(matches!(error, CheckError::Incomplete { .. }), "{error}");
    }
}

#[test]
fn what_is_too_old_or_was_never_there_is_not_found() {
    let scene = Scene::new();
    let failure = scene.shown(ShownTo::Everybody, Clock::now, &[]).expect_err("nothing is stored");
    assert_eq!(failure.kind, FailureKind::NotFound);
    let keep_ms = ReceiptsConfig::default().bounds().keep_ms;
    let receipt = &scene.case.receipt;
    let young = |clock: &Clock| clock.now() - keep_ms + 60_000;
    assert!(Scene::new().shown(ShownTo::Everybody, young, &[(2, receipt)]).is_ok());
    let old = |clock: &Clock| clock.now() - keep_ms - 1;
    let failure = Scene::new().shown(ShownTo::Everybody, old, &[(2, receipt)]).expect_err("too old");
    assert_eq!(failure.kind, FailureKind::NotFound);
}

/// Waits for something that happens in another thread.
fn until(holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(30), "it does not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A writer on a thread of its own that keeps receipts for half a second.
struct Writing {
    scene: Scene,
    store: Arc<Receipts>,
    queue: Queue,
    thread: JoinHandle<()>,
}

impl Writing {
    fn start(prune_every: Duration) -> Self {
        let scene = Scene::new();
        let store = scene.store(ReceiptBounds { total_bytes: u64::MAX, keep_ms: 500 });
        let clock = Arc::new(Clock::new(0));
        let (queue, writer) = Writer::new(Arc::clone(&store), scene.membership.network, clock, prune_every);
        let thread = std::thread::spawn(move || writer.run());
        Self { scene, store, queue, thread }
    }

    fn put(&self, coordinator: u16) {
        self.queue.put(member(coordinator), Arc::new(self.scene.case.receipt.clone()));
    }

    fn end(self) {
        drop(self.queue);
        self.thread.join().expect("it ends once nobody makes receipts any more");
    }
}

#[test]
fn what_is_written_goes_in_its_time_though_nothing_else_is_written() {
    let writing = Writing::start(Duration::from_millis(20));
    writing.put(2);
    until(|| writing.store.stored_bytes() > 0);
    until(|| writing.store.stored_bytes() == 0);
    writing.end();
}

#[test]
fn what_is_too_old_goes_though_others_are_written_all_the_time() {
    // longer than between two that are written
    let writing = Writing::start(Duration::from_millis(50));
    writing.put(2);
    until(|| writing.store.stored_bytes() > 0);
    let one = writing.store.stored_bytes();
    // each of these in place of the one before
    let both = |count: u64| {
        writing.put(3);
        writing.store.stored_bytes() == count * one
    };
    until(|| both(2));
    until(|| both(1));
    writing.end();
}

#[test]
fn senseless_bounds_are_refused_with_what_to_set() {
    let parse = |text: &str| {
        let text = format!("data = 'd'\ngenesis = 'g'\n[receipts]\n{text}");
        NodeConfig::parse(Path::new("node.toml"), &text).map_err(|error| error.to_string())
    };
    for (text, said) in [
        ("total_bytes = 0", "receipts.total_bytes is 0"),
        ("total_bytes = 16777215", "set at least 16777216"),
        ("keep_days = 0", "receipts.keep_days is 0: set 1 to 36500"),
        ("keep_days = 36501", "receipts.keep_days is 36501"),
        ("keep_days = -1", "-1"),
    ] {
        let error = parse(text).expect_err(text);
        assert!(error.contains(said) && error.contains("line 4"), "{error}");
    }
    let config = parse("total_bytes = 16777216\nkeep_days = 1").expect("they make sense").receipts;
    assert_eq!(config.bounds(), ReceiptBounds { total_bytes: 16 << 20, keep_ms: DAY_MS });
    assert_eq!(parse("").expect("nothing is set").receipts, ReceiptsConfig::default());
}
