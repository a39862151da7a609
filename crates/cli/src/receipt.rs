//! `countersign receipt`: why a signature exists, checked here.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, Subcommand};
use countersign_action::{Compilation, Config, Engine, Host, Script};
use countersign_client::{Client, ClientConfig, RequestSigner, Url};
use countersign_receipt::{Attested, CheckError, Explanation, MAX_RECEIPT_BYTES, Receipt, ReplayError};
use countersign_store::file::PRIVATE;
use countersign_types::{
    Bytes, Genesis, RequestDigest,
    action::{MAX_COMPONENT_BYTES, MAX_SCRIPT_BYTES},
    terminal,
};
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
    let (attested, broken) = trust.attested_in_part(&receipt).map_err(Exit::not_verified)?;
    let holds = match broken {
        None => trust.complete(&receipt, attested.clone()),
        Some(error) => Err(error),
    };
    let replayed = if attested.votes.is_empty() {
        // of what no member signed nothing is run: it is anybody's program
        Replayed::NoVotes
    } else if arguments.action.no_replay {
        Replayed::LeftOut
    } else {
        run_again(&arguments.action, arguments.network.genesis()?, &receipt, &attested, output)
    };
    let checked = match holds {
        Ok(checked) => checked,
        Err(error) => return Err(does_not_hold(error, replayed)),
    };
    let replayed = match replayed {
        Replayed::Holds => true,
        Replayed::LeftOut | Replayed::NoVotes => false,
        Replayed::Shows(exit) => return Err(exit),
        Replayed::NotRun(exit) => {
            let message = format!("everything but the replay holds; {}", exit.message);
            return Err(Exit { message, ..exit });
        }
    };
    let explanation = trust.explain(&receipt, &checked);
    let value = json!({ "verified": true, "replayed": replayed, "receipt": explanation });
    output.result(&value, || words(&explanation, replayed))
}

/// What came of running the action again.
enum Replayed {
    /// It gives what the receipt says and all voted for.
    Holds,
    /// It shows who lied, or that the receipt was changed.
    Shows(Exit),
    /// It could not be run, which says nothing about the receipt.
    NotRun(Exit),
    /// It was not to be run.
    LeftOut,
    /// There is nothing to hold it against.
    NoVotes,
}

/// How a receipt ends that does not hold. What the replay shows says more than what is missing.
fn does_not_hold(error: CheckError, replayed: Replayed) -> Exit {
    let is_of_votes = matches!(error, CheckError::Vote { .. } | CheckError::Signers { .. });
    // the replay tells who is to blame for it
    let is_of_verdict = matches!(
        error,
        CheckError::Dissent { .. }
            | CheckError::Verdict(_)
            | CheckError::Refused { .. }
            | CheckError::Payloads { .. }
    );
    let told = Exit::not_verified(error);
    let undecided = |why: &str| {
        format!("{}; who is to blame is undecided, as the action was not run again: {why}", told.message)
    };
    match replayed {
        Replayed::Shows(shown) if is_of_votes => {
            Exit { message: format!("{}; beside that, {}", shown.message, told.message), ..shown }
        }
        Replayed::Shows(shown) => shown,
        Replayed::NotRun(obstacle) if is_of_verdict => {
            Exit { message: undecided(&obstacle.message), causes: obstacle.causes, ..told }
        }
        Replayed::LeftOut if is_of_verdict => {
            let why = "leave --no-replay out, and give the action with --component or --script, or name a --node that stores it";
            Exit { message: undecided(why), ..told }
        }
        Replayed::Holds | Replayed::NotRun(_) | Replayed::LeftOut | Replayed::NoVotes => told,
    }
}

fn run_again(
    action: &ActionArguments,
    genesis: Genesis,
    receipt: &Receipt,
    attested: &Attested,
    output: &Output,
) -> Replayed {
    let run = || {
        let (component, script) = action.content(receipt, genesis, output)?;
        runtime()?.block_on(replay(receipt, attested, &component, script))
    };
    run().unwrap_or_else(Replayed::NotRun)
}

fn read(path: &Path) -> Result<Receipt, Exit> {
    let json = files::at_most(path, "receipt", MAX_RECEIPT_BYTES)?;
    Receipt::from_json(&json).map_err(|error| {
        let exit = Exit::invalid(error);
        let message = format!("{} cannot be read as a receipt: {}", path.display(), exit.message);
        let causes = exit.causes.iter().map(|cause| files::brief(cause)).collect();
        Exit { message, causes, ..exit }
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
        let built_in = countersign_runners::by_digest(manifest.component);
        let built_in = built_in.map(|runner| Bytes::from_static(runner.component));
        match (&self.component, &self.script) {
            (Some(path), _) if !manifest.is_script() => {
                let component = files::at_most(path, "component", MAX_COMPONENT_BYTES)?;
                manifest.check_component(&component).map_err(Exit::invalid)?;
                Ok((component.into(), None))
            }
            (_, Some(path)) if manifest.is_script() => {
                let script = files::at_most(path, "script", MAX_SCRIPT_BYTES)?;
                let no_text = |error| Exit::invalid_input(format!("{} is no text: {error}", path.display()));
                let script = String::from_utf8(script).map_err(no_text)?;
                manifest.check_script(Some(&script)).map_err(Exit::invalid)?;
                Ok((built_in.ok_or_else(|| not_at_hand(receipt))?, Some(script)))
            }
            (None, None) if !self.nodes.is_empty() => {
                fetch(self.nodes.clone(), receipt, genesis, built_in, output)
                    .map_err(|exit| not_fetched(receipt, exit))
            }
            (None, None) => Err(not_at_hand(receipt)),
            (Some(_), Some(_) | None) | (None, Some(_)) => Err(of_the_other_sort(receipt)),
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

/// How the command takes the receipt's action from disk, and how it does not.
fn options(receipt: &Receipt) -> (&'static str, &'static str) {
    if receipt.manifest.is_script() { ("--script", "--component") } else { ("--component", "--script") }
}

fn named(receipt: &Receipt) -> String {
    format!("the action {} ({})", receipt.manifest.name, receipt.manifest.action_id())
}

fn not_at_hand(receipt: &Receipt) -> Exit {
    let ((option, _), action) = (options(receipt), named(receipt));
    Exit::not_found(format!(
        "{action} is not at hand: give it with {option}, name a --node that stores it, or leave it out with --no-replay"
    ))
}

fn not_fetched(receipt: &Receipt, exit: Exit) -> Exit {
    let ((option, _), action) = (options(receipt), named(receipt));
    let message = format!(
        "{action} could not be fetched: {}; give it with {option}, name another --node that stores it, or leave it out with \
         --no-replay",
        exit.message
    );
    Exit { message, ..exit }
}

fn of_the_other_sort(receipt: &Receipt) -> Exit {
    let ((option, other), action) = (options(receipt), named(receipt));
    Exit::invalid_input(format!(
        "{action} is not what {other} takes: give it with {option}, or leave {other} out, and it is fetched from a --node"
    ))
}

/// Runs the action again. One dishonest member's vote is enough to come here, so it is compiled as nodes compile strangers'
/// components: in a process with limits of its own.
async fn replay(
    receipt: &Receipt,
    attested: &Attested,
    component: &[u8],
    script: Option<String>,
) -> Result<Replayed, Exit> {
    let config = Config::default();
    let engine = Engine::new(&config).map_err(Exit::unexpected)?;
    let compilation = Compilation::Child(compiler(&config)?);
    let host = Host::new(&config, engine, compilation, None).map_err(Exit::unexpected)?;
    let action = host.prepare(component).await.map_err(Exit::invalid)?;
    let script = script.map(Script::new).transpose().map_err(Exit::invalid)?;
    let script = host.compile_script(&action, script.as_ref()).await.map_err(Exit::invalid)?;
    match attested.replay(receipt, &host, &action, script.as_ref()).await {
        Ok(_) => Ok(Replayed::Holds),
        // nothing is said about the receipt
        Err(error @ ReplayError::Engine { .. }) => Err(Exit::invalid_input(format!("{error} (--no-replay)"))),
        Err(error @ ReplayError::NotRun(_)) => Err(Exit::unexpected(error)),
        Err(ReplayError::Evidence(evidence)) => Ok(Replayed::Shows(Exit::evidence(evidence))),
        Err(error @ (ReplayError::Changed { .. } | ReplayError::NoVotes)) => {
            Ok(Replayed::Shows(Exit::not_verified(error)))
        }
    }
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
    use countersign_fuzzing::receipts::Case;
    use countersign_types::Scheme;

    use super::*;

    #[test]
    fn who_cannot_reach_a_node_is_told_how_to_go_on() {
        let receipt = Case::honest(Scheme::Ed25519).receipt;
        let exit = not_fetched(&receipt, Exit::not_found("no node answers"));
        for part in ["price-and-balance", "no node answers", "--component", "--node", "--no-replay"] {
            assert!(exit.message.contains(part), "{exit}");
        }
    }

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
