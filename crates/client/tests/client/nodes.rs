//! Nodes on loopback: the real HTTP interface over backends that answer as they are told.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use countersign_api::{Backend, Config, SignAnswer, serve};
use countersign_client::{Client, ClientConfig, Url};
use countersign_receipt::Receipt;
use countersign_types::{
    ActionId, Bytes, Decision, Failure, ReceiptAccess, RequestDigest, SignedRequest,
    action::PublishedAction,
    api::{ActionInfo, ActionList, NetworkInfo, SignResponse},
    failure::FailureKind,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::world::World;

type Submit = dyn Fn(usize, &SignedRequest) -> Result<SignResponse, Failure> + Send + Sync;
type Publish = dyn Fn(PublishedAction) -> Result<ActionInfo, Failure> + Send + Sync;

/// What a node answers.
pub(crate) struct Behaviour {
    pub(crate) info: NetworkInfo,
    /// From how many requests there were before, and the request.
    pub(crate) submit: Box<Submit>,
    pub(crate) publish: Box<Publish>,
    pub(crate) component: Bytes,
    pub(crate) script: String,
    /// The receipt that it gives, beside its answers too; else how it fails to.
    pub(crate) receipt: Result<Arc<Receipt>, FailureKind>,
    pub(crate) ready: bool,
    pub(crate) hangs: bool,
}

impl Behaviour {
    pub(crate) fn honest(world: &Arc<World>) -> Self {
        let signer = world.clone();
        Self {
            info: world.info(),
            submit: Box::new(move |_, request| Ok(signer.answer(&request.request))),
            publish: Box::new(|published| Ok(info(&published))),
            component: Bytes::new(),
            script: String::new(),
            receipt: Err(FailureKind::NotFound),
            ready: true,
            hangs: false,
        }
    }

    /// Fails every request in one way.
    pub(crate) fn failing(world: &Arc<World>, kind: FailureKind) -> Self {
        let refusing = world.said(&[1, 2], Decision::Refuse);
        let submit = move |_: usize, _: &SignedRequest| {
            let failure = Failure::new(kind, "as told");
            Err(if kind == FailureKind::Refused { failure.with_nodes(refusing.clone()) } else { failure })
        };
        Self { submit: Box::new(submit), ..Self::honest(world) }
    }
}

pub(crate) fn info(published: &PublishedAction) -> ActionInfo {
    let publish = &published.signed.publish;
    ActionInfo {
        action_id: published.signed.action_id(),
        manifest: publish.manifest.clone(),
        publisher: publish.publisher,
        component_bytes: published.component.as_ref().map_or(0, |component| component.len()) as u64,
        script_bytes: published.script.as_ref().map_or(0, String::len) as u64,
    }
}

/// A node that runs until it is dropped.
pub(crate) struct Node {
    pub(crate) url: Url,
    asked: Arc<AtomicUsize>,
    words: Arc<Mutex<Vec<ReceiptAccess>>>,
    _running: DropGuard,
}

impl Node {
    pub(crate) async fn start(behaviour: Behaviour) -> Self {
        let (asked, shutdown) = (Arc::new(AtomicUsize::new(0)), CancellationToken::new());
        let (listener, url) = listen().await;
        let words = Arc::default();
        let backend = Arc::new(Told { behaviour, asked: asked.clone(), words: Arc::clone(&words) });
        tokio::spawn(serve(listener, backend, Config::default(), None, shutdown.clone()));
        Self { url, asked, words, _running: shutdown.drop_guard() }
    }

    /// How many requests, publications and questions for receipts it got.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// What it was shown by those who asked for receipts.
    pub(crate) fn words(&self) -> Vec<ReceiptAccess> {
        self.words.lock().expect("no panic holds it").clone()
    }
}

async fn listen() -> (TcpListener, Url) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    (listener, url.parse().expect("a URL"))
}

/// The address of a node that is down.
pub(crate) async fn dead() -> Url {
    listen().await.1
}

/// A server that takes what it is sent, and closes the connection.
pub(crate) async fn hangs_up() -> Url {
    parrot("", b"", 0).await
}

/// A server that answers everything with the same bytes, again and again.
pub(crate) async fn parrot(head: &'static str, body: &'static [u8], times: usize) -> Url {
    let (listener, url) = listen().await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(head.as_bytes()).await;
            for _ in 0..times {
                if stream.write_all(body).await.is_err() {
                    break;
                }
            }
        }
    });
    url
}

pub(crate) fn client(world: &World, nodes: Vec<Url>, timeout: Duration) -> Client {
    Client::new(ClientConfig { nodes, genesis: world.genesis.clone(), timeout }).expect("legal")
}

struct Told {
    behaviour: Behaviour,
    asked: Arc<AtomicUsize>,
    words: Arc<Mutex<Vec<ReceiptAccess>>>,
}

#[async_trait]
impl Backend for Told {
    async fn network(&self) -> NetworkInfo {
        self.behaviour.info.clone()
    }

    async fn actions(&self) -> Result<ActionList, Failure> {
        Ok(ActionList { actions: vec![] })
    }

    async fn action(&self, _id: ActionId) -> Result<ActionInfo, Failure> {
        Err(Failure::new(FailureKind::NotFound, "no action is stored here"))
    }

    async fn component(&self, _id: ActionId) -> Result<Bytes, Failure> {
        Ok(self.behaviour.component.clone())
    }

    async fn script(&self, _id: ActionId) -> Result<String, Failure> {
        Ok(self.behaviour.script.clone())
    }

    async fn publish(&self, action: PublishedAction) -> Result<ActionInfo, Failure> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        (self.behaviour.publish)(action)
    }

    async fn receipt(
        &self,
        _digest: RequestDigest,
        access: Option<ReceiptAccess>,
    ) -> Result<Arc<Receipt>, Failure> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.words.lock().expect("no panic holds it").extend(access);
        self.behaviour.receipt.clone().map_err(|kind| Failure::new(kind, "no receipt"))
    }

    async fn submit(&self, request: SignedRequest) -> Result<SignAnswer, Failure> {
        let before = self.asked.fetch_add(1, Ordering::SeqCst);
        if self.behaviour.hangs {
            std::future::pending::<()>().await;
        }
        let receipt = self.behaviour.receipt.clone().ok();
        (self.behaviour.submit)(before, &request).map(|response| SignAnswer { response, receipt })
    }

    async fn request(&self, _digest: RequestDigest) -> Result<SignResponse, Failure> {
        Err(Failure::new(FailureKind::NotFound, "no such request"))
    }

    async fn ready(&self) -> Result<(), String> {
        if self.behaviour.ready { Ok(()) } else { Err("as told".into()) }
    }

    async fn metrics(&self) -> String {
        String::new()
    }
}
