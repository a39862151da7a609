//! Five people, and the key that signs what three of them approve of.

use anyhow::Result;
use countersign_client::{Client, DerivedKey, LocalSigner, RequestSigner};
use countersign_types::{ActionId, Address, KeySpec, Payload, PayloadKind, Scheme, Signature};
use example_testnet_folder::{Asked, Folder, Source, ask, publish};
use serde_json::json;

use crate::proposal::Proposal;

/// Who may approve: keys of these names in the network's folder. Real people keep theirs in their wallets, and the group knows
/// their addresses only.
pub(crate) const PEOPLE: [&str; 5] = ["anna", "ben", "carol", "dora", "emil"];
/// How many of them must.
const NEEDED: usize = 3;

/// The action, as it comes with the project.
const ACTION: Source = Source::Script {
    manifest: include_str!("../../../actions/approvals/manifest.toml"),
    script: include_str!("../../../actions/approvals/approvals.js"),
};

/// A group on a network.
pub(crate) struct Group {
    client: Client,
    people: Vec<(&'static str, LocalSigner)>,
    key: DerivedKey,
    publisher: LocalSigner,
    caller: LocalSigner,
}

impl Group {
    /// Computes the group's key. Asks nobody.
    pub(crate) fn open(folder: &Folder) -> Result<Self> {
        let people =
            PEOPLE.iter().map(|name| Ok((*name, folder.signer(name)?))).collect::<Result<Vec<_>>>()?;
        let addresses: Vec<Address> = people.iter().map(|(_, person)| person.address()).collect();
        let key = DerivedKey::new(&folder.trust()?, spec(ACTION.action_id()?, &addresses))?;
        let (publisher, caller) = (folder.signer("publisher")?, folder.signer("secretary")?);
        Ok(Self { client: folder.client()?, people, key, publisher, caller })
    }

    /// Publishes the action where it is not there yet.
    pub(crate) async fn publish(&self) -> Result<()> {
        publish(&self.client, ACTION, &self.publisher).await.map(drop)
    }

    /// The group's key: another group, or another number of approvals, has another one.
    pub(crate) fn key(&self) -> &DerivedKey {
        &self.key
    }

    /// Somebody of the group, by name.
    pub(crate) fn person(&self, name: &str) -> Option<&LocalSigner> {
        self.people.iter().find(|(known, _)| *known == name).map(|(_, person)| person)
    }

    /// The name that goes with an address.
    pub(crate) fn name(&self, address: Address) -> Option<&'static str> {
        self.people.iter().find(|(_, person)| person.address() == address).map(|(name, _)| *name)
    }

    /// A text for the group to approve of.
    pub(crate) fn propose(&self, text: &str, until: u64) -> Proposal {
        Proposal::new(text, until, self.key.key_id(), self.key.public_key().clone())
    }

    /// Fails unless a proposal is for this group's key on this network.
    pub(crate) fn check_key(&self, proposal: &Proposal) -> Result<()> {
        proposal.check_key(self.key.key_id(), self.key.public_key())
    }

    /// Asks the network. Whoever asks needs no right: the approvals decide.
    pub(crate) async fn ask(&self, proposal: &Proposal) -> Result<Asked> {
        let params = proposal.params(self.key.key_id(), self.key.public_key())?;
        ask(&self.client, self.key.spec().clone(), params, &self.caller).await
    }

    /// Holds a signature against the group's key and the proposal's text, as anybody can who knows the group.
    pub(crate) fn check(&self, proposal: &Proposal, signature: &Signature) -> Result<()> {
        let text = Payload::Bytes(proposal.text.clone().into_bytes().into());
        Ok(self.key.verify(&text, signature)?)
    }
}

fn spec(action: ActionId, people: &[Address]) -> KeySpec {
    let people: Vec<String> = people.iter().map(ToString::to_string).collect();
    let config = json!({ "people": people, "needed": NEEDED });
    example_testnet_folder::key(Scheme::SchnorrSecp256k1, action, &config, PayloadKind::Bytes)
}
