//! The server: it challenges, checks the network's signature, and hands out its text. It asks no node and no chain.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State},
    http::StatusCode,
    routing::{get, post},
};
use countersign_client::DerivedKey;
use countersign_types::{B256, KeySpec, Payload, Signature};
use example_testnet_folder::now_seconds;
use rand_core::{OsRng, RngCore};
use serde::{Deserialize, Serialize};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::challenges::Challenges;

/// The most bytes of a ticket.
const MAX_BODY_BYTES: usize = 8 << 10;

/// What the server says of itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Gate {
    /// The key whose signature opens.
    pub(crate) key: KeySpec,
}

/// What is to be signed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Challenge {
    pub(crate) challenge: String,
}

/// A challenge with the network's signature.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Ticket {
    pub(crate) challenge: String,
    pub(crate) signature: Signature,
}

/// What is handed out, or why it is not.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Handed {
    Message(String),
    Refused(String),
}

/// A server that runs until it is dropped.
pub(crate) struct Server {
    /// Where it is.
    pub(crate) url: String,
    task: JoinHandle<Result<(), std::io::Error>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Shared {
    url: String,
    key: DerivedKey,
    message: String,
    challenges: Mutex<Challenges>,
}

type Answer<T> = Result<Json<T>, (StatusCode, Json<Handed>)>;

impl Server {
    /// Listens, and hands out `message` to whoever has the key's signature.
    pub(crate) async fn start(listen: &str, key: DerivedKey, message: String) -> Result<Self> {
        let listener = TcpListener::bind(listen)
            .await
            .with_context(|| format!("cannot listen on {listen}: name another place with --listen"))?;
        let url = format!("http://{}", listener.local_addr()?);
        let shared = Shared { url: url.clone(), key, message, challenges: Mutex::default() };
        let routes = Router::new()
            .route("/gate", get(gate))
            .route("/challenge", post(challenge))
            .route("/message", post(message_for))
            .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
            .with_state(Arc::new(shared));
        let task = tokio::spawn(async move { axum::serve(listener, routes).await });
        Ok(Self { url, task })
    }

    /// Serves until it fails.
    pub(crate) async fn run(mut self) -> Result<()> {
        Ok((&mut self.task).await??)
    }
}

async fn gate(State(shared): State<Arc<Shared>>) -> Json<Gate> {
    Json(Gate { key: shared.key.spec().clone() })
}

async fn challenge(State(shared): State<Arc<Shared>>) -> Answer<Challenge> {
    let mut nonce = B256::ZERO;
    OsRng.fill_bytes(nonce.as_mut_slice());
    let now = shared.now()?;
    Ok(Json(Challenge { challenge: shared.challenges().issue(&shared.url, nonce, now) }))
}

async fn message_for(State(shared): State<Arc<Shared>>, Json(ticket): Json<Ticket>) -> Answer<Handed> {
    let now = shared.now()?;
    let closed = || {
        refused(
            StatusCode::GONE,
            "this challenge is not open: ask for a new one, and answer it soon and once",
        )
    };
    if !shared.challenges().is_open(&ticket.challenge, now) {
        return Err(closed());
    }
    let payload = Payload::Bytes(ticket.challenge.clone().into_bytes().into());
    shared.key.verify(&payload, &ticket.signature).map_err(|error| {
        refused(
            StatusCode::FORBIDDEN,
            format!("this is not the network's signature of the challenge: {error}"),
        )
    })?;
    // one of two who come at once
    if !shared.challenges().close(&ticket.challenge, now) {
        return Err(closed());
    }
    Ok(Json(Handed::Message(shared.message.clone())))
}

impl Shared {
    fn challenges(&self) -> std::sync::MutexGuard<'_, Challenges> {
        self.challenges.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Result<u64, (StatusCode, Json<Handed>)> {
        now_seconds().map_err(|error| refused(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
    }
}

fn refused(status: StatusCode, why: impl Into<String>) -> (StatusCode, Json<Handed>) {
    (status, Json(Handed::Refused(why.into())))
}
