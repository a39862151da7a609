//! A receipt that holds, as data for people: what was asked, read, decided and signed.

use countersign_agreement::{AgreedEntry, Package};
use countersign_types::{
    ActionId, Address, Bytes, EngineId, Identifier, KeyId, NetworkId, Outcome, Pin, PublicKey, Record,
    RecordEntry, RequestDigest, Scheme, SessionId, Signature,
    read::{ReadValue, RecordedRead},
    terminal,
};
use serde::Serialize;

use crate::{Checked, Receipt, Trust};

/// The longest value that is shown whole, in characters.
const SHOWN: usize = 120;

/// What a receipt says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The network.
    pub network: NetworkId,
    /// The request.
    pub request: RequestDigest,
    /// Who asked.
    pub callers: Vec<Address>,
    /// What the action was told by the callers.
    pub params: Bytes,
    /// The key.
    pub key: KeyId,
    /// Its scheme.
    pub scheme: Scheme,
    /// Its public key.
    pub public_key: PublicKey,
    /// The action that decided.
    pub action: ActionId,
    /// Its name, by its manifest.
    pub action_name: String,
    /// Its config for this key.
    pub config: Bytes,
    /// The session.
    pub session: SessionId,
    /// Its time, in milliseconds since 1970.
    pub time_ms: u64,
    /// The engine that ran the action.
    pub engine: EngineId,
    /// The blocks that reads were pinned to.
    pub pins: Vec<Pin>,
    /// What was read, in order.
    pub reads: Vec<ExplainedRead>,
    /// What was signed, and by which signature.
    pub signed: Vec<ExplainedPayload>,
    /// What the action told the callers.
    pub response: Bytes,
    /// Who signed.
    pub signers: Vec<ExplainedSigner>,
}

/// One read, or one field of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExplainedRead {
    /// What was asked.
    pub read: String,
    /// Which field; none for the whole.
    pub field: Option<String>,
    /// The rule by which the members agreed.
    pub rule: String,
    /// What they agreed on, cut.
    pub agreed: String,
    /// What each member says that it saw, of those that signed it or a vote over it; all the same under the rule `identical`.
    pub saw: Vec<(Identifier, String)>,
}

/// One payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExplainedPayload {
    /// Its kind.
    pub kind: &'static str,
    /// What the action returned.
    pub content: Bytes,
    /// Exactly the bytes that are signed.
    pub message: Bytes,
    /// The signature.
    pub signature: Signature,
}

/// One signer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExplainedSigner {
    /// Its identifier.
    pub member: Identifier,
    /// Its PeerId.
    pub peer_id: String,
}

impl Trust {
    /// What a receipt that [was checked](Trust::check) says.
    pub fn explain(&self, receipt: &Receipt, checked: &Checked) -> Explanation {
        let asked = &receipt.request.request;
        let (payloads, response) = match &checked.outcome {
            Outcome::Allowed { payloads, response } => (payloads.as_slice(), response.clone()),
            Outcome::Refused { .. } => (&[][..], Bytes::new()),
        };
        let signed = payloads.iter().zip(&receipt.signatures).map(|((payload, message), signature)| {
            ExplainedPayload {
                kind: payload.kind().name(),
                content: Bytes::copy_from_slice(payload.content()),
                message: message.clone(),
                signature: signature.clone(),
            }
        });
        let signers = receipt.signers.keys().map(|member| ExplainedSigner {
            member: *member,
            peer_id: self.committee().member(*member).map(|key| key.peer_id()).unwrap_or_default(),
        });
        Explanation {
            network: checked.network,
            request: checked.request,
            callers: asked.callers.iter().map(|caller| caller.id).collect(),
            params: asked.params.clone(),
            key: checked.key,
            scheme: asked.key.scheme,
            public_key: checked.public_key.clone(),
            action: asked.key.policy.action,
            action_name: receipt.manifest.name.clone(),
            config: asked.key.policy.config.clone(),
            session: checked.session,
            time_ms: receipt.terms.time_ms,
            engine: receipt.terms.engine,
            pins: receipt.terms.pins.clone(),
            reads: reads(receipt, checked),
            signed: signed.collect(),
            response,
            signers: signers.collect(),
        }
    }
}

fn reads(receipt: &Receipt, checked: &Checked) -> Vec<ExplainedRead> {
    let entries = checked.agreed.entries.iter().enumerate();
    entries
        .zip(&checked.reads)
        .flat_map(|((position, entry), read)| match entry {
            AgreedEntry::Identical { .. } => {
                let agreed = shown(read);
                let saw = attested(receipt).map(|(member, _)| (member, agreed.clone())).collect();
                vec![ExplainedRead {
                    read: read.read().to_string(),
                    field: None,
                    rule: "identical".into(),
                    agreed,
                    saw,
                }]
            }
            AgreedEntry::Fields { fields, .. } => fields
                .iter()
                .enumerate()
                .map(|(index, field)| ExplainedRead {
                    read: read.read().to_string(),
                    field: Some(cut(&field.pointer)),
                    rule: field.rule.to_string(),
                    agreed: cut(&field.value.to_string()),
                    saw: saw(receipt, position, index),
                })
                .collect(),
        })
        .collect()
}

/// The records that are their members' own word. A coordinator may name others as readers of what is the same for everybody:
/// that is not signed, and nothing rests on it.
fn attested(receipt: &Receipt) -> impl Iterator<Item = (Identifier, &Record)> {
    let Package { records, signatures, .. } = &receipt.package;
    let is_own =
        |member: &Identifier| receipt.signers.contains_key(member) || signatures.contains_key(member);
    records.iter().filter(move |(member, _)| is_own(member)).map(|(member, record)| (*member, record))
}

/// What each member saw of one field.
fn saw(receipt: &Receipt, position: usize, index: usize) -> Vec<(Identifier, String)> {
    let seen = |(member, record): (Identifier, &Record)| {
        let RecordEntry::Fields { fields, .. } = record.entries.get(position)? else { return None };
        Some((member, cut(&fields.get(index)?.value.to_string())))
    };
    attested(receipt).filter_map(seen).collect()
}

fn shown(read: &RecordedRead) -> String {
    match read.value() {
        ReadValue::Evm(value) => cut(&value.to_string()),
        ReadValue::Http(response) => {
            let body = String::from_utf8_lossy(&response.body);
            cut(&format!("status {}, {} bytes: {body}", response.status, response.body.len()))
        }
    }
}

/// Cuts a text, and shows no character that a terminal would obey.
fn cut(text: &str) -> String {
    let shown: String = text.chars().take(SHOWN).collect();
    let cut = if text.chars().nth(SHOWN).is_some() { "…" } else { "" };
    format!("{}{cut}", terminal::line(&shown))
}
