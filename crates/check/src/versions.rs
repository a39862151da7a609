//! Versions: of this program, of the node that runs, and of the members that it is connected with.

use std::collections::BTreeMap;

use countersign_action::Engine;
use countersign_node::NodeConfig;
use countersign_types::{EngineId, api::NetworkInfo};

use crate::{
    node::Life,
    report::{Finding, with_causes},
};

/// Whether this program could run the node, and whether it, the node that runs and the members fit together.
pub(crate) fn look(config: &NodeConfig, life: &Life) -> Finding {
    match Engine::new(&config.actions.host) {
        Ok(engine) => judge(engine.engine_id(), life.info()),
        Err(error) => Finding::failed(
            with_causes(&error),
            "give the process more address space (ulimit -v, or LimitAS of the unit), or lower actions.host.concurrent_runs",
        ),
    }
}

fn judge(engine: EngineId, running: Option<&NetworkInfo>) -> Finding {
    let own = format!(
        "this program is version {}, protocol {}, engine {engine}",
        countersign_node::VERSION,
        countersign_session::PROTOCOL
    );
    let Some(info) = running else { return Finding::ok(own) };
    if info.version != countersign_node::VERSION || info.engine != engine {
        return Finding::warning(
            format!("{own}; the node that runs is version {}, engine {}", info.version, info.engine),
            "restart the node with this program, or check with the node's own",
        );
    }
    let others: Vec<_> = info.members.iter().filter(|member| member.public_key != info.node).collect();
    let odd: Vec<String> = others
        .iter()
        .filter(|member| member.engine.is_some_and(|engine| engine != info.engine))
        .map(|member| {
            format!("{} (version {})", member.peer_id, member.version.as_deref().unwrap_or("unknown"))
        })
        .collect();
    if !odd.is_empty() {
        return Finding::warning(
            format!(
                "{own}; with another engine, so that they share no session with this node: {}",
                odd.join(", ")
            ),
            "agree with their operators on one version",
        );
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for member in others {
        *counts.entry(member.version.as_deref().unwrap_or("unknown")).or_default() += 1;
    }
    let counts: Vec<String> =
        counts.iter().map(|(version, count)| format!("{count} with version {version}")).collect();
    Finding::ok(format!("{own}; the node that runs is the same; other members: {}", counts.join(", ")))
}

#[cfg(test)]
mod tests {
    use countersign_types::{B256, Genesis, NodeKey, api::MemberInfo};

    use super::*;
    use crate::State;

    const ENGINE: EngineId = EngineId(B256::repeat_byte(1));
    const OTHER: EngineId = EngineId(B256::repeat_byte(2));

    fn info(version: &str, engine: EngineId, peer: Option<EngineId>) -> NetworkInfo {
        let key = |byte| NodeKey::from_bytes([byte; 32]).expect("a scalar").public_key();
        let member = |byte: u8, engine: Option<EngineId>| MemberInfo {
            identifier: byte.into(),
            public_key: key(byte),
            peer_id: key(byte).peer_id(),
            address: key(byte).address(),
            connected: true,
            version: engine.map(|_| "0.0.9".into()),
            engine,
        };
        let genesis =
            Genesis { nonce: B256::ZERO, members: vec![key(1), key(2)], threshold: 2, chains: Vec::new() };
        NetworkInfo {
            network: genesis.network_id(),
            genesis,
            epoch: 1,
            root_keys: None,
            members: vec![member(1, Some(engine)), member(2, peer)],
            node: key(1),
            version: version.into(),
            engine,
            ready: true,
            not_ready: None,
        }
    }

    #[test]
    fn equal_engines_are_well_whatever_the_members_versions() {
        assert_eq!(judge(ENGINE, None).state, State::Ok);
        let finding = judge(ENGINE, Some(&info(countersign_node::VERSION, ENGINE, Some(ENGINE))));
        assert!(finding.state == State::Ok && finding.says.contains("1 with version 0.0.9"), "{finding:?}");
        let finding = judge(ENGINE, Some(&info(countersign_node::VERSION, ENGINE, None)));
        assert!(finding.state == State::Ok && finding.says.contains("1 with version unknown"), "{finding:?}");
    }

    #[test]
    fn another_program_and_another_engine_are_named() {
        let finding = judge(ENGINE, Some(&info("9.9.9", ENGINE, Some(ENGINE))));
        assert!(finding.state == State::Warning && finding.says.contains("9.9.9"), "{finding:?}");
        let finding = judge(ENGINE, Some(&info(countersign_node::VERSION, OTHER, Some(OTHER))));
        assert!(
            finding.state == State::Warning && finding.says.contains("the node that runs"),
            "{finding:?}"
        );
        let odd = info(countersign_node::VERSION, ENGINE, Some(OTHER));
        let finding = judge(ENGINE, Some(&odd));
        let named = odd.members[1].peer_id.as_str();
        assert!(finding.state == State::Warning && finding.says.contains(named), "{finding:?}");
        assert!(!finding.says.contains(&odd.members[0].peer_id), "not the node itself: {finding:?}");
    }
}
