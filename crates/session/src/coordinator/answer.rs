//! What the caller is told: what each node said, and why there is no signature.

use std::collections::BTreeMap;

use countersign_agreement::{Cause, explain};
use countersign_types::{
    Decision, Failure, FailureKind, Identifier, NodeDecision, Record,
    failure::{Disagreement, Saw},
};

use super::{Coordinator, standing::Standing};
use crate::message::Provisional;

/// What every member said where there is a signature: its signers allowed, whatever became of them since.
pub(super) fn nodes_with_signers<'a>(
    coordinator: &Coordinator,
    signers: impl Iterator<Item = &'a Identifier>,
) -> Vec<NodeDecision> {
    let mut nodes = nodes(coordinator);
    let signed: Vec<String> = signers.map(|id| coordinator.setup.membership.peer_id(*id)).collect();
    for node in nodes.iter_mut().filter(|node| signed.contains(&node.peer_id)) {
        (node.decision, node.reason) = (Decision::Allow, None);
    }
    nodes
}

/// What every member said that was asked or could not be reached.
pub(super) fn nodes(coordinator: &Coordinator) -> Vec<NodeDecision> {
    coordinator
        .standings
        .iter()
        .filter_map(|(id, standing)| {
            let (decision, reason) = decision(coordinator, id, standing)?;
            Some(NodeDecision { peer_id: coordinator.setup.membership.peer_id(id), decision, reason })
        })
        .collect()
}

fn decision(
    coordinator: &Coordinator,
    id: Identifier,
    standing: &Standing,
) -> Option<(Decision, Option<String>)> {
    Some(match standing {
        Standing::NotAsked => return None,
        Standing::NotConnected { .. } => {
            (Decision::NotConnected, Some("it is not connected to the coordinating node".into()))
        }
        Standing::Waiting => (Decision::NoAnswer, Some("it was asked and has not answered".into())),
        Standing::Observed(observation) => match &observation.decision {
            Provisional::Refuse { reason } => (Decision::Refuse, Some(reason.clone())),
            Provisional::Allow => {
                let standings = &coordinator.standings;
                match (standings.slow(id), standings.objection(id)) {
                    (Some(reason), _) => (Decision::NoAnswer, Some(reason.to_owned())),
                    (None, Some(reason)) => (Decision::Abstain, Some(reason.to_owned())),
                    (None, None) => (Decision::Allow, None),
                }
            }
        },
        Standing::Refused { reason } => (Decision::Refuse, Some(reason.clone())),
        Standing::Abstained { reason, .. } => (Decision::Abstain, Some(reason.clone())),
        Standing::Misbehaved { reason } => (Decision::Misbehaved, Some(reason.clone())),
    })
}

/// Why no threshold can come together.
pub(super) fn failure(coordinator: &Coordinator) -> Failure {
    let committee = &coordinator.setup.membership.committee;
    let (size, threshold) = (usize::from(committee.size()), usize::from(committee.threshold()));
    // C8
    let refusals = coordinator.standings.refusals();
    if refusals > size - threshold {
        let detail =
            format!("{refusals} of {size} nodes refuse, {threshold} must allow: see each node's reason");
        return Failure::new(FailureKind::Refused, detail).with_nodes(nodes(coordinator));
    }
    if let Some((kind, reason)) = common_obstacle(coordinator, size - threshold) {
        let detail = format!("more than {} of {size} nodes cannot take part: {reason}", size - threshold);
        return Failure::new(kind, detail).with_nodes(nodes(coordinator));
    }
    if let Some(disagreement) = disagreement(coordinator) {
        let detail =
            format!("no {threshold} of {size} nodes can sign over what they read: {}", disagreement.reason);
        let mut failure = Failure::new(FailureKind::Disagreement, detail).with_nodes(nodes(coordinator));
        failure.disagreement = Some(Box::new(disagreement));
        return failure;
    }
    unavailable(coordinator)
}

/// The deadline passed.
pub(super) fn deadline(coordinator: &Coordinator) -> Failure {
    let threshold = coordinator.setup.membership.threshold();
    let silent = nodes(coordinator)
        .iter()
        .filter(|node| matches!(node.decision, Decision::NoAnswer | Decision::NotConnected))
        .count();
    let size = usize::from(coordinator.setup.membership.committee.size());
    if size - silent < threshold {
        return unavailable(coordinator);
    }
    let detail = "the deadline passed before enough nodes had run the action and signed: ask again, or with a \
                  later deadline";
    Failure::new(FailureKind::Deadline, detail).with_nodes(nodes(coordinator))
}

/// No further attempt makes sense.
pub(super) fn exhausted(coordinator: &Coordinator) -> Failure {
    unavailable(coordinator)
}

fn unavailable(coordinator: &Coordinator) -> Failure {
    let committee = &coordinator.setup.membership.committee;
    let nodes = nodes(coordinator);
    let missing: Vec<&str> = nodes
        .iter()
        .filter(|node| node.decision != Decision::Allow)
        .map(|node| node.peer_id.as_str())
        .collect();
    let detail = format!(
        "{} of {} nodes are needed to sign; no answer that allows came from {}",
        committee.threshold(),
        committee.size(),
        if missing.is_empty() { "enough of them".into() } else { missing.join(", ") },
    );
    Failure::new(FailureKind::Unavailable, detail).with_nodes(nodes)
}

/// The one obstacle that keeps more than `spare` members away, and how one of them puts it.
fn common_obstacle(coordinator: &Coordinator, spare: usize) -> Option<(FailureKind, &str)> {
    let mut found: BTreeMap<FailureKind, (usize, &str)> = BTreeMap::new();
    for (_, standing) in coordinator.standings.iter() {
        if let Standing::Abstained { kind, reason } = standing {
            found.entry(*kind).or_insert((0, reason)).0 += 1;
        }
    }
    found.into_iter().find(|(_, (count, _))| *count > spare).map(|(kind, (_, reason))| (kind, reason))
}

/// The first read over which members that sent their record cannot sign, with what each of them saw.
///
/// Those whose live run refused are shown too. Where all together could sign, and still nobody was chosen, the members
/// that would have been asked first are shown.
fn disagreement(coordinator: &Coordinator) -> Option<Disagreement> {
    let all: BTreeMap<Identifier, &Record> = coordinator
        .standings
        .iter()
        .filter_map(|(id, standing)| match standing {
            Standing::Observed(observation) => Some((id, &observation.record)),
            Standing::NotConnected { .. }
            | Standing::NotAsked
            | Standing::Waiting
            | Standing::Refused { .. }
            | Standing::Abstained { .. }
            | Standing::Misbehaved { .. } => None,
        })
        .collect();
    if all.len() < 2 {
        return None;
    }
    let preferred = || {
        let allowing = coordinator.standings.allowing().into_iter();
        let first: BTreeMap<Identifier, &Record> = allowing
            .take(coordinator.setup.membership.threshold())
            .map(|(id, observation)| (id, &observation.record))
            .collect();
        explain(&first)
    };
    let found = explain(&all).or_else(preferred)?;
    let reason = found.to_string();
    let rule = match (found.cause, found.rule) {
        (_, Some(rule)) => rule.to_string(),
        (Cause::Ended, None) => "none: some nodes did not read here".into(),
        (_, None) => "none: not all nodes asked for the same here".into(),
    };
    let saw = found.seen.into_iter().map(|(id, seen)| {
        let (read, value) = seen.map(|seen| (seen.read, seen.value)).unzip();
        Saw { peer_id: coordinator.setup.membership.peer_id(id), read, value }
    });
    Some(Disagreement {
        position: u32::try_from(found.position).unwrap_or(u32::MAX),
        what: None,
        pointer: found.pointer,
        rule,
        reason,
        saw: saw.collect(),
    })
}
