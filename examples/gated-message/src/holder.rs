//! Whoever holds a token: has a server's challenge signed by the network, and gets the server's text for it.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use countersign_client::{Client, LocalSigner};
use example_testnet_folder::{Asked, ask};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    challenges::beginning,
    gate,
    server::{Challenge, Gate, Handed, Ticket},
};

/// The longest that the server may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The most that is read of what a server answers: it is not trusted.
const MAX_ANSWER_BYTES: usize = 256 << 10;

/// Calls to one server.
pub(crate) struct Door {
    http: reqwest::Client,
    server: String,
}

impl Door {
    pub(crate) fn new(server: &str) -> Result<Self> {
        let http = reqwest::Client::builder().timeout(TIMEOUT).build()?;
        Ok(Self { http, server: server.trim_end_matches('/').to_owned() })
    }

    /// A fresh challenge of this server.
    pub(crate) async fn challenge(&self) -> Result<String> {
        let Challenge { challenge } = self.post("challenge", &()).await?;
        let expected = beginning(&self.server);
        ensure!(
            challenge.starts_with(&expected),
            "the server's challenge does not begin with {expected:?}: it may be another server's, and is not answered"
        );
        Ok(challenge)
    }

    /// Has the network sign a challenge in a caller's name: refused unless the caller holds enough.
    pub(crate) async fn sign(&self, challenge: &str, client: &Client, caller: &LocalSigner) -> Result<Asked> {
        let Gate { key } = self.get("gate").await?;
        gate::check(&key)?;
        ask(client, key, challenge.as_bytes().to_vec().into(), caller).await
    }

    /// Hands in a ticket.
    pub(crate) async fn enter(&self, ticket: &Ticket) -> Result<Handed> {
        self.post("message", ticket).await
    }

    /// All three.
    pub(crate) async fn fetch(&self, client: &Client, caller: &LocalSigner) -> Result<(Ticket, String)> {
        let challenge = self.challenge().await?;
        let (_, signature) = self.sign(&challenge, client, caller).await?.signature()?;
        let ticket = Ticket { challenge, signature };
        match self.enter(&ticket).await? {
            Handed::Message(message) => Ok((ticket, message)),
            Handed::Refused(why) => bail!("the server refuses: {why}"),
        }
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.answer(self.http.get(self.url(path)), path).await
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        self.answer(self.http.post(self.url(path)).json(body), path).await
    }

    async fn answer<T: DeserializeOwned>(&self, call: reqwest::RequestBuilder, path: &str) -> Result<T> {
        let mut answer = call.send().await.with_context(|| format!("{} does not answer", self.server))?;
        let status = answer.status();
        let mut body = Vec::new();
        while let Some(part) = answer.chunk().await? {
            ensure!(
                body.len() + part.len() <= MAX_ANSWER_BYTES,
                "{} answers more than {MAX_ANSWER_BYTES} bytes",
                self.url(path)
            );
            body.extend_from_slice(&part);
        }
        serde_json::from_slice(&body).with_context(|| {
            format!("{} answers {status}: {:.200}", self.url(path), String::from_utf8_lossy(&body))
        })
    }

    fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.server)
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, routing::post};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn of_a_server_that_never_ends_only_so_much_is_read() {
        for (bytes, words) in
            [(MAX_ANSWER_BYTES, "answers 200 OK"), (MAX_ANSWER_BYTES + 1, "answers more than")]
        {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let url = format!("http://{}", listener.local_addr().expect("it listens"));
            let routes = Router::new().route("/challenge", post(move || async move { vec![b' '; bytes] }));
            let serving = tokio::spawn(async move { axum::serve(listener, routes).await });
            let error = Door::new(&url).expect("a client").challenge().await.expect_err("no challenge");
            assert!(error.to_string().contains(words), "{error:#.300}");
            serving.abort();
        }
    }
}
