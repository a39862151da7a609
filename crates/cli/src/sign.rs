//! `countersign sign` and `countersign result`: requests and what becomes of them.

use std::{
    num::NonZeroUsize,
    path::PathBuf,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use clap::Args;
use countersign_client::{Client, ClientConfig, RequestSigner, Url, sign_request};
use countersign_receipt::Receipt;
use countersign_types::{B256, Bytes, Caller, CallerKind, Genesis, RequestDigest, api::SignResponse};
use tokio::{runtime::Runtime, time::sleep};

use crate::{
    exit::Exit,
    files,
    key::SpecArguments,
    output::{Output, facts, table},
    receipt,
    trust::GENESIS,
};

/// The variable that names nodes.
pub(crate) const NODE: &str = "COUNTERSIGN_NODE";

/// How long the signers are given to have the receipt of what they have just signed: it is written beside signing.
const RECEIPT_PATIENCE: Duration = Duration::from_secs(5);
/// How long to wait before they are asked again.
const RECEIPT_PAUSE: Duration = Duration::from_millis(500);

/// Which nodes to ask, and what to trust.
#[derive(Args)]
pub(crate) struct NodeArguments {
    /// A node's HTTP address; give several, and the next one is asked where one does not answer.
    #[arg(long = "node", env = NODE, required = true, value_delimiter = ',', value_parser = node_url)]
    nodes: Vec<Url>,
    /// The genesis file: the only thing that is trusted.
    #[arg(long, env = GENESIS, default_value = "genesis.json")]
    genesis: PathBuf,
    /// How long to try, in seconds.
    #[arg(long, default_value_t = 30)]
    timeout: u64,
}

/// A node's address: with a scheme, else `localhost:8470` is a URL of the scheme `localhost`.
pub(crate) fn node_url(text: &str) -> Result<Url, String> {
    let url: Option<Url> = text.parse().ok();
    url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| "a node's address starts with http:// or https://, as http://127.0.0.1:8470".into())
}

impl NodeArguments {
    pub(crate) fn nodes(&self) -> &[Url] {
        &self.nodes
    }

    pub(crate) fn genesis(&self) -> Result<Genesis, Exit> {
        files::json_file(&self.genesis, "genesis")
    }

    pub(crate) fn client(&self) -> Result<Client, Exit> {
        let genesis = self.genesis()?;
        let timeout = Duration::from_secs(self.timeout);
        Ok(Client::new(ClientConfig { nodes: self.nodes.clone(), genesis, timeout })?)
    }
}

/// What to ask for.
#[derive(Args)]
#[command(
    after_help = "Example:\n  countersign sign --node http://127.0.0.1:8470 --genesis genesis.json \\\n    --action 0x.. --config @config.json --params text:hello --caller-key caller.key"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    node: NodeArguments,
    #[command(flatten)]
    spec: SpecArguments,
    /// What the action is told by the caller: 0x.., text:.., or @file.
    #[arg(long, value_parser = files::bytes, default_value = "0x")]
    params: Bytes,
    /// A caller's secret key; several callers sign together.
    #[arg(long = "caller-key", required = true)]
    caller_keys: Vec<PathBuf>,
    /// How long the request lives, in seconds; at most 600.
    #[arg(long, default_value_t = 60)]
    lifetime: u64,
    /// The request's nonce, 32 bytes: 0x and 64 hexadecimal digits; drawn at random by default.
    #[arg(long, value_parser = files::bytes32)]
    nonce: Option<B256>,
    /// Let every member coordinate the request. Otherwise the request names those of the nodes that answer, and no other node
    /// takes it. With this it can be taken to any node, and any dishonest member can have it signed over a moment of its own choice.
    #[arg(long)]
    any_coordinator: bool,
    /// How many nodes must refuse, or give another verdict of the action that is no signature, before that is the answer: nobody can
    /// prove it, so one dishonest node may say it alone. At most as many as `--node` names.
    #[arg(long, value_name = "NODES", default_value = "1")]
    opinions: NonZeroUsize,
    /// Write the receipt to this file, which must not exist: why there is a signature, for `countersign receipt verify`.
    #[arg(long)]
    receipt: Option<PathBuf>,
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
    if let Some(path) = arguments.receipt.as_ref().filter(|path| path.exists()) {
        let message =
            format!("{} exists and is not overwritten: name another file with --receipt", path.display());
        return Err(Exit::invalid_input(message));
    }
    let (nodes, opinions) = (arguments.node.nodes().len(), arguments.opinions.get());
    if opinions > nodes {
        return Err(Exit::invalid_input(format!(
            "--opinions {opinions}: {nodes} can be asked; name more nodes with --node"
        )));
    }
    let client = arguments.node.client()?.with_opinions(opinions);
    let spec = arguments.spec.spec()?;
    let signers =
        arguments.caller_keys.iter().map(|path| files::signer(path)).collect::<Result<Vec<_>, _>>()?;
    let callers =
        signers.iter().map(|signer| Caller { kind: CallerKind::Eip191, id: signer.address() }).collect();
    let lifetime = arguments.lifetime.saturating_mul(1000);
    let mut request = client.build_request(spec, arguments.params, callers, now_ms()?, lifetime);
    if let Some(nonce) = arguments.nonce {
        request.nonce = nonce;
    }
    let runtime = runtime()?;
    if !arguments.any_coordinator {
        request.coordinators = runtime.block_on(client.coordinators())?;
    }
    let signers: Vec<&dyn RequestSigner> =
        signers.iter().map(|signer| signer as &dyn RequestSigner).collect();
    let signed = sign_request(request, &signers).map_err(Exit::unexpected)?;
    if !output.is_json() {
        output.say(format!("request {}", signed.request.digest()));
        for node in &signed.request.coordinators {
            output.say(format!("to be coordinated by {node}"));
        }
    }
    let answered = runtime.block_on(client.sign(signed))?;
    for failure in &answered.passed_over {
        output.say(format!("passed over {failure}"));
    }
    // whatever becomes of the receipt, the signatures are there
    show(&answered.answer, true, output)?;
    let Some(path) = &arguments.receipt else { return Ok(()) };
    let receipt = match answered.receipt {
        Some(receipt) => receipt,
        None => runtime.block_on(fetch_receipt(&client, &answered.answer, signers.first().copied()))?,
    };
    receipt::write(path, &receipt)
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
    let answer = runtime()?.block_on(client.request(arguments.request))?;
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
