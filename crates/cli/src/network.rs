//! `countersign network`: the genesis.

use std::path::PathBuf;

use clap::Subcommand;
use countersign_types::{B256, Genesis, NodePublicKey, RootKeys};
use rand_core::{OsRng, RngCore};
use serde_json::json;

use crate::{
    exit::Exit,
    files,
    output::{Output, facts, table},
    trust::{GENESIS, ROOT_KEYS, genesis_file},
};

/// The mode of a file that everybody may read.
const PUBLIC: u32 = 0o644;

/// The genesis of a network.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Write the genesis of a new network. Every operator then runs `countersign node join` with this file.
    #[command(
        after_help = "Example:\n  countersign network create --member 0x02.. --member 0x03.. --member 0x02.. \\\n    --threshold 2 --chain 1 --out genesis.json"
    )]
    Create {
        /// A member's public key, as `countersign node init` printed it; once for each member.
        #[arg(long = "member", required = true, value_delimiter = ',')]
        members: Vec<NodePublicKey>,
        /// How many members make a signature: more than half.
        #[arg(long)]
        threshold: u16,
        /// A chain that actions may read, by EIP-155 id; once for each chain.
        #[arg(long = "chain", value_delimiter = ',')]
        chains: Vec<u64>,
        /// The file to write; it is not overwritten.
        #[arg(long, default_value = "genesis.json")]
        out: PathBuf,
    },
    /// Show a genesis, and check root keys against it.
    #[command(
        after_help = "Example:\n  countersign network show --genesis genesis.json --root-keys root-keys.json"
    )]
    Show {
        /// The genesis file.
        #[arg(long, env = GENESIS, default_value = "genesis.json")]
        genesis: PathBuf,
        /// The root keys, to be checked.
        #[arg(long, env = ROOT_KEYS)]
        root_keys: Option<PathBuf>,
    },
}

pub(crate) fn run(command: Command, output: &mut Output) -> Result<(), Exit> {
    match command {
        Command::Create { members, threshold, chains, out } => {
            let mut nonce = B256::ZERO;
            OsRng.fill_bytes(nonce.as_mut_slice());
            let genesis = Genesis { nonce, members, threshold, chains };
            genesis.committee().map_err(Exit::invalid)?;
            let text = serde_json::to_string_pretty(&genesis).map_err(Exit::unexpected)? + "\n";
            files::write_new(&out, &text, PUBLIC)?;
            show(&genesis, None, output)?;
            output.next(format!(
                "next: give {0} to the operator of each member, who runs\n  countersign node join FOLDER --genesis {0}",
                out.display()
            ));
            Ok(())
        }
        Command::Show { genesis, root_keys } => {
            let genesis = genesis_file(&genesis)?;
            let root_keys = root_keys.map(|path| files::json_file(&path, "file of root keys")).transpose()?;
            show(&genesis, root_keys, output)
        }
    }
}

fn show(genesis: &Genesis, root_keys: Option<RootKeys>, output: &mut Output) -> Result<(), Exit> {
    let committee = genesis.committee().map_err(Exit::invalid)?;
    let network = genesis.network_id();
    if let Some(root_keys) = &root_keys {
        root_keys.verify(network, &committee).map_err(Exit::invalid)?;
    }
    let members: Vec<_> =
        committee.identifiers().filter_map(|id| Some((id, committee.member(id)?))).collect();
    let value = json!({
        "network": network,
        "threshold": committee.threshold(),
        "chains": genesis.chains,
        "members": members.iter().map(|(id, member)| json!({
            "identifier": id, "public_key": member, "peer_id": member.peer_id(), "address": member.address(),
        })).collect::<Vec<_>>(),
        "root_keys": root_keys,
    });
    output.result(&value, || {
        let rows = members
            .iter()
            .map(|(id, member)| vec![id.to_string(), member.peer_id(), member.address().to_string()])
            .collect();
        let mut lines = vec![
            ("network", network.to_string()),
            ("threshold", format!("{} of {}", committee.threshold(), committee.size())),
            ("chains", genesis.chains.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")),
        ];
        for root in root_keys.iter().flat_map(RootKeys::roots) {
            lines.push(("root key", format!("{} {} (activated by all)", root.scheme, root.public_key)));
        }
        format!("{}\n{}", facts(&lines), table(&["#", "PeerId", "address"], rows))
    })
}
