//! Whom a coordinator asks, whom it believes, and what it tells the caller.

mod answers;
mod asking;
mod blame;
mod lateness;

use countersign_session::coordinator::Signed;
use countersign_types::{Decision, Failure, NodeDecision};

use crate::{
    committee::{id, peer_id},
    table::Table,
};

pub(crate) fn said(nodes: &[NodeDecision], number: u16) -> Option<Decision> {
    nodes.iter().find(|said| said.peer_id == peer_id(id(number))).map(|said| said.decision)
}

pub(crate) fn signers(signed: &Signed) -> Vec<u16> {
    signed.signers.keys().map(|id| id.get()).collect()
}

fn failure(table: Table) -> Failure {
    table.result().expect_err("no signature can be")
}
