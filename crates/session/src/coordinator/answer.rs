//! What the caller is told: what each node said, and why there is no signature.

use std::collections::BTreeMap;

use countersign_agreement::agree;
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
            Provisional::Allow => match coordinator.standings.slow(id) {
                Some(reason) => (Decision::NoAnswer, Some(reason.to_owned())),
                None => (Decision::Allow, None),
            },
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
        let detail = format!(
            "the nodes read different values, so no {threshold} of {size} can sign: see the read at position {}",
            disagreement.position
        );
        let mut failure = Failure::new(FailureKind::Disagreement, detail).with_nodes(nodes(coordinator));
        failure.disagreement = Some(disagreement);
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

/// Where the records of members that sent one part, if they do.
fn disagreement(coordinator: &Coordinator) -> Option<Disagreement> {
    let records: BTreeMap<Identifier, &Record> = coordinator
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
    if records.len() < 2 {
        return None;
    }
    let ended = agree(&records).ended?;
    let saw = ended
        .seen
        .iter()
        .map(|(id, seen)| Saw {
            peer_id: coordinator.setup.membership.peer_id(*id),
            read: seen.as_ref().map(|seen| seen.read),
            value: seen.as_ref().map(|seen| seen.value.to_string()),
        })
        .collect();
    let rule = ended.rule().map_or("none: some nodes did not read here", |rule| rule.name()).to_owned();
    Some(Disagreement {
        position: u32::try_from(ended.position).unwrap_or(u32::MAX),
        what: None,
        pointer: None,
        rule,
        reason: ended.to_string(),
        saw,
    })
}
