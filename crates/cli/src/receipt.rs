//! `countersign receipt`: why a signature exists, checked here.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, Subcommand};
use countersign_action::{Compilation, Config, Engine, Host, Script};
use countersign_client::{Client, ClientConfig, RequestSigner, Url};
use countersign_receipt::{Attested, Explanation, MAX_RECEIPT_BYTES, Receipt, ReplayError};
use countersign_store::file::PRIVATE;
use countersign_types::{Bytes, Genesis, RequestDigest, terminal};
use serde_json::json;

use crate::{
    exit::Exit,
    files,
    node::compiler,
    output::{Output, facts, table},
    sign::{NODE, NodeArguments, node_url, now_ms, runtime},
    trust::TrustArguments,
    waiting::Waiting,
};

/// How long a caller's word that they ask for a receipt counts, in milliseconds.
pub(crate) const ASKED_MS: u64 = 60_000;
/// How long an action may take to be fetched.
const FETCH_TIMEOUT: Duration = Duration::from_secs(30);

/// Receipts.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Check a receipt: callers, records, what they agree on, votes, shares and signatures; then run the action again over the
    /// agreed reads. Says in words what was asked, read, decided and signed, or what is wrong.
    #[command(
        after_help = "Examples:\n  countersign receipt verify receipt.json --genesis genesis.json --root-keys root-keys.json \\\n    --component action.wasm\n  \
                      countersign receipt verify receipt.json --node http://127.0.0.1:8470   # fetches the action, checked by digest"
    )]
    Verify(VerifyArguments),
    /// Fetch the receipt of a request from a node that signed it, as one of its callers.
    #[command(
        after_help = "Example:\n  countersign receipt get 0x.. --node http://127.0.0.1:8470 --genesis genesis.json \\\n    --caller-key caller.key --out receipt.json"
    )]
    Get(GetArguments),
}

/// What to check, and by what.
#[derive(Args)]
pub(crate) struct VerifyArguments {
    /// The receipt, a JSON file.
    file: PathBuf,
    #[command(flatten)]
    network: TrustArguments,
    #[command(flatten)]
    action: ActionArguments,
}

/// Where the action is that the receipt is about. What is on disk goes before what a node has.
#[derive(Args)]
struct ActionArguments {
    /// The action's component, from disk.
    #[arg(long, group = "at-hand")]
    component: Option<PathBuf>,
    /// The action's script, from disk.
    #[arg(long, group = "at-hand")]
    script: Option<PathBuf>,
    /// Leave the action out: check everything else.
    #[arg(long, group = "at-hand")]
    no_replay: bool,
    /// A node's HTTP address, to fetch the action from; give several, and the next one is asked where one does not answer.
    #[arg(long = "node", env = NODE, value_delimiter = ',', value_parser = node_url)]
    nodes: Vec<Url>,
}

/// Which receipt, and who asks.
#[derive(Args)]
pub(crate) struct GetArguments {
    #[command(flatten)]
    node: NodeArguments,
    /// The request's digest, as `countersign sign` printed it.
    request: RequestDigest,
    /// The secret key of one of the request's callers; not needed where the operator shows receipts to everybody.
    #[arg(long)]
    caller_key: Option<PathBuf>,
    /// The file to write; it is not overwritten.
    #[arg(long, default_value = "receipt.json")]
    out: PathBuf,
}

pub(crate) fn run(command: Command, output: &mut Output) -> Result<(), Exit> {
    match command {
        Command::Verify(arguments) => verify(&arguments, output),
        Command::Get(arguments) => get(arguments, output),
    }
}

fn get(arguments: GetArguments, output: &mut Output) -> Result<(), Exit> {
    let client = arguments.node.client()?;
    let signer = arguments.caller_key.as_deref().map(files::signer).transpose()?;
    let asker = signer.as_ref().map(|signer| signer as &dyn RequestSigner);
    let until = now_ms()?.saturating_add(ASKED_MS);
    let waiting = arguments.node.waiting()?;
    let receipt = waiting.block_on(output, client.receipt(arguments.request, asker, until))?;
    write(&arguments.out, &receipt)?;
    let value =
        json!({ "request": arguments.request, "file": arguments.out, "complete": receipt.is_complete() });
    output.result(&value, || {
        format!("{}: checked; countersign receipt verify runs the action again", arguments.out.display())
    })
}

/// Writes a receipt to a new file, which others may not read: it tells what was read.
pub(crate) fn write(path: &Path, receipt: &Receipt) -> Result<(), Exit> {
    let text = serde_json::to_string_pretty(receipt).map_err(Exit::unexpected)? + "\n";
    files::write_new(path, &text, PRIVATE)
}

fn verify(arguments: &VerifyArguments, output: &mut Output) -> Result<(), Exit> {
    let receipt = read(&arguments.file)?;
    let trust = arguments.network.trust()?;
    let attested = trust.attested(&receipt).map_err(Exit::not_verified)?;
    let holds = trust.complete(&receipt, attested.clone());
    // of what no member signed nothing is run: it is anybody's program
    let replayed = if arguments.action.no_replay || attested.votes.is_empty() {
        Ok(false)
    } else {
        run_again(&arguments.action, arguments.network.genesis()?, &receipt, &attested, output)
    };
    let (checked, replayed) = match (holds, replayed) {
        (Ok(checked), Ok(replayed)) => (checked, replayed),
        // who lied says more than that something is missing
        (_, Err(exit)) if exit.evidence.is_some() => return Err(exit),
        (Err(error), _) => return Err(Exit::not_verified(error)),
        (Ok(_), Err(exit)) => return Err(exit),
    };
    let explanation = trust.explain(&receipt, &checked);
    let value = json!({ "verified": true, "replayed": replayed, "receipt": explanation });
    output.result(&value, || words(&explanation, replayed))
}

fn run_again(
    action: &ActionArguments,
    genesis: Genesis,
    receipt: &Receipt,
    attested: &Attested,
    output: &Output,
) -> Result<bool, Exit> {
    let (component, script) = action.content(receipt, genesis, output)?;
    runtime()?.block_on(replay(receipt, attested, &component, script))?;
    Ok(true)
}

fn read(path: &Path) -> Result<Receipt, Exit> {
    let unreadable = |error| Exit::invalid_input(format!("cannot read {}: {error}", path.display()));
    let length = fs::metadata(path).map_err(unreadable)?.len();
    if length > MAX_RECEIPT_BYTES as u64 {
        let message = format!("{} has {length} bytes, a receipt at most {MAX_RECEIPT_BYTES}", path.display());
        return Err(Exit::invalid_input(message));
    }
    Receipt::from_json(&fs::read(path).map_err(unreadable)?).map_err(|error| {
        let exit = Exit::invalid(error);
        let message = format!("{} cannot be read as a receipt: {}", path.display(), exit.message);
        Exit { message, ..exit }
    })
}

impl ActionArguments {
    /// Component and script of the receipt's action, from where they are said to be.
    fn content(
        &self,
        receipt: &Receipt,
        genesis: Genesis,
        output: &Output,
    ) -> Result<(Bytes, Option<String>), Exit> {
        let manifest = &receipt.manifest;
        let unreadable =
            |path: &PathBuf, error| Exit::invalid_input(format!("cannot read {}: {error}", path.display()));
        let built_in = countersign_runners::by_digest(manifest.component);
        let built_in = built_in.map(|runner| Bytes::from_static(runner.component));
        match (&self.component, &self.script) {
            (Some(path), _) if !manifest.is_script() => {
                let component = fs::read(path).map_err(|error| unreadable(path, error))?;
                manifest.check_component(&component).map_err(Exit::invalid)?;
                Ok((component.into(), None))
            }
            (_, Some(path)) if manifest.is_script() => {
                let script = fs::read_to_string(path).map_err(|error| unreadable(path, error))?;
                manifest.check_script(Some(&script)).map_err(Exit::invalid)?;
                Ok((built_in.ok_or_else(|| not_at_hand(receipt))?, Some(script)))
            }
            (None, None) if !self.nodes.is_empty() => {
                fetch(self.nodes.clone(), receipt, genesis, built_in, output)
            }
            (Some(_) | None, Some(_) | None) => Err(not_at_hand(receipt)),
        }
    }
}

fn fetch(
    nodes: Vec<Url>,
    receipt: &Receipt,
    genesis: Genesis,
    built_in: Option<Bytes>,
    output: &Output,
) -> Result<(Bytes, Option<String>), Exit> {
    let manifest = &receipt.manifest;
    let waiting = Waiting::new(&nodes, &format!("{} s", FETCH_TIMEOUT.as_secs()))?;
    let client = Client::new(ClientConfig { nodes, genesis, timeout: FETCH_TIMEOUT })?;
    waiting.block_on(output, async {
        let component = match built_in {
            Some(component) => component,
            None => client.component(manifest).await?,
        };
        let script = if manifest.is_script() { Some(client.script(manifest).await?) } else { None };
        Ok((component, script))
    })
}

fn not_at_hand(receipt: &Receipt) -> Exit {
    let what = if receipt.manifest.is_script() { "--script" } else { "--component" };
    Exit::not_found(format!(
        "everything but the replay holds; the action {} ({}) is not at hand: give it with {what}, name a --node that stores it, \
         or leave it out with --no-replay",
        receipt.manifest.name,
        receipt.manifest.action_id(),
    ))
}

/// Runs the action again. One dishonest member's vote is enough to come here, so it is compiled as nodes compile strangers'
/// components: in a process with limits of its own.
async fn replay(
    receipt: &Receipt,
    attested: &Attested,
    component: &[u8],
    script: Option<String>,
) -> Result<(), Exit> {
    let config = Config::default();
    let engine = Engine::new(&config).map_err(Exit::unexpected)?;
    let compilation = Compilation::Child(compiler(&config)?);
    let host = Host::new(&config, engine, compilation, None).map_err(Exit::unexpected)?;
    let action = host.prepare(component).await.map_err(Exit::invalid)?;
    let script = script.map(Script::new).transpose().map_err(Exit::invalid)?;
    let script = host.compile_script(&action, script.as_ref()).await.map_err(Exit::invalid)?;
    match attested.replay(receipt, &host, &action, script.as_ref()).await {
        Ok(_) => Ok(()),
        // nothing is said about the receipt
        Err(error @ ReplayError::Engine { .. }) => Err(other_engine(receipt, &error)),
        Err(error @ ReplayError::NotRun(_)) => Err(Exit::unexpected(error)),
        Err(ReplayError::Evidence(evidence)) => Err(Exit::evidence(evidence)),
        Err(error @ (ReplayError::Changed { .. } | ReplayError::NoVotes)) => Err(Exit::not_verified(error)),
    }
}

fn other_engine(receipt: &Receipt, error: &ReplayError) -> Exit {
    let made = if receipt.is_complete() { "everything but the replay was checked; " } else { "" };
    Exit::invalid_input(format!("{made}{error} (--no-replay)"))
}

fn words(said: &Explanation, replayed: bool) -> String {
    let callers: Vec<String> = said.callers.iter().map(ToString::to_string).collect();
    let mut lines = vec![
        ("asked", format!("request {} of network {}", said.request, said.network)),
        ("by", callers.join(", ")),
        ("params", text(&said.params)),
        ("key", format!("{} ({}), public key {}", said.key, said.scheme, said.public_key)),
        ("decided by", format!("{}, action {}", said.action_name, said.action)),
        ("config", text(&said.config)),
        ("judged", format!("session {}, at {}", said.session, utc(said.time_ms))),
    ];
    for pin in &said.pins {
        lines.push(("", format!("chain {} at block {} ({})", pin.chain_id, pin.number, pin.hash)));
    }
    for payload in &said.signed {
        lines.push(("signed", format!("{} as {}", text(&payload.content), payload.kind)));
        lines.push(("bytes", payload.message.to_string()));
        lines.push(("signature", payload.signature.0.to_string()));
    }
    lines.push(("response", text(&said.response)));
    let signers: Vec<String> =
        said.signers.iter().map(|signer| format!("{} ({})", signer.member, signer.peer_id)).collect();
    lines.push(("signed by", signers.join(", ")));
    let holds = "callers, records, votes, shares and signatures hold";
    lines.push((
        "verified",
        if replayed {
            format!("{holds}; the action, run again over the agreed reads, gives exactly this")
        } else {
            format!("{holds}; the action was not run again")
        },
    ));
    let rows: Vec<Vec<String>> = said
        .reads
        .iter()
        .map(|read| {
            let field = read.field.as_ref().map(|field| format!(" at {field}")).unwrap_or_default();
            let saw: Vec<String> =
                read.saw.iter().map(|(member, value)| format!("{member}: {value}")).collect();
            vec![format!("{}{field}", read.read), read.agreed.clone(), read.rule.clone(), saw.join(", ")]
        })
        .collect();
    if rows.is_empty() {
        return format!("{}\nit read nothing", facts(&lines));
    }
    format!("{}\n{}", facts(&lines), table(&["read", "agreed on", "by rule", "each member saw"], rows))
}

/// A time as people write it, in UTC, with its milliseconds.
fn utc(ms: u64) -> String {
    let at = i64::try_from(ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    at.map_or_else(|| format!("{ms} ms since 1970"), |at| format!("{at:.3}"))
}

/// Bytes as the command takes them: as text where they are one, else in hexadecimal.
pub(crate) fn text(bytes: &Bytes) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.is_empty() && terminal::is_plain(text) => format!("text:{text}"),
        Ok(_) | Err(_) => bytes.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_the_text_of_their_digits_are_told_apart() {
        let shown = |bytes: &'static [u8]| text(&Bytes::from_static(bytes));
        assert_eq!(shown(b"hello"), "text:hello");
        assert_eq!(shown(b"0xfead"), "text:0xfead");
        assert_eq!(shown(&[0xfe, 0xad]), "0xfead");
        assert_eq!(shown(b""), "0x");
        assert_eq!(shown(b"two\nlines"), "0x74776f0a6c696e6573");
        for bytes in [&b"hello"[..], b"0xfead", &[0xfe, 0xad], b""] {
            let read = crate::files::bytes(&shown(bytes)).expect("the command takes it");
            assert_eq!(&read[..], bytes);
        }
    }
}
