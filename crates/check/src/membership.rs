//! Who the node is, and whether its configuration fits the network's genesis.

use std::collections::BTreeSet;

use countersign_node::NodeConfig;
use countersign_store::{IdentityFile, Store};
use countersign_types::{Committee, Genesis, NetworkId, NodePublicKey};

use crate::report::{Finding, with_causes};

/// What could be found out about the node and its network without opening anything that is sealed.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) network: Option<Network>,
    pub(crate) own: Option<NodePublicKey>,
    /// Why there is less than all of it.
    problems: Vec<String>,
}

/// The network, by its genesis.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    pub(crate) id: NetworkId,
    pub(crate) genesis: Genesis,
    pub(crate) committee: Committee,
}

impl Known {
    /// Reads genesis and identity.
    pub(crate) fn read(config: &NodeConfig) -> Self {
        let mut problems = Vec::new();
        let network = read_network(config).map_err(|problem| problems.push(problem)).ok();
        let own = read_own(config).map_err(|problem| problems.push(problem)).ok();
        Self { network, own, problems }
    }

    /// The other members.
    pub(crate) fn others(&self) -> impl Iterator<Item = NodePublicKey> + '_ {
        let members = self.network.iter().flat_map(|network| network.committee.members());
        members.copied().filter(|member| Some(*member) != self.own)
    }

    /// Whether the configuration fits.
    pub(crate) fn judge(&self, config: &NodeConfig) -> Finding {
        let (Some(network), Some(own)) = (&self.network, self.own) else {
            return Finding::failed(
                self.problems.join("; "),
                "make the identity with `countersign node init`, join with `countersign node join`, or correct genesis and identity in the configuration",
            );
        };
        let Some(me) = network.committee.identifier(&own) else {
            return Finding::failed(
                format!("this node, {own}, is not a member of network {}", network.id),
                "check that genesis and identity in the configuration belong together",
            );
        };
        if let Some(stranger) =
            config.network.peers.keys().find(|peer| network.committee.identifier(peer).is_none())
        {
            return Finding::failed(
                format!("network.peers names {stranger}, which is not a member: the node does not start"),
                "remove it, or correct its public key",
            );
        }
        let gaps = self.gaps(config, &network.genesis);
        let size = network.committee.size();
        if gaps.is_empty() {
            let threshold = network.committee.threshold();
            return Finding::ok(format!("member {} of {size}, of which {threshold} sign", me.get()));
        }
        Finding::warning(gaps.join("; "), "complete network.peers and [[chains]], or leave it so on purpose")
    }

    /// What the network needs and the configuration does not have.
    fn gaps(&self, config: &NodeConfig, genesis: &Genesis) -> Vec<String> {
        let unknown =
            self.others().filter(|member| config.network.peers.get(member).is_none_or(Vec::is_empty));
        let unknown = unknown.map(|member| {
            format!(
                "network.peers has no address of {}: it has to dial this node, and shares the places of strangers until it has connected once since this node's start",
                member.peer_id()
            )
        });
        let read: BTreeSet<u64> = config.chains.iter().map(|chain| chain.chain_id).collect();
        let listed: BTreeSet<u64> = genesis.chains.iter().copied().collect();
        let unread = listed.difference(&read).map(|chain| {
            format!("there is no section [[chains]] for chain {chain} of the genesis: the node abstains where it is read")
        });
        let idle = read.difference(&listed).map(|chain| {
            format!("chain {chain} of a section [[chains]] is not in the genesis: no action reads it")
        });
        unknown.chain(unread).chain(idle).collect()
    }
}

fn read_network(config: &NodeConfig) -> Result<Network, String> {
    let genesis = config.load_genesis().map_err(|error| with_causes(&error))?;
    let committee = genesis.committee().map_err(|error| with_causes(&error))?;
    Ok(Network { id: genesis.network_id(), genesis, committee })
}

/// As the node itself does: the sealed identity says whose it is; where it is kept elsewhere, the database does.
fn read_own(config: &NodeConfig) -> Result<NodePublicKey, String> {
    if config.identity.exists() {
        return IdentityFile::read_public_key(&config.identity).map_err(|error| with_causes(&error));
    }
    let owner = Store::read_owner(&config.database()).map_err(|error| with_causes(&error))?;
    Ok(owner.node)
}

#[cfg(test)]
mod tests {
    use countersign_types::{B256, NodeKey};

    use super::*;
    use crate::State;

    fn member(byte: u8) -> NodePublicKey {
        NodeKey::from_bytes([byte; 32]).expect("a scalar").public_key()
    }

    fn known(own: u8, members: &[u8]) -> Known {
        let genesis = Genesis {
            nonce: B256::ZERO,
            members: members.iter().map(|byte| member(*byte)).collect(),
            threshold: 2,
            chains: vec![1],
        };
        let committee = genesis.committee().expect("a committee");
        let network = Network { id: genesis.network_id(), genesis, committee };
        Known { network: Some(network), own: Some(member(own)), problems: Vec::new() }
    }

    fn config(peers: &[u8], chains: &[u64]) -> NodeConfig {
        let mut text = "data = 'd'\ngenesis = 'g'\n[network.peers]\n".to_owned();
        for peer in peers {
            text.push_str(&format!("\"{}\" = ['/ip4/192.0.2.1/tcp/{peer}']\n", member(*peer)));
        }
        for chain in chains {
            text.push_str(&format!("[[chains]]\nchain_id = {chain}\nproviders = []\n"));
        }
        toml::from_str(&text).expect("a configuration")
    }

    #[test]
    fn a_member_that_knows_its_peers_and_chains_is_well() {
        let finding = known(1, &[1, 2, 3]).judge(&config(&[2, 3], &[1]));
        assert_eq!(finding.state, State::Ok, "{finding:?}");
        // its own entry does no harm
        assert_eq!(known(1, &[1, 2, 3]).judge(&config(&[1, 2, 3], &[1])).state, State::Ok);
    }

    #[test]
    fn a_stranger_and_a_strange_peer_fail() {
        for (known, config, named) in [
            (known(4, &[1, 2, 3]), config(&[2, 3], &[1]), member(4)),
            (known(1, &[1, 2, 3]), config(&[2, 3, 9], &[1]), member(9)),
        ] {
            let finding = known.judge(&config);
            assert_eq!(finding.state, State::Failed);
            assert!(finding.says.contains(&named.to_string()), "{finding:?}");
        }
    }

    #[test]
    fn gaps_are_warned_of_by_name() {
        for (config, named) in [
            (config(&[2], &[1]), member(3).peer_id()),
            (config(&[2, 3], &[]), "chain 1 of the genesis".into()),
            (config(&[2, 3], &[1, 7]), "chain 7".into()),
        ] {
            let finding = known(1, &[1, 2, 3]).judge(&config);
            assert_eq!(finding.state, State::Warning);
            assert!(finding.says.contains(&named), "{named}: {finding:?}");
        }
    }

    #[test]
    fn without_genesis_or_identity_the_reason_is_given() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = config(&[], &[]);
        (config.data, config.genesis, config.identity) =
            (folder.path().join("data"), folder.path().join("genesis.json"), folder.path().join("identity"));
        let finding = Known::read(&config).judge(&config);
        assert_eq!(finding.state, State::Failed);
        for part in ["genesis.json", "node join"] {
            assert!(finding.says.contains(part), "{part}: {finding:?}");
        }
    }
}
