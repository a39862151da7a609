//! Publishing and asking, as every example does it.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use countersign_client::{
    Client, ClientError, LocalSigner, RequestSigner, Signed, sign_publication, sign_request,
};
use countersign_types::{
    ActionId, Address, B256, Bytes, Caller, CallerKind, Decision, Failure, FailureKind, KeyOptions, KeySpec,
    Manifest, PayloadKind, Policy, PublishAction, Scheme, Signature,
    action::{Content, ManifestSource},
};
use serde_json::Value;

/// How long a request lives, in milliseconds.
const LIFETIME_MS: u64 = 60_000;

/// An action as its author wrote it.
#[derive(Debug, Clone, Copy)]
pub enum Source {
    /// A script in JavaScript, with its manifest in TOML.
    Script {
        /// The manifest.
        manifest: &'static str,
        /// The script.
        script: &'static str,
    },
    /// A component, with its manifest in TOML.
    Component {
        /// The manifest.
        manifest: &'static str,
        /// The component.
        component: &'static [u8],
    },
}

impl Source {
    /// The id that every node knows the action by. It follows from the manifest and the program: no node is asked.
    pub fn action_id(self) -> Result<ActionId> {
        Ok(self.parts()?.0.action_id())
    }

    fn parts(self) -> Result<(Manifest, Content)> {
        Ok(match self {
            Self::Script { manifest, script } => {
                let runner = countersign_runners::javascript().digest();
                (self::manifest(manifest)?.with_script(runner, script), Content::script(script))
            }
            Self::Component { manifest, component } => {
                (self::manifest(manifest)?.with_component(component), Content::component(component.to_vec()))
            }
        })
    }
}

/// A manifest as its author wrote it, in TOML.
pub fn manifest(text: &str) -> Result<ManifestSource> {
    toml::from_str(text).context("this is no manifest")
}

/// Has the nodes store an action; those that have it already store nothing. Where no node answers it fails at once: other calls try on
/// until their timeout, as a node may come back.
pub async fn publish(client: &Client, source: Source, publisher: &LocalSigner) -> Result<ActionId> {
    client.status().await.context(
        "no node answers: does the network run? start it with `./testnet/up --detach`, which keeps its keys",
    )?;
    let (manifest, content) = source.parts()?;
    let id = manifest.action_id();
    if client.action(id).await.is_err() {
        let publish = PublishAction { manifest, publisher: publisher.address(), issued_at: now_ms()? };
        client.publish(sign_publication(publish, client.network_id(), publisher)?, content).await?;
    }
    Ok(id)
}

/// A key that anybody may ask, and that signs one kind of payload.
pub fn key(scheme: Scheme, action: ActionId, config: &Value, payload: PayloadKind) -> KeySpec {
    KeySpec {
        scheme,
        policy: Policy { action, config: config.to_string().into_bytes().into() },
        payloads: vec![payload],
        options: KeyOptions::default(),
        owner: Address::ZERO,
        salt: B256::ZERO,
    }
}

/// What came of a request.
#[derive(Debug)]
pub enum Asked {
    /// Signatures, verified.
    Signed(Box<Signed>),
    /// The action does not allow it, or the nodes do not agree on what they read.
    Refused(Box<Failure>),
}

/// Asks for signatures in one caller's name. The request names the nodes that may coordinate it: those that answer here.
pub async fn ask(client: &Client, key: KeySpec, params: Bytes, caller: &LocalSigner) -> Result<Asked> {
    let callers = vec![Caller { kind: CallerKind::Eip191, id: caller.address() }];
    let mut request = client.build_request(key, params, callers, now_ms()?, LIFETIME_MS);
    request.coordinators = client.coordinators().await?;
    match client.sign(sign_request(request, &[caller])?).await {
        Ok(signed) => Ok(Asked::Signed(Box::new(signed))),
        Err(ClientError::Failed { failure, .. })
            if matches!(failure.kind, FailureKind::Refused | FailureKind::Disagreement) =>
        {
            Ok(Asked::Refused(failure))
        }
        Err(error) => Err(error.into()),
    }
}

impl Asked {
    /// The signatures; an error that says what the nodes said, where there are none.
    pub fn signed(self) -> Result<Signed> {
        match self {
            Self::Signed(signed) => Ok(*signed),
            Self::Refused(failure) => anyhow::bail!("not signed: {}", reason(&failure)),
        }
    }

    /// The only signature, or the first; with what the action says.
    pub fn signature(self) -> Result<(Signed, Signature)> {
        let signed = self.signed()?;
        let signature =
            signed.answer.signatures.first().context("an answer has signatures")?.signature.clone();
        Ok((signed, signature))
    }

    /// The reason of the refusal; an error, where there are signatures that should not be.
    pub fn refused(self) -> Result<String> {
        match self {
            Self::Signed(signed) => {
                anyhow::bail!("{} gave a signature that should have been refused", signed.node)
            }
            Self::Refused(failure) => Ok(reason(&failure)),
        }
    }
}

/// What the first node that refuses said; each of them runs the same action.
fn reason(failure: &Failure) -> String {
    let refuse = failure.nodes.iter().filter(|node| node.decision == Decision::Refuse);
    refuse.filter_map(|node| node.reason.clone()).next().unwrap_or_else(|| failure.detail.clone())
}

/// Milliseconds since 1970.
pub fn now_ms() -> Result<u64> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).context("the system's clock is before 1970")?;
    Ok(u64::try_from(since.as_millis())?)
}

/// Seconds since 1970.
pub fn now_seconds() -> Result<u64> {
    Ok(now_ms()? / 1000)
}
