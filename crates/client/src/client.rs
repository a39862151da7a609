//! The client: asks nodes in turn until one gives an answer that counts.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use countersign_receipt::{MAX_RECEIPT_BYTES, Receipt};
use countersign_types::{
    ActionId, Address, B256, Bytes, Caller, Failure, Genesis, KeySpec, Manifest, NetworkId, PublicKey,
    ReceiptAccess, Request, RequestDigest, SignedPublishAction, SignedRequest,
    action::{Content, MAX_COMPONENT_BYTES, MAX_SCRIPT_BYTES, PublishedAction},
    api::{ActionInfo, ActionList, NetworkInfo, SignResponse},
    failure::FailureKind,
};
use futures::future::join_all;
use rand_core::{OsRng, RngCore};
use reqwest::{Url, redirect};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::{
    ClientError, NodeError, NodeFailure, RequestSigner, Trust,
    node::{Call, parse},
    verify_answer,
};

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The least that a node is given to answer, where the timeout allows as much.
const LEAST_PATIENCE: Duration = Duration::from_secs(2);
/// How long to wait once all nodes were asked in vain, at first; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest wait between two rounds.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The most bytes of an answer with signatures: eight payloads of 64 KiB, twice in hex, the rest, and a receipt.
const MAX_SIGN_RESPONSE_BYTES: usize = (4 << 20) + MAX_RECEIPT_BYTES;
/// The most bytes of other answers.
const MAX_INFO_BYTES: usize = 1 << 20;
/// The most bytes of a list of actions.
const MAX_LIST_BYTES: usize = 16 << 20;

/// Whom to ask, and what to believe.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// The nodes' APIs, in the order of preference; at least one.
    pub nodes: Vec<Url>,
    /// The network: the only thing that is trusted.
    pub genesis: Genesis,
    /// The longest that any call takes.
    pub timeout: Duration,
}

/// An answer that counts.
#[derive(Debug)]
pub struct Signed {
    /// The answer, verified.
    pub answer: SignResponse,
    /// Who gave it.
    pub node: Url,
    /// Why there are signatures, checked, where the node is one of the signers; else [`Client::receipt`] of one.
    pub receipt: Option<Receipt>,
    /// What other nodes did before; a lie among it is worth reporting.
    pub passed_over: Vec<NodeFailure>,
}

/// A client of one network.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    nodes: Vec<Url>,
    genesis: Genesis,
    network: NetworkId,
    timeout: Duration,
    /// Where the next call starts: at the node that answered last.
    preferred: AtomicUsize,
    trust: Mutex<Option<Trust>>,
}

impl Client {
    /// A client. Asks nobody yet.
    pub fn new(config: ClientConfig) -> Result<Self, ClientError> {
        config.genesis.committee()?;
        if config.nodes.is_empty() {
            return Err(ClientError::NoNodes);
        }
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            // A node that points elsewhere is not the node that was named.
            .redirect(redirect::Policy::none())
            .build()
            .map_err(ClientError::Http)?;
        Ok(Self {
            http,
            nodes: config.nodes.into_iter().map(as_base).collect(),
            network: config.genesis.network_id(),
            genesis: config.genesis,
            timeout: config.timeout,
            preferred: AtomicUsize::new(0),
            trust: Mutex::new(None),
        })
    }

    /// The network's id.
    pub fn network_id(&self) -> NetworkId {
        self.network
    }

    /// The root keys, checked against the genesis; from the first node that has them, and then kept.
    pub async fn trust(&self) -> Result<Trust, ClientError> {
        if let Some(trust) = self.kept().clone() {
            return Ok(trust);
        }
        let call = Call::get("v1/network", MAX_INFO_BYTES);
        let answer = self
            .in_turn(&call, |body| {
                let root_keys = self.check_network(body)?.root_keys.ok_or(NodeError::NoRootKeys)?;
                Trust::new(&self.genesis, root_keys).map_err(NodeError::RootKeys)
            })
            .await?;
        Ok(self.kept().insert(answer.value).clone())
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Option<Trust>> {
        self.trust.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The public key of a key.
    pub async fn public_key(&self, spec: &KeySpec) -> Result<PublicKey, ClientError> {
        Ok(self.trust().await?.public_key(spec.scheme, &spec.key_id())?)
    }

    /// A request with a fresh nonce, to be signed by its callers.
    ///
    /// `now_ms` is the caller's clock in milliseconds since 1970; the request lives `lifetime_ms`, at most
    /// [`MAX_LIFETIME_MS`](countersign_types::MAX_LIFETIME_MS). Callers are sorted here. Every member may coordinate it, until
    /// [`Client::coordinators`] are put in.
    pub fn build_request(
        &self,
        spec: KeySpec,
        params: Bytes,
        mut callers: Vec<Caller>,
        now_ms: u64,
        lifetime_ms: u64,
    ) -> Request {
        callers.sort();
        callers.dedup();
        let mut nonce = B256::ZERO;
        OsRng.fill_bytes(nonce.as_mut_slice());
        Request {
            network: self.network,
            key: spec,
            params,
            callers,
            coordinators: Vec::new(),
            nonce,
            issued_at: now_ms,
            expires_at: now_ms.saturating_add(lifetime_ms),
        }
    }

    /// Asks for signatures, at one node after the other with the same request, until one gives an answer that
    /// counts or a failure that others would repeat.
    ///
    /// Such a failure is one node's word: that a signature is refused cannot be proven.
    pub async fn sign(&self, request: SignedRequest) -> Result<Signed, ClientError> {
        let asked = &request.request;
        if asked.network != self.network {
            return Err(ClientError::Network { expected: self.network, got: asked.network });
        }
        let call = Call::post("v1/requests", json(&request), MAX_SIGN_RESPONSE_BYTES);
        self.signed(&call, asked).await
    }

    /// The stored or running result of a request, verified like that of [`Client::sign`].
    pub async fn result(&self, request: &Request) -> Result<Signed, ClientError> {
        let path = format!("v1/requests/{}", request.digest());
        self.signed(&Call::get(path, MAX_SIGN_RESPONSE_BYTES), request).await
    }

    async fn signed(&self, call: &Call, request: &Request) -> Result<Signed, ClientError> {
        let trust = self.trust().await?;
        // The request's key must exist before a node is blamed for it.
        trust.public_key(request.key.scheme, &request.key.key_id())?;
        let answer = self
            .in_turn(call, |body| {
                let answer: SignResponse = parse(body)?;
                verify_answer(&trust, request, &answer)?;
                // the signatures are verified: whatever is beside them takes nothing from them
                let receipt = parse::<Attached>(body).ok().and_then(|attached| attached.receipt);
                let receipt = receipt.filter(|receipt| explains(&trust, receipt, &answer));
                Ok((answer, receipt))
            })
            .await?;
        let Answer { value: (answer, receipt), node, passed_over } = answer;
        Ok(Signed { answer, receipt, node, passed_over })
    }

    /// The receipt of a request, from the first node that has one which proves its signatures. `asker` is one of the request's callers,
    /// and signs that it asks until `until_ms`, in milliseconds since 1970, at most ten minutes from now; none where operators show
    /// receipts to everybody.
    pub async fn receipt(
        &self,
        request: RequestDigest,
        asker: Option<&dyn RequestSigner>,
        until_ms: u64,
    ) -> Result<Receipt, ClientError> {
        let trust = self.trust().await?;
        let mut path = format!("v1/receipts/{request}");
        if let Some(asker) = asker {
            let digest = ReceiptAccess::digest(self.network, request, until_ms);
            let signature = asker.sign(digest).map_err(ClientError::Signer)?;
            path.push_str(&format!("?expires_at={until_ms}&signature={}", signature.0));
        }
        let call = Call::get(path, MAX_RECEIPT_BYTES);
        let answer = self
            .in_turn(&call, |body| {
                let receipt = Receipt::from_json(body)
                    .map_err(|error| NodeError::Unexpected { status: 200, reason: error.to_string() })?;
                check_receipt(&trust, request, &receipt)?;
                Ok(receipt)
            })
            .await?;
        Ok(answer.value)
    }

    /// The stored or running result of a request of which only the digest is known. **Not verified**: without
    /// the request nobody can tell which key should have signed.
    pub async fn request(&self, digest: RequestDigest) -> Result<SignResponse, ClientError> {
        let call = Call::get(format!("v1/requests/{digest}"), MAX_SIGN_RESPONSE_BYTES);
        Ok(self.in_turn(&call, parse).await?.value)
    }

    /// The network as the first truthful node sees it.
    pub async fn network(&self) -> Result<NetworkInfo, ClientError> {
        let call = Call::get("v1/network", MAX_INFO_BYTES);
        Ok(self.in_turn(&call, |body| self.check_network(body)).await?.value)
    }

    /// The network as the first node sees it that answers now: each is asked once, in the order of the configuration. With what
    /// those before it did.
    pub async fn status(&self) -> Result<(NetworkInfo, Vec<NodeFailure>), ClientError> {
        let call = Call::get("v1/network", MAX_INFO_BYTES);
        let begun = Instant::now();
        let mut failures = Vec::new();
        for (index, node) in self.nodes.iter().enumerate() {
            let patience = patience(begun + self.timeout, self.nodes.len() - index);
            let answer = call.ask(&self.http, node, patience).await;
            match answer.and_then(|body| self.check_network(&body)) {
                Ok(info) => return Ok((info, failures)),
                Err(error) => failures.push(NodeFailure { node: node.clone(), error }),
            }
        }
        Err(ClientError::NoAnswer { waited: begun.elapsed(), nodes: failures })
    }

    /// The network as every node sees it, in the order of the configuration.
    pub async fn networks(&self) -> Vec<(Url, Result<NetworkInfo, NodeError>)> {
        let call = Call::get("v1/network", MAX_INFO_BYTES);
        let view = async |node: &Url| {
            let answer = call.ask(&self.http, node, self.timeout).await;
            (node.clone(), answer.and_then(|body| self.check_network(&body)))
        };
        join_all(self.nodes.iter().map(view)).await
    }

    fn check_network(&self, body: &[u8]) -> Result<NetworkInfo, NodeError> {
        let info: NetworkInfo = parse(body)?;
        let got = info.genesis.network_id();
        if got != self.network || info.network != self.network {
            let got = if got == self.network { info.network } else { got };
            return Err(NodeError::OtherNetwork { expected: self.network, got });
        }
        if let Some(root_keys) = info.root_keys.clone() {
            Trust::new(&self.genesis, root_keys).map_err(NodeError::RootKeys)?;
        }
        Ok(info)
    }

    /// The addresses of the nodes that this client asks, for [`Request::coordinators`]: then no other member can have the request
    /// signed over another moment. Nodes that do not answer are left out.
    pub async fn coordinators(&self) -> Result<Vec<Address>, ClientError> {
        let views = self.networks().await;
        let mut nodes: Vec<Address> =
            views.into_iter().filter_map(|(_, view)| Some(view.ok()?.node.address())).collect();
        if nodes.is_empty() {
            nodes.push(self.network().await?.node.address());
        }
        nodes.sort();
        nodes.dedup();
        Ok(nodes)
    }

    /// The actions that a node stores.
    pub async fn actions(&self) -> Result<ActionList, ClientError> {
        Ok(self.in_turn(&Call::get("v1/actions", MAX_LIST_BYTES), parse).await?.value)
    }

    /// One action, from whichever node has it.
    pub async fn action(&self, id: ActionId) -> Result<ActionInfo, ClientError> {
        let call = Call::get(format!("v1/actions/{id}"), MAX_INFO_BYTES);
        Ok(self.in_turn(&call, |body| check_action(id, body)).await?.value)
    }

    /// The component that a manifest names, from whichever node has it.
    pub async fn component(&self, manifest: &Manifest) -> Result<Bytes, ClientError> {
        let call = Call::get(format!("v1/actions/{}/component", manifest.action_id()), MAX_COMPONENT_BYTES);
        let check = |body: &[u8]| {
            manifest.check_component(body).map_err(NodeError::Component)?;
            Ok(Bytes::copy_from_slice(body))
        };
        Ok(self.in_turn(&call, check).await?.value)
    }

    /// The script that a manifest names, from whichever node has it.
    pub async fn script(&self, manifest: &Manifest) -> Result<String, ClientError> {
        let call = Call::get(format!("v1/actions/{}/script", manifest.action_id()), MAX_SCRIPT_BYTES);
        let check = |body: &[u8]| {
            let script = String::from_utf8_lossy(body).into_owned();
            manifest.check_script(Some(&script)).map_err(NodeError::Component)?;
            Ok(script)
        };
        Ok(self.in_turn(&call, check).await?.value)
    }

    /// Publishes an action at the first node that takes it; the others fetch it when they need it. An
    /// operator who does not list the publisher is passed over.
    pub async fn publish(
        &self,
        signed: SignedPublishAction,
        content: Content,
    ) -> Result<ActionInfo, ClientError> {
        let id = signed.action_id();
        let body = json(&PublishedAction::new(signed, content));
        let call = Call::post("v1/actions", body, MAX_INFO_BYTES);
        Ok(self.in_turn(&call, |body| check_action(id, body)).await?.value)
    }

    /// Asks the nodes in turn, round after round, until one gives what `accept` takes or the time is over.
    async fn in_turn<T>(
        &self,
        call: &Call,
        accept: impl Fn(&[u8]) -> Result<T, NodeError>,
    ) -> Result<Answer<T>, ClientError> {
        let (begun, mut pause) = (Instant::now(), FIRST_PAUSE);
        let deadline = begun + self.timeout;
        let mut heard: Vec<Option<NodeError>> = self.nodes.iter().map(|_| None).collect();
        loop {
            let turn = self.turn(&heard);
            let (mut left, mut hope) = (turn.len(), false);
            for index in turn {
                let patience = patience(deadline, left);
                left -= 1;
                if patience.is_zero() {
                    break;
                }
                let node = &self.nodes[index];
                let answer = call.ask(&self.http, node, patience).await.and_then(|body| accept(&body));
                let error = match answer {
                    Ok(value) => {
                        self.preferred.store(index, Ordering::Relaxed);
                        let passed_over = self.failures(heard);
                        return Ok(Answer { value, node: node.clone(), passed_over });
                    }
                    Err(NodeError::Failure(failure)) if is_final(&failure) => {
                        let (failure, passed_over) = (failure.into(), self.failures(heard));
                        return Err(ClientError::Failed { node: node.clone(), failure, passed_over });
                    }
                    Err(error) => error,
                };
                tracing::debug!(%node, %error, "asking another node");
                hope |= error.may_pass();
                heard[index] = Some(error);
            }
            if !hope || Instant::now() + pause >= deadline || heard.iter().flatten().any(is_one_nodes) {
                return Err(self.no_answer(begun.elapsed(), heard));
            }
            tokio::time::sleep(pause).await;
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
    }

    /// The nodes that are worth asking, from the preferred one on.
    fn turn(&self, heard: &[Option<NodeError>]) -> Vec<usize> {
        let (count, first) = (self.nodes.len(), self.preferred.load(Ordering::Relaxed));
        (0..count)
            .map(|step| (first + step) % count)
            .filter(|index| heard[*index].as_ref().is_none_or(NodeError::may_pass))
            .collect()
    }

    /// A node's word about itself, where nobody had a better answer; else what each node did.
    fn no_answer(&self, waited: Duration, heard: Vec<Option<NodeError>>) -> ClientError {
        let mut nodes = self.failures(heard);
        let spoke = nodes.iter().rposition(|node| is_one_nodes(&node.error));
        if let Some(NodeFailure { node, error: NodeError::Failure(failure) }) =
            spoke.map(|index| nodes.remove(index))
        {
            return ClientError::Failed { node, failure: failure.into(), passed_over: nodes };
        }
        ClientError::NoAnswer { waited, nodes }
    }

    fn failures(&self, heard: Vec<Option<NodeError>>) -> Vec<NodeFailure> {
        self.nodes
            .iter()
            .zip(heard)
            .filter_map(|(node, error)| Some(NodeFailure { node: node.clone(), error: error? }))
            .collect()
    }
}

/// What comes beside the signatures.
#[derive(Deserialize)]
struct Attached {
    receipt: Option<Receipt>,
}

/// Whether a receipt proves an answer's own signatures.
fn explains(trust: &Trust, receipt: &Receipt, answer: &SignResponse) -> bool {
    let signatures = answer.signatures.iter().map(|signed| &signed.signature);
    trust.check(receipt).is_ok_and(|checked| checked.session == answer.session)
        && receipt.signatures.iter().eq(signatures)
}

fn check_receipt(trust: &Trust, request: RequestDigest, receipt: &Receipt) -> Result<(), NodeError> {
    let checked = trust.check(receipt).map_err(|error| NodeError::Receipt(Box::new(error)))?;
    if checked.request == request {
        Ok(())
    } else {
        Err(NodeError::OtherReceipt { expected: request, got: checked.request })
    }
}

struct Answer<T> {
    value: T,
    node: Url,
    passed_over: Vec<NodeFailure>,
}

/// What a node is given of the time that is left: a fair part of it, but not too little.
fn patience(deadline: Instant, nodes_left: usize) -> Duration {
    let left = deadline.saturating_duration_since(Instant::now());
    let fair = left / u32::try_from(nodes_left.max(1)).unwrap_or(u32::MAX);
    fair.max(LEAST_PATIENCE).min(left)
}

/// Whether every other node would say the same.
fn is_final(failure: &Failure) -> bool {
    !failure.kind.is_transient() && !is_of_the_node(failure.kind)
}

/// Whether a failure tells of the node itself: what it stores, whom its operator lists, what it may coordinate.
fn is_of_the_node(kind: FailureKind) -> bool {
    use FailureKind::{NotCoordinator, NotFound, PublisherNotListed};
    [NotFound, PublisherNotListed, NotCoordinator].contains(&kind)
}

fn is_one_nodes(error: &NodeError) -> bool {
    matches!(error, NodeError::Failure(failure) if is_of_the_node(failure.kind))
}

fn check_action(expected: ActionId, body: &[u8]) -> Result<ActionInfo, NodeError> {
    let info: ActionInfo = parse(body)?;
    let got = info.manifest.action_id();
    if got == expected && info.action_id == expected {
        Ok(info)
    } else {
        Err(NodeError::OtherAction { expected, got })
    }
}

/// A URL to which paths can be joined: its own path ends with a slash.
fn as_base(mut url: Url) -> Url {
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    url
}

fn json<T: Serialize>(body: &T) -> Bytes {
    serde_json::to_vec(body).expect("bodies are made of strings, numbers and lists").into()
}
