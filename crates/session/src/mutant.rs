//! What mutants need that the core has not: copies of nonces. Only with `--cfg countersign_mutants`.

use std::{cell::RefCell, collections::BTreeMap};

use countersign_threshold::{Commitments, SigningNonces};
use countersign_types::{
    Identifier, Scheme, SessionId,
    mutant::{Mutant, broken},
};

use crate::message::Package;

type Pairs = Vec<(SigningNonces, Commitments)>;

/// Nonces of one member that another has the commitments of.
struct HandedOut {
    to: Identifier,
    scheme: Scheme,
    nonces: SigningNonces,
    commitments: Commitments,
}

thread_local! {
    static HANDED_OUT: RefCell<BTreeMap<Identifier, Vec<HandedOut>>> = const { RefCell::new(BTreeMap::new()) };
    static FIRST: RefCell<BTreeMap<(Identifier, SessionId), Pairs>> = const { RefCell::new(BTreeMap::new()) };
}

/// Breaks the core on this thread, or mends it; what earlier mutants kept is forgotten.
pub fn choose(mutant: Option<Mutant>) {
    countersign_types::mutant::choose(mutant);
    HANDED_OUT.with_borrow_mut(BTreeMap::clear);
    FIRST.with_borrow_mut(BTreeMap::clear);
}

/// Nonces are handed out: [`Mutant::NoncesSurviveCrash`] keeps a copy.
pub(crate) fn hands_out(
    me: Identifier,
    to: Identifier,
    scheme: Scheme,
    nonces: &SigningNonces,
    commitments: &Commitments,
) {
    if broken(Mutant::NoncesSurviveCrash) {
        let kept = HandedOut { to, scheme, nonces: nonces.copied(), commitments: commitments.clone() };
        HANDED_OUT.with_borrow_mut(|all| all.entry(me).or_default().push(kept));
    }
}

/// What a member that starts finds of its earlier lives: each is put back where it was.
pub(crate) fn survived(me: Identifier, mut keep: impl FnMut(Identifier, Scheme, SigningNonces, Commitments)) {
    HANDED_OUT.with_borrow(|all| {
        for one in all.get(&me).into_iter().flatten() {
            keep(one.to, one.scheme, one.nonces.copied(), one.commitments.clone());
        }
    });
}

/// The nonces of an attempt: for [`Mutant::RepeatsCommitments`], those of the session's first.
pub(crate) fn repeated(me: Identifier, session: SessionId, attempt: u32, fresh: Pairs) -> Pairs {
    if !broken(Mutant::RepeatsCommitments) {
        return fresh;
    }
    let copies = |all: &Pairs| all.iter().map(|(nonces, public)| (nonces.copied(), public.clone())).collect();
    FIRST.with_borrow_mut(|first| {
        if attempt == 1 {
            first.insert((me, session), copies(&fresh));
        }
        first.get(&(me, session)).map_or(fresh, copies)
    })
}

/// The package that nonces are bound to: [`Mutant::SkipsOwnCommitments`] puts its own commitments in place of others.
pub(crate) fn corrected(me: Identifier, mut package: Package, own: &[Commitments]) -> Package {
    if broken(Mutant::SkipsOwnCommitments) {
        package.signers.insert(me, own.to_vec());
    }
    package
}
