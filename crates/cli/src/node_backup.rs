//! `countersign node backup` and `countersign node restore`.

mod ends;

use std::{
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use clap::Args;
use countersign_backup::{Backup, Identity, Key, Lock, OpenError, Recipient, fingerprint, open, seal};
use countersign_node::{
    NodeConfig, PassphraseConfig,
    backup::{self, Known, Restored},
    forbid_core_dumps,
    init::KdfParameters,
};
use countersign_types::{NodePublicKey, Scheme};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::{
    exit::Exit,
    files,
    node::warn_of_short,
    output::{Output, facts},
    sign::runtime,
};

/// What an operator must know before keeping backups. The figures are those of a network of t of n.
const BACKUP_HELP: &str = "The file holds the node's identity, its key shares, root keys, genesis, configuration, and \
the list of its starts. It holds no nonces, which exist in memory only, and no actions or receipts. Sealed by age (v1): under a \
passphrase (--passphrase-file, else the variable COUNTERSIGN_BACKUP_PASSPHRASE, else the systemd credential \
countersign-backup-passphrase), or for --recipient keys, of which the secret half need not be on this machine.

The node must not run: stop it, back it up, start it again. That takes seconds, the others sign meanwhile, and one backup stays good until \
keys are generated again. While a key generation that the node has confirmed is not done, there is no backup, since a node that is \
restored without it would sign that it never confirms it: start the node, wait until `countersign node status` says that it is ready and has \
the new root keys, stop it, and back it up then.

WARNING: in a network of t of n, t backups of different nodes, with what opens them, are the keys: whoever has them signs anything. \
Keep each node's backup where the others' are not. And where n-t+1 nodes have lost disk and backup, the keys are lost with all that \
they hold: nobody can make them again.

Examples:
  countersign node backup --config node1/node.toml --out node1.backup \\\n    --passphrase-file backup-passphrase
  countersign node backup --config node1/node.toml --out node1.backup \\\n    --recipient age1..";

const RESTORE_HELP: &str = "Makes the database of the backup, and whatever of configuration, identity and genesis is not there; nothing \
that is there is changed, and a folder that holds a database is refused. The new database is sealed under the node's own passphrase, which \
is read as the configuration says.

A backup that is opened by a key file can have been made by anybody who knows the public key that it is sealed for, with what node, network \
and configuration they like. So on an empty disk it is restored for the node of --node-key only, which an identity that is there says as \
well; who makes a backup of that node must have its secret identity. A backup that a passphrase opens was made by somebody who knows the \
passphrase. Where the configuration comes from the backup, nothing is written outside of the folder that it lies in.

A backup from before the network's root keys were generated lacks this node's shares of them. It is refused where they are known: from \
--root-keys, or a root-keys.json that is left in the data folder.

If the node has started since the backup was taken, its peers refuse the restored one, as they do any old copy, and its log says so: once \
the original is gone for good, each of the other operators stops its node, runs `countersign node readmit PUBLIC_KEY`, and starts it again. If \
it has not started since, as when it moves to another machine, nobody has to do anything. Never run the original again: whichever of the two \
comes second is refused.

Examples:
  countersign node restore --config node1/node.toml --backup node1.backup \\\n    --passphrase-file backup-passphrase
  countersign node restore --config node1/node.toml --backup node1.backup --key-file age.key \\\n    --node-key 0x02.. --root-keys root-keys.json";

/// What is backed up, and who can open it.
#[derive(Args)]
#[command(after_help = BACKUP_HELP)]
pub(crate) struct BackupArguments {
    /// The configuration file of the node.
    #[arg(long, default_value = "node.toml")]
    config: PathBuf,
    /// The file to write, of mode 0600; it is not overwritten.
    #[arg(long)]
    out: PathBuf,
    /// A file of mode 0600 with the backup's passphrase, which need not be the node's.
    #[arg(long)]
    passphrase_file: Option<PathBuf>,
    /// An age public key (age1..) whose owner can open the backup, in place of a passphrase; once for each.
    #[arg(long = "recipient", conflicts_with = "passphrase_file")]
    recipients: Vec<Recipient>,
}

/// What is restored, and what opens it.
#[derive(Args)]
#[command(after_help = RESTORE_HELP)]
pub(crate) struct RestoreArguments {
    /// The configuration file of the node; made as it was if it is not there.
    #[arg(long, default_value = "node.toml")]
    config: PathBuf,
    /// The backup.
    #[arg(long)]
    backup: PathBuf,
    /// A file of mode 0600 with the backup's passphrase; else the variable COUNTERSIGN_BACKUP_PASSPHRASE, else the systemd
    /// credential countersign-backup-passphrase.
    #[arg(long)]
    passphrase_file: Option<PathBuf>,
    /// A file of mode 0600 with an age secret key (AGE-SECRET-KEY-1..) of one of the backup's recipients.
    #[arg(long, conflicts_with = "passphrase_file")]
    key_file: Option<PathBuf>,
    /// The public key of the node that is restored (0x02.. or 0x03..), as `node init` and `node backup` printed it: the backup of another
    /// is refused. Needed with --key-file where no identity is there.
    #[arg(long)]
    node_key: Option<NodePublicKey>,
    /// The root keys of the network (root-keys.json of any node), so that a backup of before they were generated is refused.
    #[arg(long)]
    root_keys: Option<PathBuf>,
}

/// Takes, seals and writes a backup.
pub(crate) fn take(arguments: &BackupArguments, output: &mut Output) -> Result<(), Exit> {
    forbid_core_dumps();
    let BackupArguments { config, out, recipients, .. } = arguments;
    if out.exists() {
        return Err(ends::not_written(backup::WriteError::Exists { path: out.clone() }));
    }
    let lock = arguments.lock()?;
    let taken = runtime()?.block_on(backup::take(config)).map_err(ends::not_taken)?;
    let elsewhere = backup::outside(config, &NodeConfig::load(config).map_err(Exit::invalid)?);
    let sealed = seal(&taken, &lock).map_err(ends::not_sealed)?;
    if let Lock::Passphrase(passphrase) = lock {
        warn_of_short(&passphrase, "the backup", output);
        // it counts once it has been opened
        open(&sealed, &Key::Passphrase(passphrase)).map_err(Exit::unexpected)?;
    }
    backup::write_new(out, &sealed).map_err(ends::not_written)?;

    let committee = taken.genesis.committee().map_err(Exit::invalid)?;
    let (threshold, size) = (committee.threshold(), committee.size());
    let digest = fingerprint(&sealed);
    let lacking: Vec<Scheme> =
        Scheme::ALL.into_iter().filter(|scheme| taken.root_keys.root(*scheme).is_none()).collect();
    let mut value = described(&taken);
    value["file"] = json!(out);
    value["bytes"] = json!(sealed.len());
    value["sha256"] = json!(format!("{digest:x}"));
    value["recipients"] = json!(recipients.iter().map(ToString::to_string).collect::<Vec<_>>());
    value["lacking"] = json!(lacking);
    output.result(&value, || {
        let mut lines = told(&taken);
        lines.push(("file", format!("{} ({} bytes)", out.display(), sealed.len())));
        lines.push(("SHA-256", format!("{digest:x}")));
        facts(&lines)
    })?;
    if !lacking.is_empty() {
        let names: Vec<&str> = lacking.iter().map(|scheme| scheme.name()).collect();
        output.say(format!(
            "the network has no root key for {} yet: take another backup once it has",
            names.join(", ")
        ));
    }
    output.say(format!(
        "WARNING: {threshold} such backups of different nodes, of {size}, with what opens them, are the network's keys. Keep this one where \
         the others are not, and what opens it apart from it. Where {} nodes have lost disk and backup, the keys are lost for good.",
        size - threshold + 1
    ));
    for (setting, path) in elsewhere {
        output.say(format!(
            "the configuration sets {setting} to {}, outside of its folder: keep a copy of it, since the backup is restored only where a \
             configuration is there that says so",
            path.display()
        ));
    }
    output.next(if recipients.is_empty() {
        "next: start the node again; keep the file, and its SHA-256 to compare copies of it"
    } else {
        "next: start the node again; keep the file, its SHA-256 to compare copies of it, and the node's public key, for which \
         `countersign node restore --key-file` asks"
    });
    Ok(())
}

/// Opens a backup and puts it in place.
pub(crate) fn restore(arguments: &RestoreArguments, output: &mut Output) -> Result<(), Exit> {
    forbid_core_dumps();
    let RestoreArguments { config, backup: file, node_key, root_keys, .. } = arguments;
    let sealed = backup::read(file).map_err(ends::not_read)?;
    let key = arguments.key()?;
    let taken = open(&sealed, &key).map_err(|error| unopened(file, &sealed, error))?;
    let known = Known {
        sealed_by_secret: matches!(key, Key::Passphrase(_)),
        node: *node_key,
        root_keys: root_keys.as_deref(),
    };
    let restored =
        backup::restore(config, &taken, known, KdfParameters::default()).map_err(ends::not_restored)?;
    let warnings: Vec<String> = not_compared(&taken, &restored).into_iter().collect();
    let mut value = described(&taken);
    value["database"] = json!(restored.database);
    value["written"] = json!(restored.written);
    value["signs_from_ms"] = json!(restored.signs_from_ms);
    value["compared_with"] = json!(restored.compared_with);
    value["warnings"] = json!(warnings);
    output.result(&value, || {
        let mut lines = told(&taken);
        lines.push(("database", restored.database.display().to_string()));
        for file in &restored.written {
            lines.push(("written", file.display().to_string()));
        }
        for file in &restored.compared_with {
            lines.push(("not older than", file.display().to_string()));
        }
        facts(&lines)
    })?;
    for warning in &warnings {
        output.say(format!("WARNING: {warning}"));
    }
    output.next(next(config, &taken, &restored));
    Ok(())
}

impl BackupArguments {
    fn lock(&self) -> Result<Lock, Exit> {
        if !self.recipients.is_empty() {
            return Ok(Lock::Recipients(self.recipients.clone()));
        }
        passphrase(self.passphrase_file.as_deref()).map(Lock::Passphrase)
    }
}

impl RestoreArguments {
    fn key(&self) -> Result<Key, Exit> {
        let Some(file) = &self.key_file else {
            return passphrase(self.passphrase_file.as_deref()).map(Key::Passphrase);
        };
        let text = files::private_text(file)?;
        let keys = Identity::parse_file(&text).map_err(|error| {
            Exit::invalid_input(format!("the key file {} cannot be used: {error}", file.display()))
        })?;
        Ok(Key::Identities(keys))
    }
}

fn passphrase(file: Option<&Path>) -> Result<SecretString, Exit> {
    PassphraseConfig { file: file.map(Path::to_owned) }.read_for_backup().map_err(Exit::invalid)
}

/// Says which file does not open; where nobody can tell a wrong key from damage, with what tells copies apart.
fn unopened(file: &Path, sealed: &[u8], error: OpenError) -> Exit {
    let compare = matches!(
        error,
        OpenError::Passphrase | OpenError::Identity | OpenError::NeedsIdentity | OpenError::NeedsPassphrase
    );
    let mut exit = Exit::invalid(error);
    exit.message = format!("{}: {}", file.display(), exit.message);
    if compare {
        exit.message += &format!("; this file's is {:x}", fingerprint(sealed));
    }
    exit
}

/// What the operator must know of a backup where nobody can tell whether it is too old.
fn not_compared(backup: &Backup, restored: &Restored) -> Option<String> {
    restored.compared_with.is_empty().then(|| {
        format!(
            "not compared with the network's root keys: if keys were generated after this backup was taken ({}), this node has no share \
             of them. Give --root-keys with the root-keys.json of any node, and an older backup is refused; to do that now, remove {}, of \
             which nobody has heard yet, and restore again",
            ago(backup.taken_at_ms),
            restored.database.display()
        )
    })
}

/// What both commands say of a backup, for programs.
fn described(backup: &Backup) -> Value {
    let roots: Vec<Value> = backup
        .root_keys
        .roots()
        .map(|root| json!({ "scheme": root.scheme, "public_key": root.public_key }))
        .collect();
    json!({
        "node": backup.node(),
        "network": backup.network(),
        "epoch": backup.root_keys.epoch,
        "root_keys": roots,
        "generation": backup.generation(),
        "taken_at_ms": backup.taken_at_ms,
    })
}

/// The same for people.
fn told(backup: &Backup) -> Vec<(&'static str, String)> {
    let mut lines = vec![
        ("node", backup.node().to_string()),
        ("network", backup.network().to_string()),
        ("taken", taken(backup)),
    ];
    for root in backup.root_keys.roots() {
        lines.push(("root key", format!("{} {}", root.scheme, root.public_key)));
    }
    lines
}

/// When it was taken, and after how much: by the number peers tell a restored node from the one that ran last.
fn taken(backup: &Backup) -> String {
    format!(
        "{} (the database was opened {} times by then: starts, backups and restores count alike)",
        ago(backup.taken_at_ms),
        backup.generation()
    )
}

fn next(config: &Path, backup: &Backup, restored: &Restored) -> String {
    let (config, node) = (config.display(), backup.node());
    let waits = restored.signs_from_ms.saturating_sub(now_ms()).div_ceil(1_000);
    format!(
        "next:\n  \
         1. make sure that the original never runs again, nor any copy of its disk\n  \
         2. countersign node run --config {config}\n     \
         it signs what is asked for {waits} s from now or later, and fetches actions from its peers\n  \
         3. where its log says that peers refuse it, because the original has started since this backup was taken: each of the other\n     \
         operators, one after the other, stops its node, runs\n       \
         countersign node readmit {node}\n     \
         and starts it again"
    )
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// How long ago a time is, in the largest unit of which there are two.
fn ago(ms: u64) -> String {
    let seconds = now_ms().saturating_sub(ms) / 1_000;
    let (count, unit) = match seconds {
        0..120 => (seconds, "s"),
        120..7_200 => (seconds / 60, "min"),
        7_200..172_800 => (seconds / 3_600, "h"),
        172_800.. => (seconds / 86_400, "days"),
    };
    format!("{count} {unit} ago")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_units_of_which_there_are_two() {
        for (seconds, told) in
            [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7_200, "2 h"), (200_000, "2 days")]
        {
            assert_eq!(ago(now_ms() - seconds * 1_000), format!("{told} ago"));
        }
        assert_eq!(ago(now_ms() + 60_000), "0 s ago");
    }
}
