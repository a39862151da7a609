//! The client: asks nodes in turn until one gives an answer that counts.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use countersign_receipt::{MAX_RECEIPT_BYTES, Receipt};
use countersign_types::{
    Address, B256, Bytes, Caller, Genesis, KeySpec, NetworkId, NodePublicKey, PublicKey, Request,
    RequestDigest, RootKeys, SignedRequest,
    api::{NetworkInfo, SignResponse},
};
use futures::future::join_all;
use rand_core::{OsRng, RngCore};
use reqwest::{Url, redirect};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::{
    ClientError, NodeError, NodeFailure, NodeHealth, Trust,
    asking::{Answer, Bounds, Nodes},
    node::{Call, Said, parse},
    standings::Work,
    verify_answer,
};

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The least that a node is given to say how it is, where the timeout allows as much.
const LEAST_PATIENCE: Duration = Duration::from_secs(2);
/// How long a node may take to be named as a coordinator.
const NAMING_PATIENCE: Duration = Duration::from_secs(3);

/// The most bytes of an answer with signatures: eight payloads of 64 KiB, twice in hex, the rest, and a receipt.
const MAX_SIGN_RESPONSE_BYTES: usize = (4 << 20) + MAX_RECEIPT_BYTES;
/// The most bytes of other answers.
pub(crate) const MAX_INFO_BYTES: usize = 1 << 20;

/// Whom to ask, and what to believe.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// The nodes' APIs, at least one. The first is asked first until more is known of them.
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
    nodes: Arc<Nodes>,
    /// Which member each node is, where the caller said so.
    members: Vec<Option<NodePublicKey>>,
    genesis: Genesis,
    network: NetworkId,
    timeout: Duration,
    opinions: usize,
    trust: Mutex<Option<Trust>>,
}

impl Client {
    /// A client. Asks nobody yet.
    pub fn new(config: ClientConfig) -> Result<Self, ClientError> {
        let committee = config.genesis.committee()?;
        if config.nodes.is_empty() {
            return Err(ClientError::NoNodes);
        }
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            // A node that points elsewhere is not the node that was named.
            .redirect(redirect::Policy::none())
            .build()
            .map_err(ClientError::Http)?;
        let urls: Vec<Url> = config.nodes.into_iter().map(as_base).collect();
        Ok(Self {
            members: vec![None; urls.len()],
            nodes: Arc::new(Nodes::new(http, urls, committee)),
            network: config.genesis.network_id(),
            genesis: config.genesis,
            timeout: config.timeout,
            opinions: 1,
            trust: Mutex::new(None),
        })
    }

    /// Hears so many nodes before it takes a refusal, or another verdict of an action, for the answer: at most as many as there are,
    /// one by default. Each further one costs another run on all nodes. Fewer liars than that cannot talk the client out of
    /// signatures that another node, which it reaches, gives before the deadline; and where fewer nodes than that give a verdict by
    /// then, there is no answer ([`ClientError::NoAnswer`]). A node that it cannot reach is asked again until as many others have given
    /// a verdict, or said that they know no such action.
    #[must_use]
    pub fn with_opinions(mut self, nodes: usize) -> Self {
        self.opinions = nodes;
        self
    }

    /// Takes these root keys, so that no node is asked for them. They are checked against the genesis.
    pub fn with_root_keys(self, root_keys: RootKeys) -> Result<Self, ClientError> {
        let trust = Trust::new(&self.genesis, root_keys)?;
        *self.kept() = Some(trust);
        Ok(self)
    }

    /// Says which member some of the nodes are: one that calls itself another member is passed over.
    ///
    /// Of the others a node is believed which member it is, as long as it names one of the genesis. It can so be named in the place of
    /// another by [`Client::coordinators`], and be asked for a [receipt](Client::receipt) in that one's name; no signature depends on it.
    pub fn with_members(
        mut self,
        members: impl IntoIterator<Item = (Url, NodePublicKey)>,
    ) -> Result<Self, ClientError> {
        for (node, member) in members {
            if !self.nodes.has_member(&member) {
                return Err(ClientError::NotAMember { member });
            }
            let node = as_base(node);
            let mut places = self.nodes.urls.iter().zip(&mut self.members).filter(|(url, _)| **url == node);
            let (_, first) = places.next().ok_or_else(|| ClientError::UnknownNode { node: node.clone() })?;
            *first = Some(member);
            places.for_each(|(_, place)| *place = Some(member));
        }
        Ok(self)
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
        let asked = |node| self.put_alike(&call, node);
        let answer = self
            .ask_each(asked, Work::Look, |node, body| {
                let root_keys = self.check_network(node, body)?.root_keys.ok_or(NodeError::NoRootKeys)?;
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
    /// Such a failure is the word of one node, or of as many as [`Client::with_opinions`] says: that a signature is refused cannot be
    /// proven. That a node knows no such action ends the call only when every other one has answered or cannot be reached: one that is
    /// silent may be signing, and is waited for until the deadline. A request that is malformed, or not signed by whoever may ask, is
    /// asked of nobody.
    pub async fn sign(&self, request: SignedRequest) -> Result<Signed, ClientError> {
        let asked = &request.request;
        if asked.network != self.network {
            return Err(ClientError::Network { expected: self.network, got: asked.network });
        }
        request.clone().validate().map_err(ClientError::Request)?;
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
            .ask(call, Work::Sign, |body| {
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

    /// The stored or running result of a request of which only the digest is known. **Not verified**: without
    /// the request nobody can tell which key should have signed.
    pub async fn request(&self, digest: RequestDigest) -> Result<SignResponse, ClientError> {
        let call = Call::get(format!("v1/requests/{digest}"), MAX_SIGN_RESPONSE_BYTES);
        Ok(self.ask(&call, Work::Look, parse).await?.value)
    }

    /// The network as the first truthful node sees it.
    pub async fn network(&self) -> Result<NetworkInfo, ClientError> {
        let call = Call::get("v1/network", MAX_INFO_BYTES);
        let check = |node, body: &[u8]| self.check_network(node, body);
        Ok(self.ask_each(|node| self.put_alike(&call, node), Work::Look, check).await?.value)
    }

    /// The network as the first node sees it that answers now: each is asked once, in the order of the configuration. With what
    /// those before it did.
    pub async fn status(&self) -> Result<(NetworkInfo, Vec<NodeFailure>), ClientError> {
        let call = Call::get("v1/network", MAX_INFO_BYTES);
        let begun = Instant::now();
        let mut failures = Vec::new();
        let nodes = &self.nodes.urls;
        for (index, node) in nodes.iter().enumerate() {
            let left = self.timeout.saturating_sub(begun.elapsed());
            let answer = call.ask_within(&self.nodes.http, node, patience(left, nodes.len() - index)).await;
            match answer.and_then(|body| self.check_network(index, &body)) {
                Ok(info) => return Ok((info, failures)),
                Err(error) => failures.push(NodeFailure { node: node.clone(), error }),
            }
        }
        Err(ClientError::NoAnswer { waited: begun.elapsed(), nodes: failures })
    }

    /// The network as every node sees it, in the order of the configuration.
    pub async fn networks(&self) -> Vec<(Url, Result<NetworkInfo, NodeError>)> {
        self.networks_within(self.timeout).await
    }

    async fn networks_within(&self, within: Duration) -> Vec<(Url, Result<NetworkInfo, NodeError>)> {
        let call = Call::get("v1/network", MAX_INFO_BYTES);
        let view = async |(index, node): (usize, &Url)| {
            let answer = call.ask_within(&self.nodes.http, node, within).await;
            (node.clone(), answer.and_then(|body| self.check_network(index, &body)))
        };
        join_all(self.nodes.urls.iter().enumerate().map(view)).await
    }

    /// What a node says of the network, held against what is known: the genesis, and which member the node is.
    pub(crate) fn check_network(&self, node: usize, body: &[u8]) -> Result<NetworkInfo, NodeError> {
        let info: NetworkInfo = parse(body)?;
        let got = info.genesis.network_id();
        if got != self.network || info.network != self.network {
            let got = if got == self.network { info.network } else { got };
            return Err(NodeError::OtherNetwork { expected: self.network, got });
        }
        if !self.nodes.has_member(&info.node) {
            return Err(NodeError::Stranger { got: info.node });
        }
        if let Some(expected) = self.expected(node).filter(|expected| *expected != info.node) {
            return Err(NodeError::OtherMember { expected, got: info.node });
        }
        if let Some(root_keys) = info.root_keys.clone() {
            Trust::new(&self.genesis, root_keys).map_err(NodeError::RootKeys)?;
        }
        Ok(info)
    }

    /// What this client knows of its nodes by now, in the order of the configuration. Asks nobody.
    pub fn health(&self) -> Vec<(Url, NodeHealth)> {
        self.nodes.health()
    }

    /// Which member a node is, if the caller said so.
    pub(crate) fn expected(&self, node: usize) -> Option<NodePublicKey> {
        self.members.get(node).copied().flatten()
    }

    /// The addresses of the nodes that this client asks, for [`Request::coordinators`]: then no other member can have the request
    /// signed over another moment. Nodes that do not answer, or not soon, are left out, and so are those that name a stranger or, with
    /// [`Client::with_members`], another member.
    pub async fn coordinators(&self) -> Result<Vec<Address>, ClientError> {
        let views = self.networks_within(self.timeout.min(NAMING_PATIENCE)).await;
        let mut nodes: Vec<Address> =
            views.into_iter().filter_map(|(_, view)| Some(view.ok()?.node.address())).collect();
        if nodes.is_empty() {
            nodes.push(self.network().await?.node.address());
        }
        nodes.sort();
        nodes.dedup();
        Ok(nodes)
    }

    /// Asks the same of every node.
    pub(crate) async fn ask<T>(
        &self,
        call: &Call,
        work: Work,
        accept: impl Fn(&[u8]) -> Result<T, NodeError>,
    ) -> Result<Answer<T>, ClientError> {
        self.ask_each(|node| self.put_alike(call, node), work, move |_, body| accept(body)).await
    }

    /// Asks each node what `asked` asks of it; an error of that ends the call.
    pub(crate) async fn ask_each<T, F: Future<Output = Result<Said, ClientError>>>(
        &self,
        asked: impl Fn(usize) -> F,
        work: Work,
        accept: impl Fn(usize, &[u8]) -> Result<T, NodeError>,
    ) -> Result<Answer<T>, ClientError> {
        let bounds = Bounds { work, timeout: self.timeout, opinions: self.opinions };
        self.nodes.ask(asked, bounds, accept).await
    }

    /// Asks one node, however long it takes.
    pub(crate) async fn put(&self, call: &Call, node: usize) -> Said {
        call.ask(&self.nodes.http, &self.nodes.urls[node]).await
    }

    /// The same, where nothing but the node's answer can end the call.
    async fn put_alike(&self, call: &Call, node: usize) -> Result<Said, ClientError> {
        Ok(self.put(call, node).await)
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

/// What a node is given of the time that is left: a fair part of it, but not too little.
fn patience(left: Duration, nodes_left: usize) -> Duration {
    let fair = left / u32::try_from(nodes_left.max(1)).unwrap_or(u32::MAX);
    fair.max(LEAST_PATIENCE).min(left)
}

/// A URL to which paths can be joined: its own path ends with a slash.
fn as_base(mut url: Url) -> Url {
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    url
}

pub(crate) fn json<T: Serialize>(body: &T) -> Bytes {
    serde_json::to_vec(body).expect("bodies are made of strings, numbers and lists").into()
}
