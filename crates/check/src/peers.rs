//! The other members: whether the node is connected with them, and whether each of their addresses leads to them.

use std::{collections::BTreeMap, sync::Arc};

use countersign_network::{
    Multiaddr,
    reach::{ReachError, reach},
};
use countersign_node::NodeConfig;
use countersign_types::{NodePublicKey, api::MemberInfo};
use futures::{
    FutureExt,
    future::{BoxFuture, Shared, join_all},
};
use tokio::sync::Semaphore;

use crate::{Name, membership::Known, node::Life, report::Finding, tasks::Task};

/// Addresses that are dialled at once.
const DIALS_AT_ONCE: usize = 16;

/// What was seen of one member.
#[derive(Debug, Clone, Default)]
struct Look {
    /// What the node says, while it runs.
    connected: Option<bool>,
    /// What dialling each address gave.
    dialled: Vec<(Multiaddr, Result<(), ReachError>)>,
}

type Looks = Arc<BTreeMap<NodePublicKey, Look>>;

/// One check for each other member.
pub(crate) fn tasks(config: &NodeConfig, known: &Known, life: &Arc<Life>) -> Vec<Task> {
    let Some(network) = &known.network else { return Vec::new() };
    let threshold = usize::from(network.committee.threshold());
    let others: Vec<NodePublicKey> = known.others().collect();
    let looks = looks(others.clone(), config, life).shared();
    let task = |member: NodePublicKey| {
        let looks: Shared<BoxFuture<'static, Looks>> = looks.clone();
        Task::of(Name::Peer, member.peer_id(), async move {
            let looks = looks.await;
            let look = looks.get(&member).cloned().unwrap_or_default();
            // this node itself is one more
            let there = 1 + looks.values().filter(|look| look.may_be_there()).count();
            judge(&look, there >= threshold)
        })
    };
    others.into_iter().map(task).collect()
}

fn looks(others: Vec<NodePublicKey>, config: &NodeConfig, life: &Life) -> BoxFuture<'static, Looks> {
    let places = Arc::new(Semaphore::new(DIALS_AT_ONCE));
    let members: &[MemberInfo] = life.info().map_or(&[], |info| &info.members);
    let looks = others.into_iter().map(|member| {
        let addresses = config.network.peers.get(&member).cloned().unwrap_or_default();
        let said = members.iter().find(|said| said.public_key == member);
        look(member, addresses, said.map(|said| said.connected), Arc::clone(&places))
    });
    join_all(looks).map(|looks| Arc::new(looks.into_iter().collect())).boxed()
}

async fn look(
    member: NodePublicKey,
    addresses: Vec<Multiaddr>,
    connected: Option<bool>,
    places: Arc<Semaphore>,
) -> (NodePublicKey, Look) {
    let dials = addresses.into_iter().map(|address| dial(member, address, Arc::clone(&places)));
    (member, Look { connected, dialled: join_all(dials).await })
}

async fn dial(
    member: NodePublicKey,
    address: Multiaddr,
    places: Arc<Semaphore>,
) -> (Multiaddr, Result<(), ReachError>) {
    // the semaphore is never closed
    let _place = places.acquire().await.ok();
    let reached = reach(&member, &address).await;
    (address, reached.map(drop))
}

impl Look {
    fn reached(&self) -> bool {
        self.dialled.iter().any(|(_, reached)| reached.is_ok())
    }

    /// Whether it counts for the threshold: what the node says counts more than what is seen from beside it, and of a member
    /// without an address nothing is known before the node runs.
    fn may_be_there(&self) -> bool {
        self.connected.unwrap_or_else(|| self.reached() || self.dialled.is_empty())
    }

    /// Every address that does not lead to the member, with the reason.
    fn faults(&self) -> String {
        let faults = self.dialled.iter().filter_map(|(address, reached)| {
            reached.as_ref().err().map(|error| format!("{address}: {error}"))
        });
        faults.collect::<Vec<_>>().join("; ")
    }
}

/// `enough`: as many members as sign are there without those that are not.
fn judge(look: &Look, enough: bool) -> Finding {
    let faults = look.faults();
    match (look.connected, look.reached()) {
        (Some(true), _) | (None, true) if faults.is_empty() => {
            let addresses = look.dialled.len();
            let dialled = if addresses == 0 {
                "it dialled this node".into()
            } else {
                format!("{addresses} addresses lead to it")
            };
            Finding::ok(if look.connected.is_some() { format!("connected; {dialled}") } else { dialled })
        }
        (Some(true), _) | (None, true) => Finding::warning(
            format!("it can be reached, but not at {faults}"),
            "correct network.peers, or tell its operator: a connection that is lost comes back later",
        ),
        (Some(false), true) => Finding::unless(
            enough,
            "it can be reached, and the node is not connected with it in a way that serves: it is of another engine or protocol, or one refuses the other",
            "look for \"a member is not talked to\" and \"the member runs another engine\" in the node's log",
        ),
        (Some(false), false) if look.dialled.is_empty() => Finding::unless(
            enough,
            "not connected: it has not dialled this node, which has no address of it",
            "ask its operator whether it runs, and set network.peers: without an address it shares the places of strangers until it has connected once since this node's start",
        ),
        (None, false) if look.dialled.is_empty() => {
            Finding::skipped("there is no address of it: it has to dial this node")
        }
        (Some(false) | None, false) => Finding::unless(
            enough,
            format!("it cannot be reached: {faults}"),
            "ask its operator whether it runs; check the addresses in network.peers, and firewalls for UDP and TCP",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use countersign_types::{B256, EngineId, NodeKey, api::NetworkInfo};

    use super::*;
    use crate::{State, fixture::joined, tasks::side_by_side};

    /// What the node says, and with which of the other members it is connected.
    fn running(known: &Known, connected: &[bool]) -> Arc<Life> {
        let network = known.network.as_ref().expect("a network");
        let member = |(public_key, connected): (NodePublicKey, &bool)| MemberInfo {
            identifier: network.committee.identifier(&public_key).expect("a member").get(),
            public_key,
            peer_id: public_key.peer_id(),
            address: public_key.address(),
            connected: *connected,
            version: None,
            engine: None,
        };
        Arc::new(Life::Answers(Box::new(NetworkInfo {
            network: network.id,
            genesis: network.genesis.clone(),
            epoch: 1,
            root_keys: None,
            members: known.others().zip(connected).map(member).collect(),
            node: known.own.expect("an identity"),
            version: countersign_node::VERSION.into(),
            engine: EngineId(B256::ZERO),
            ready: true,
            not_ready: None,
        })))
    }

    fn look(connected: Option<bool>, reached: &[bool]) -> Look {
        let dialled = reached.iter().enumerate().map(|(index, reached)| {
            let address = format!("/ip4/192.0.2.1/tcp/{}", index + 1).parse().expect("an address");
            let refused = ReachError::Unreached { reason: "connection refused".into() };
            (address, if *reached { Ok(()) } else { Err(refused) })
        });
        Look { connected, dialled: dialled.collect() }
    }

    #[test]
    fn a_member_is_well_if_all_that_is_known_of_it_is() {
        for (connected, reached) in [(Some(true), &[true, true][..]), (Some(true), &[]), (None, &[true])] {
            assert_eq!(judge(&look(connected, reached), false).state, State::Ok, "{connected:?} {reached:?}");
        }
        assert_eq!(judge(&look(None, &[]), true).state, State::Skipped);
    }

    #[test]
    fn an_address_that_leads_nowhere_is_named() {
        for connected in [Some(true), None] {
            let finding = judge(&look(connected, &[true, false]), false);
            assert_eq!(finding.state, State::Warning);
            assert!(finding.says.contains("/tcp/2: connection refused"), "{finding:?}");
            assert!(!finding.says.contains("/tcp/1:"), "{finding:?}");
        }
    }

    #[test]
    fn one_that_is_gone_is_a_failure_only_where_too_few_are_left() {
        for (connected, reached) in
            [(Some(false), &[false][..]), (Some(false), &[]), (Some(false), &[true]), (None, &[false, false])]
        {
            let look = look(connected, reached);
            assert_eq!(judge(&look, true).state, State::Warning, "{connected:?} {reached:?}");
            assert_eq!(judge(&look, false).state, State::Failed, "{connected:?} {reached:?}");
        }
    }

    #[tokio::test]
    async fn this_node_and_those_that_are_there_have_to_be_enough() {
        let folder = tempfile::tempdir().expect("a folder");
        let (config, mut known) = joined(folder.path());
        let network = known.network.as_mut().expect("a network");
        network.genesis.members.push(NodeKey::from_bytes([8; 32]).expect("a scalar").public_key());
        network.committee = network.genesis.committee().expect("two of three sign");
        for (connected, gone) in [([true, false], State::Warning), ([false, false], State::Failed)] {
            let tasks = tasks(&config, &known, &running(&known, &connected));
            let checks = side_by_side(tasks, Duration::from_secs(20)).await;
            assert_eq!(checks[1].state, gone, "{checks:?}");
        }
    }

    #[test]
    fn the_nodes_word_counts_for_the_threshold() {
        assert!(look(Some(true), &[false]).may_be_there());
        assert!(!look(Some(false), &[true]).may_be_there());
        assert!(look(None, &[false, true]).may_be_there() && look(None, &[]).may_be_there());
        assert!(!look(None, &[false]).may_be_there());
    }
}
