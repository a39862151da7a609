//! `countersign sign` and `countersign result`: requests and what becomes of them.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use clap::Args;
use countersign_client::{Client, ClientConfig, LocalSigner, RequestSigner, Url, sign_request};
use countersign_receipt::Receipt;
use countersign_store::file::PRIVATE;
use countersign_types::{
    B256, Bytes, Caller, CallerKind, FailureKind, Genesis, MAX_LIFETIME_MS, RequestDigest, SignedRequest,
    api::SignResponse,
};
use tokio::{runtime::Runtime, time::sleep};

use crate::{
    exit::Exit,
    files,
    key::SpecArguments,
    output::{Output, facts, table},
    receipt,
    trust::{GENESIS, genesis_file},
    waiting::Waiting,
};

/// The variable that names nodes.
pub(crate) const NODE: &str = "COUNTERSIGN_NODE";

/// How long the signers are given to have the receipt of what they have just signed: it is written beside signing.
const RECEIPT_PATIENCE: Duration = Duration::from_secs(5);
/// How long to wait before they are asked again.
const RECEIPT_PAUSE: Duration = Duration::from_millis(500);

/// The longest that a call may be tried, in seconds: a day, after which the client ends it anyhow.
const MAX_TIMEOUT_S: u64 = 24 * 60 * 60;
/// The longest that a request may live, in seconds.
const MAX_LIFETIME_S: u64 = MAX_LIFETIME_MS / 1000;

/// Which nodes to ask, and what to trust.
#[derive(Args)]
pub(crate) struct NodeArguments {
    /// A node's HTTP address; give several, and the next one is asked where one does not answer.
    #[arg(long = "node", env = NODE, required = true, value_delimiter = ',', value_parser = node_url)]
    nodes: Vec<Url>,
    /// The genesis file: the only thing that is trusted.
    #[arg(long, env = GENESIS, default_value = "genesis.json")]
    genesis: PathBuf,
    /// How long to try, in seconds: from 1 to 86400, a day.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=MAX_TIMEOUT_S))]
    timeout: u64,
}

/// A node's address: with a scheme, else `localhost:8470` is a URL of the scheme `localhost`.
pub(crate) fn node_url(text: &str) -> Result<Url, String> {
    let url: Result<Url, _> = text.parse();
    match url {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        Err(error) if text.contains("://") => Err(format!(
            "{error}: a node's address is as http://127.0.0.1:8470, with a port of at most 65535"
        )),
        Ok(_) | Err(_) => {
            Err("a node's address starts with http:// or https://, as http://127.0.0.1:8470".into())
        }
    }
}

impl NodeArguments {
    pub(crate) fn nodes(&self) -> &[Url] {
        &self.nodes
    }

    pub(crate) fn genesis(&self) -> Result<Genesis, Exit> {
        genesis_file(&self.genesis)
    }

    pub(crate) fn client(&self) -> Result<Client, Exit> {
        let genesis = self.genesis()?;
        let timeout = Duration::from_secs(self.timeout);
        Ok(Client::new(ClientConfig { nodes: self.nodes.clone(), genesis, timeout })?)
    }

    /// What waits for the answers of these nodes, from now on.
    pub(crate) fn waiting(&self) -> Result<Waiting, Exit> {
        Waiting::new(&self.nodes, &format!("{} s (--timeout)", self.timeout))
    }
}

/// What to ask for, of whom, and what to keep.
#[derive(Args)]
#[command(
    mut_arg("action", |action| action.required_unless_present("request")),
    after_help = "Examples:\n  countersign sign --node http://127.0.0.1:8470 --genesis genesis.json \\\n    --action 0x.. --config @config.json --params text:hello --caller-key caller.key\n\n  \
                  the same, and again where there was no answer:\n  countersign sign .. --save-request request.json\n  \
                  countersign sign --node http://127.0.0.1:8470 --genesis genesis.json --request request.json"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    node: NodeArguments,
    #[command(flatten)]
    asked: RequestArguments,
    /// Write the signed request to this file, of mode 0600, before it is posted; the file must not exist. Whoever has it can post the
    /// request until it expires.
    #[arg(long, value_name = "FILE")]
    save_request: Option<PathBuf>,
    /// Post the request of this file, as --save-request wrote it, in place of making one. It is the same request: name the node that it
    /// was posted to, which gives the stored or running result; another node runs it anew.
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = [
            "spec", "scheme", "action", "config", "payloads", "owner", "salt", "params", "caller_keys", "lifetime",
            "nonce", "any_coordinator", "save_request",
        ]
    )]
    request: Option<PathBuf>,
    /// How many nodes must refuse, or give another verdict of the action that is no signature, before that is the answer: nobody can
    /// prove it, so one dishonest node may say it alone. At most as many as `--node` names.
    #[arg(long, value_name = "NODES", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    opinions: u16,
    /// Write the receipt to this file, which must not exist: why there is a signature, for `countersign receipt verify`.
    #[arg(long)]
    receipt: Option<PathBuf>,
}

/// A new request.
#[derive(Args)]
struct RequestArguments {
    #[command(flatten)]
    spec: SpecArguments,
    /// What the action is told by the caller: 0x.., text:.., or @file.
    #[arg(long, value_parser = files::bytes, default_value = "0x")]
    params: Bytes,
    /// A caller's secret key; several callers sign together.
    #[arg(long = "caller-key", required_unless_present = "request")]
    caller_keys: Vec<PathBuf>,
    /// How long the request lives, in seconds: from 1 to 600.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=MAX_LIFETIME_S))]
    lifetime: u64,
    /// The request's nonce, 32 bytes: 0x and 64 hexadecimal digits; drawn at random by default.
    #[arg(long, value_parser = files::bytes32)]
    nonce: Option<B256>,
    /// Let every member coordinate the request. Otherwise the request names those of the nodes that answer, and no other node
    /// takes it. With this it can be taken to any node, and any dishonest member can have it signed over a moment of its own choice.
    #[arg(long)]
    any_coordinator: bool,
}

impl RequestArguments {
    fn signers(&self) -> Result<Vec<LocalSigner>, Exit> {
        self.caller_keys.iter().map(|path| files::signer(path)).collect()
    }

    /// Makes the request, has it name its coordinators, and has its callers sign it.
    fn signed(
        self,
        client: &Client,
        signers: &[&dyn RequestSigner],
        waiting: &Waiting,
        output: &Output,
    ) -> Result<SignedRequest, Exit> {
        let spec = self.spec.spec()?;
        let callers =
            signers.iter().map(|signer| Caller { kind: CallerKind::Eip191, id: signer.address() }).collect();
        let lifetime_ms = self.lifetime.saturating_mul(1000);
        let mut request = client.build_request(spec, self.params, callers, now_ms()?, lifetime_ms);
        if let Some(nonce) = self.nonce {
            request.nonce = nonce;
        }
        if !self.any_coordinator {
            request.coordinators = waiting.block_on(output, client.coordinators())?;
        }
        sign_request(request, signers).map_err(Exit::unexpected)
    }
}

/// Which request.
#[derive(Args)]
pub(crate) struct ResultArguments {
    #[command(flatten)]
    node: NodeArguments,
    /// The request's digest, as `countersign sign` printed it.
    request: RequestDigest,
}

pub(crate) fn run(arguments: Arguments, output: &mut Output) -> Result<(), Exit> {
    must_be_new(arguments.receipt.as_deref(), "--receipt")?;
    must_be_new(arguments.save_request.as_deref(), "--save-request")?;
    let (nodes, opinions) = (arguments.node.nodes().len(), usize::from(arguments.opinions));
    if opinions > nodes {
        return Err(Exit::usage(format!(
            "--opinions {opinions}: {nodes} can be asked; name more nodes with --node"
        )));
    }
    let client = arguments.node.client()?.with_opinions(opinions);
    let keys = arguments.asked.signers()?;
    let signers: Vec<&dyn RequestSigner> = keys.iter().map(|signer| signer as &dyn RequestSigner).collect();
    let waiting = arguments.node.waiting()?;
    let signed = match &arguments.request {
        Some(path) => saved(path, now_ms()?)?,
        None => arguments.asked.signed(&client, &signers, &waiting, output)?,
    };
    if let Some(path) = &arguments.save_request {
        save(path, &signed)?;
        output.next(format!(
            "the request is in {0}: countersign sign --request {0} posts it again",
            path.display()
        ));
    }
    if !output.is_json() {
        output.say(format!("request {}", signed.request.digest()));
        for node in &signed.request.coordinators {
            output.say(format!("to be coordinated by {node}"));
        }
    }
    let answered = waiting.block_on(output, client.sign(signed))?;
    for failure in &answered.passed_over {
        output.say(format!("passed over {failure}"));
    }
    // whatever becomes of the receipt, the signatures are there
    show(&answered.answer, true, output)?;
    let Some(path) = &arguments.receipt else { return Ok(()) };
    let receipt = match answered.receipt {
        Some(receipt) => receipt,
        None => {
            let fetched = fetch_receipt(&client, &answered.answer, signers.first().copied());
            waiting.block_on(output, fetched)?
        }
    };
    receipt::write(path, &receipt)
}

/// Refuses early to write to a file that is there.
fn must_be_new(path: Option<&Path>, option: &str) -> Result<(), Exit> {
    match path.filter(|path| path.exists()) {
        Some(path) => Err(Exit::invalid_input(format!(
            "{} exists and is not overwritten: name another file with {option}",
            path.display()
        ))),
        None => Ok(()),
    }
}

/// Writes a request to a new file, as it is posted.
fn save(path: &Path, signed: &SignedRequest) -> Result<(), Exit> {
    let text = serde_json::to_string(signed).map_err(Exit::unexpected)? + "\n";
    files::write_new(path, &text, PRIVATE)
}

/// Reads a request that was saved. Its form, signatures and network are for [`Client::sign`] to check.
fn saved(path: &Path, now_ms: u64) -> Result<SignedRequest, Exit> {
    let signed: SignedRequest = files::json_file(path, "signed request")?;
    let Some(late_ms) = now_ms.checked_sub(signed.request.expires_at) else { return Ok(signed) };
    let message = format!(
        "the request of {} expired {} s ago by this machine's clock: make a new one, without --request",
        path.display(),
        late_ms.div_ceil(1000).max(1)
    );
    Err(Exit { kind: FailureKind::Expired.name(), ..Exit::invalid_input(message) })
}

/// The receipt of signatures that came without: their node is no signer, or the receipt too large to come with them.
async fn fetch_receipt(
    client: &Client,
    answer: &SignResponse,
    asker: Option<&dyn RequestSigner>,
) -> Result<Receipt, Exit> {
    let give_up = Instant::now() + RECEIPT_PATIENCE;
    loop {
        let until = now_ms()?.saturating_add(receipt::ASKED_MS);
        let missing = match client.receipt(answer.request, asker, until).await {
            Ok(receipt) if explains(&receipt, answer) => return Ok(receipt),
            Ok(_) => {
                Exit::not_found("what the nodes have is the receipt of other signatures of this request")
            }
            Err(error) => Exit::from(error),
        };
        if Instant::now() >= give_up {
            return Err(signed_without(answer, missing));
        }
        sleep(RECEIPT_PAUSE).await;
    }
}

/// Whether a receipt, which is checked, is the one of these very signatures.
fn explains(receipt: &Receipt, answer: &SignResponse) -> bool {
    receipt.signatures.iter().eq(answer.signatures.iter().map(|signed| &signed.signature))
}

fn signed_without(answer: &SignResponse, missing: Exit) -> Exit {
    let signers: Vec<String> = answer.votes.iter().map(|vote| vote.signer.to_string()).collect();
    let message = format!(
        "it is signed, and there is no receipt: {}; the members {} signed, and one of them may have it later: countersign receipt get \
         {} with that --node",
        missing.message,
        signers.join(", "),
        answer.request
    );
    Exit { message, ..missing }
}

pub(crate) fn result(arguments: ResultArguments, output: &mut Output) -> Result<(), Exit> {
    let client = arguments.node.client()?;
    let answer = arguments.node.waiting()?.block_on(output, client.request(arguments.request))?;
    show(&answer, false, output)
}

fn show(answer: &SignResponse, verified: bool, output: &mut Output) -> Result<(), Exit> {
    output.result(answer, || {
        let mut lines = vec![
            ("request", answer.request.to_string()),
            ("session", answer.session.to_string()),
            ("key", answer.key_id.to_string()),
            ("public key", answer.public_key.to_string()),
        ];
        for signed in &answer.signatures {
            lines.push(("payload", format!("{} ({})", signed.content, signed.payload)));
            lines.push(("signed bytes", signed.message.to_string()));
            lines.push(("signature", signed.signature.0.to_string()));
        }
        if let Ok(text) = std::str::from_utf8(&answer.response)
            && !text.is_empty()
        {
            lines.push(("response", text.to_owned()));
        }
        lines.push((
            "verified",
            if verified {
                "yes, here"
            } else {
                "no, it is the node's word: countersign receipt get, and receipt verify, check it"
            }
            .into(),
        ));
        let rows = answer
            .nodes
            .iter()
            .map(|node| {
                vec![
                    node.peer_id.clone(),
                    node.decision.name().into(),
                    node.reason.clone().unwrap_or_default(),
                ]
            })
            .collect();
        let said = "what the answering node says of the members (not verified):";
        format!("{}\n{said}\n{}", facts(&lines), table(&["node", "said", "because"], rows))
    })
}

/// The caller's clock, in milliseconds since 1970.
pub(crate) fn now_ms() -> Result<u64, Exit> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_err(Exit::unexpected)?;
    u64::try_from(since.as_millis()).map_err(Exit::unexpected)
}

pub(crate) fn runtime() -> Result<Runtime, Exit> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(Exit::unexpected)
}
