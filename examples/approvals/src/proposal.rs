//! A text, and who has approved of it: a file that people hand around.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use countersign_client::{LocalSigner, RequestSigner};
use countersign_types::{Address, B256, Bytes, CallerSignature, KeyId, PublicKey, typed_data_digest};
use example_testnet_folder::json;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json as value};

/// What is proposed, and the signatures so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Proposal {
    /// What is to be signed.
    pub(crate) text: String,
    /// When approvals of it end, in seconds since 1970.
    pub(crate) until: u64,
    /// The key that is to sign it.
    pub(crate) key: KeyId,
    /// Its public key, by which an approval is for one network: the same spec has the same id on every network.
    pub(crate) public_key: PublicKey,
    /// Signatures over [`Proposal::typed_data`], in the order in which they were given.
    pub(crate) approvals: Vec<CallerSignature>,
}

impl Proposal {
    pub(crate) fn new(text: &str, until: u64, key: KeyId, public_key: PublicKey) -> Self {
        Self { text: text.to_owned(), until, key, public_key, approvals: Vec::new() }
    }

    pub(crate) fn read(path: &Path) -> Result<Self> {
        json(path)
    }

    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
    }

    /// What each person signs: any wallet shows it as it stands here.
    pub(crate) fn typed_data(&self) -> Value {
        value!({
            "types": {
                "EIP712Domain": [
                    { "name": "name", "type": "string" },
                    { "name": "version", "type": "string" },
                ],
                "Approval": [
                    { "name": "key", "type": "bytes32" },
                    { "name": "publicKey", "type": "bytes" },
                    { "name": "text", "type": "string" },
                    { "name": "until", "type": "uint64" },
                ],
            },
            "primaryType": "Approval",
            "domain": { "name": "Countersign approvals", "version": "1" },
            "message": {
                "key": self.key,
                "publicKey": self.public_key,
                "text": self.text,
                "until": self.until.to_string(),
            },
        })
    }

    fn digest(&self) -> Result<B256> {
        Ok(B256::from_slice(&typed_data_digest(&self.typed_data().to_string())?))
    }

    /// Signs in somebody's name. Approving twice changes nothing.
    pub(crate) fn approve(&mut self, person: &LocalSigner) -> Result<()> {
        let signature = person.sign(self.digest()?)?;
        self.add(signature).map(drop)
    }

    /// Adds a signature that was made elsewhere; whose it is.
    pub(crate) fn add(&mut self, signature: CallerSignature) -> Result<Address> {
        let person = signature
            .recover(self.digest()?)
            .context("this is no signature: expected 65 bytes, r, s and 27 or 28, in hexadecimal")?;
        if !self.approved_by()?.contains(&person) {
            self.approvals.push(signature);
        }
        Ok(person)
    }

    /// Who has approved so far.
    pub(crate) fn approved_by(&self) -> Result<Vec<Address>> {
        let digest = self.digest()?;
        Ok(self.approvals.iter().filter_map(|signature| signature.recover(digest)).collect())
    }

    /// What whoever approves must have read: a line each for text, key and end.
    pub(crate) fn shown(&self, now: u64) -> String {
        let over = if self.until > now { "" } else { ", which is over: nobody's approval counts any more" };
        let until = i64::try_from(self.until).ok().and_then(|until| Timestamp::from_second(until).ok());
        let until = until.map_or_else(|| format!("{} s after 1970", self.until), |until| until.to_string());
        // quoted, so that no text can pass for another line, or hide what stands behind it
        format!(
            "text        {:?}\nkey         {}\npublic key  {}\nuntil       {until}{over}",
            self.text, self.key, self.public_key
        )
    }

    /// Fails unless the proposal is for this key.
    pub(crate) fn check_key(&self, key: KeyId, public_key: &PublicKey) -> Result<()> {
        ensure!(
            self.key == key,
            "the proposal is for key {}, these people's key is {key}: propose anew",
            self.key
        );
        ensure!(
            self.public_key == *public_key,
            "the proposal is for the public key {}, on this network it is {public_key}: propose anew",
            self.public_key
        );
        Ok(())
    }

    /// What the action is told.
    pub(crate) fn params(&self, key: KeyId, public_key: &PublicKey) -> Result<Bytes> {
        self.check_key(key, public_key)?;
        let params = value!({ "text": self.text, "until": self.until, "approvals": self.approvals });
        Ok(params.to_string().into_bytes().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proposal() -> Proposal {
        Proposal::new("pay Carol 5", 1_900_000_000, KeyId::from([4; 32]), public_key(2))
    }

    fn public_key(byte: u8) -> PublicKey {
        PublicKey(vec![byte; 33].into())
    }

    #[test]
    fn whoever_approves_is_known_by_the_signature_and_counts_once() {
        let (anna, ben) = (LocalSigner::random(), LocalSigner::random());
        let mut proposal = proposal();
        for person in [&anna, &ben, &anna] {
            proposal.approve(person).expect("approved");
        }
        assert_eq!(proposal.approved_by().expect("both"), [anna.address(), ben.address()]);
    }

    #[test]
    fn an_approval_is_of_one_text_one_key_of_one_network_and_one_time() {
        let anna = LocalSigner::random();
        let mut approved = proposal();
        approved.approve(&anna).expect("approved");
        let changes: [fn(&mut Proposal); 4] = [
            |proposal| proposal.text.push('0'),
            |proposal| proposal.until += 1,
            |proposal| proposal.key = KeyId::from([5; 32]),
            |proposal| proposal.public_key = public_key(3),
        ];
        for change in changes {
            let mut other = approved.clone();
            change(&mut other);
            assert_ne!(other.approved_by().expect("somebody"), [anna.address()]);
        }
        assert!(approved.params(approved.key, &public_key(2)).is_ok());
        assert!(approved.params(KeyId::from([5; 32]), &public_key(2)).is_err(), "for another key");
        assert!(approved.params(approved.key, &public_key(3)).is_err(), "on another network");
    }

    #[test]
    fn text_key_and_end_are_shown_as_they_stand_there() {
        let mut proposal = proposal();
        proposal.text = "pay Carol 5\nkey         0x00\u{202e}".into();
        let shown = proposal.shown(0);
        assert_eq!(shown.lines().count(), 4, "{shown}");
        assert!(shown.contains(r#""pay Carol 5\nkey         0x00\u{202e}""#), "{shown}");
        for part in [proposal.key.to_string(), proposal.public_key.to_string(), "2030-03-17T17:46:40Z".into()]
        {
            assert!(shown.contains(&part), "{part} is missing in: {shown}");
        }
        assert!(!shown.contains("over"), "{shown}");
        assert!(proposal.shown(proposal.until).contains("over"));
        proposal.until = u64::MAX;
        assert!(proposal.shown(0).contains(&u64::MAX.to_string()));
    }

    #[test]
    fn what_is_no_signature_is_not_added() {
        let mut proposal = proposal();
        for bytes in [vec![], vec![0; 65], vec![1; 64]] {
            assert!(proposal.add(CallerSignature(bytes.into())).is_err());
        }
        assert!(proposal.approvals.is_empty());
    }
}
