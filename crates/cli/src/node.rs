//! `countersign node`: a node's folder, its process, and its state.

use std::{env, path::PathBuf};

use clap::{Args, Subcommand};
use countersign_action::Compiler;
use countersign_node::{
    NodeConfig, NodeError, PassphraseConfig,
    boots::{self, ReadmitError},
    init, logging,
};
use countersign_store::OpenError;
use countersign_types::{Genesis, NodePublicKey, RootKeys, api::NetworkInfo};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{
    exit::Exit,
    node_backup, node_check,
    output::{Output, facts, table},
    sign::{NodeArguments, runtime},
};

/// Passphrases with fewer characters are warned of where they are set.
const ADVISED_CHARACTERS: usize = 12;
/// The hidden command that compiles a component in a process of its own.
pub(crate) const COMPILE: &str = "compile-component";

/// Nodes.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a node's folder: a fresh identity, sealed, and an example configuration.
    #[command(after_help = "Example:\n  countersign node init node1 --passphrase-file passphrase")]
    Init {
        /// The folder to make.
        folder: PathBuf,
        #[command(flatten)]
        secret: SecretArguments,
    },
    /// Make the node a member of a network: its database, and a copy of the genesis.
    #[command(
        after_help = "The database is new and empty: a node whose data is lost gets its key shares back with `countersign node \
                      restore`, and not so.\n\n\
                      Example:\n  countersign node join node1 --genesis genesis.json --passphrase-file passphrase"
    )]
    Join {
        /// The node's folder.
        folder: PathBuf,
        /// The genesis file of the network.
        #[arg(long)]
        genesis: PathBuf,
        #[command(flatten)]
        secret: SecretArguments,
    },
    /// Run a node until SIGTERM or Ctrl-C; a second one ends it at once.
    #[command(after_help = "Example:\n  countersign node run --config node1/node.toml")]
    Run {
        /// The configuration file.
        #[arg(long, default_value = "node.toml")]
        config: PathBuf,
    },
    /// Write the node's keys, and what else it needs to come back, into one sealed file. Stop the node first.
    Backup(node_backup::BackupArguments),
    /// Put a backup in the place of a database that is lost.
    Restore(node_backup::RestoreArguments),
    /// Accept a member that was restored from an old backup: forget which of its starts this node has seen. Stop the node
    /// first.
    #[command(
        after_help = "Nodes refuse a member whose database is older than the one that it ran on, or that runs twice. Readmit one \
                      only when its operator says that the newer database is lost and no other copy of it runs.\n\n\
                      Example:\n  countersign node readmit 0x02... --config node1/node.toml"
    )]
    Readmit {
        /// The member's public key.
        member: NodePublicKey,
        /// The configuration file of this node.
        #[arg(long, default_value = "node.toml")]
        config: PathBuf,
    },
    /// Ask a node how it and its network are.
    #[command(
        after_help = "Example:\n  countersign node status --node http://127.0.0.1:8470 --genesis genesis.json"
    )]
    Status(NodeArguments),
    /// Tell whether all is well with a node, before it starts or while it runs.
    Check(node_check::Arguments),
}

/// The passphrase that seals a node's keys.
#[derive(Args)]
pub(crate) struct SecretArguments {
    /// A file of mode 0600 with the passphrase; else the variable COUNTERSIGN_PASSPHRASE, else the systemd
    /// credential countersign-passphrase.
    #[arg(long)]
    passphrase_file: Option<PathBuf>,
    /// Stretch the passphrase with next to no work: for test networks only.
    #[arg(long, hide = true)]
    weak_passphrase: bool,
}

impl SecretArguments {
    fn passphrase(&self) -> Result<SecretString, Exit> {
        PassphraseConfig { file: self.passphrase_file.clone() }.read().map_err(Exit::invalid)
    }

    fn kdf(&self, output: &Output) -> Result<countersign_node::init::KdfParameters, Exit> {
        if !self.weak_passphrase {
            return Ok(Default::default());
        }
        output.say("WARNING: the passphrase is stretched with next to no work: for test networks only");
        countersign_node::init::KdfParameters::new(1024, 1).map_err(Exit::invalid)
    }
}

pub(crate) fn run(command: Command, output: &mut Output) -> Result<(), Exit> {
    match command {
        Command::Init { folder, secret } => {
            let kdf = secret.kdf(output)?;
            let passphrase = secret.passphrase()?;
            let key = init::init(&folder, &passphrase, secret.passphrase_file.as_deref(), kdf)
                .map_err(Exit::invalid)?;
            warn_of_short(&passphrase, "the sealed identity and the database", output);
            shown(&key, output, || {
                let from = secret.passphrase_file.as_ref();
                let from =
                    from.map(|file| format!(" --passphrase-file {}", file.display())).unwrap_or_default();
                format!(
                    "next: give the public key ({0}/public-key) to whoever makes the genesis (countersign network create), then run\n  \
                     countersign node join {0} --genesis genesis.json{from}\n\
                     set peers, chains and publishers in {0}/node.toml, and run\n  \
                     countersign node run --config {0}/node.toml",
                    folder.display()
                )
            })
        }
        Command::Join { folder, genesis, secret } => {
            let kdf = secret.kdf(output)?;
            let trace = init::trace_of_use(&folder);
            let network = init::join(&folder, &genesis, &secret.passphrase()?, kdf).map_err(Exit::invalid)?;
            if let Some(trace) = trace {
                output.say(format!(
                    "WARNING: {} was there before, so this node may have been in its network already. If it has lost its data, do not run it \
                     so: the database is new, without its key shares, and it cannot sign with the keys that the network has. Move the \
                     database away and run `countersign node restore` with the node's backup. Without a backup its shares are lost for good; \
                     the others then talk to it only once each of their operators has run `countersign node readmit`",
                    trace.display()
                ));
            }
            output.result(&json!({ "network": network }), || {
                let facts = facts(&[("network", network.to_string())]);
                let folder = folder.display();
                format!(
                    "{facts}\n\nnext: set network.peers, chains and actions.publishers in {folder}/node.toml, and run\n  \
                     countersign node run --config {folder}/node.toml"
                )
            })
        }
        Command::Run { config } => serve(&config, output),
        Command::Backup(arguments) => node_backup::take(&arguments, output),
        Command::Restore(arguments) => node_backup::restore(&arguments, output),
        Command::Readmit { member, config } => readmit(&member, &config, output),
        Command::Status(node) => status(&node, output),
        Command::Check(arguments) => node_check::run(arguments, output),
    }
}

fn shown(key: &NodePublicKey, output: &mut Output, next: impl FnOnce() -> String) -> Result<(), Exit> {
    let value = json!({ "public_key": key, "peer_id": key.peer_id(), "address": key.address() });
    output.result(&value, || {
        let lines = facts(&[
            ("public key", key.to_string()),
            ("PeerId", key.peer_id()),
            ("address", key.address().to_string()),
        ]);
        format!("{lines}\n\n{}", next())
    })
}

/// What compiles actions: this program, as a child.
pub(crate) fn compiler(config: &countersign_action::Config) -> Result<Compiler, Exit> {
    let program = env::current_exe().map_err(Exit::unexpected)?;
    Ok(Compiler::new(program, vec![COMPILE.into()], config))
}

fn serve(config: &std::path::Path, output: &mut Output) -> Result<(), Exit> {
    let config = NodeConfig::load(config).map_err(Exit::invalid)?;
    logging::start(&config.log).map_err(Exit::invalid)?;
    let compiler = compiler(&config.actions.host)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(Exit::unexpected)?;
    let stop = CancellationToken::new();
    runtime.block_on(async {
        stop_on_signals(stop.clone()).map_err(Exit::unexpected)?;
        let announce = |address| output.say(format!("listening on http://{address}"));
        countersign_node::run(config, compiler, stop, announce).await.map_err(node_exit)
    })
}

fn node_exit(error: NodeError) -> Exit {
    if matches!(error, NodeError::Open(OpenError::InUse { .. })) {
        return Exit::unavailable(error);
    }
    let own_fault = matches!(
        error,
        NodeError::Driver(_) | NodeError::Task(_) | NodeError::Store(_) | NodeError::Metrics(_)
    );
    if own_fault { Exit::unexpected(error) } else { Exit::invalid(error) }
}

fn readmit(member: &NodePublicKey, config: &std::path::Path, output: &mut Output) -> Result<(), Exit> {
    let config = NodeConfig::load(config).map_err(Exit::invalid)?;
    let known = runtime()?.block_on(boots::readmit(&config, member)).map_err(readmit_exit)?;
    output.result(&json!({ "member": member, "known_generation": known }), || match known {
        Some(generation) => {
            format!("readmitted: boot {generation} of it is forgotten, its next one is accepted")
        }
        None => "no boot of this member was known: its next one is accepted anyhow".into(),
    })
}

fn readmit_exit(error: ReadmitError) -> Exit {
    let runs = matches!(error, ReadmitError::Running { .. });
    if runs { Exit::unavailable(error) } else { Exit::invalid(error) }
}

/// Warns where a passphrase is set that is soon guessed.
pub(crate) fn warn_of_short(passphrase: &SecretString, sealed: &str, output: &Output) {
    if let Some(warning) = short(passphrase, sealed) {
        output.say(warning);
    }
}

fn short(passphrase: &SecretString, sealed: &str) -> Option<String> {
    let got = passphrase.expose_secret().chars().count();
    (got < ADVISED_CHARACTERS).then(|| {
        format!(
            "WARNING: the passphrase has fewer than {ADVISED_CHARACTERS} characters: whoever gets hold of {sealed} can try all of them. \
             Use a random one, as `openssl rand -hex 24` prints"
        )
    })
}

/// The first signal asks the node to stop, the second ends the process.
fn stop_on_signals(stop: CancellationToken) -> std::io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        next().await;
        tracing::info!("stopping: sessions under way may end; signal again to stop at once");
        stop.cancel();
        next().await;
        std::process::exit(130);
    });
    Ok(())
}

/// Shows the first node that answers. Each is asked once: one that is down now is what the caller wants to know.
fn status(node: &NodeArguments, output: &mut Output) -> Result<(), Exit> {
    let (info, passed_over) = node.waiting()?.block_on(output, node.client()?.status())?;
    for failure in passed_over {
        output.say(format!("passed over {failure}"));
    }
    output.result(&info, || text(&info))
}

fn text(info: &NetworkInfo) -> String {
    let Genesis { threshold, members, chains, .. } = &info.genesis;
    let chains: Vec<String> = chains.iter().map(u64::to_string).collect();
    let mut lines = vec![
        ("network", info.network.to_string()),
        ("threshold", format!("{threshold} of {}", members.len())),
        ("chains", chains.join(", ")),
        ("node", format!("{} (version {})", info.node.peer_id(), info.version)),
        ("engine", info.engine.to_string()),
        ("ready", info.not_ready.as_ref().map_or("yes".into(), |reason| format!("no: {reason}"))),
    ];
    for root in info.root_keys.iter().flat_map(RootKeys::roots) {
        lines.push(("root key", format!("{} {}", root.scheme, root.public_key)));
    }
    let rows = info
        .members
        .iter()
        .map(|member| {
            let connected = if member.connected { "connected" } else { "not connected" };
            vec![
                member.identifier.to_string(),
                member.peer_id.clone(),
                member.address.to_string(),
                connected.into(),
            ]
        })
        .collect();
    format!("{}\n{}", facts(&lines), table(&["#", "PeerId", "address", "state"], rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_in_use_ends_in_one_way_whatever_wanted_it() {
        let in_use = || OpenError::InUse { path: PathBuf::from("node1/data/db") };
        let readmitted = readmit_exit(ReadmitError::from(NodeError::Open(in_use())));
        let run = node_exit(NodeError::Open(in_use()));
        for exit in [readmitted, run] {
            assert_eq!((exit.code, exit.kind), (4, "unavailable"), "{exit:?}");
            assert!(exit.causes.iter().any(|cause| cause.contains("stop it first")), "{exit:?}");
        }
        assert_eq!(node_exit(NodeError::Open(OpenError::Passphrase)).code, 8);
        assert_eq!(readmit_exit(ReadmitError::Node(NodeError::Open(OpenError::Passphrase))).code, 8);
    }

    #[test]
    fn a_short_passphrase_is_warned_of_and_not_shown() {
        let warning = |text: &str| short(&SecretString::from(text), "the file");
        for text in ["a", "abc", "elevenchars", "\u{e4}\u{f6}\u{fc}\u{df}\u{e4}\u{f6}\u{fc}"] {
            let told = warning(text).expect("too short");
            assert!(told.contains("12 characters") && told.contains("the file"), "{told}");
        }
        assert!(!warning("xyzzy").expect("too short").contains("xyzzy"));
        assert_eq!(warning("twelve chars"), None);
    }
}
