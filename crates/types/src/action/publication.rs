//! How an action is published: the manifest with its publisher's signature, and the content that it names.

use alloy_primitives::{Address, B256, Bytes};
use serde::{Deserialize, Serialize};

use super::{Manifest, ManifestError};
use crate::{
    ActionId, CallerSignature, NetworkId,
    canonical::{self, sol_types},
};

/// What a publisher signs to place an action on a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PublishAction {
    /// The action.
    pub manifest: Manifest,
    /// Who answers for it; operators list whom they accept.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::HexAddress))]
    pub publisher: Address,
    /// When it was signed, in milliseconds since 1970.
    pub issued_at: u64,
}

impl PublishAction {
    /// The digest that the publisher signs.
    pub fn digest(&self, network: NetworkId) -> B256 {
        canonical::signing_hash(
            network,
            &sol_types::PublishAction {
                manifest: self.manifest.to_sol(),
                publisher: self.publisher,
                issuedAt: self.issued_at,
            },
        )
    }
}

/// A publication with its publisher's signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SignedPublishAction {
    /// What is published.
    pub publish: PublishAction,
    /// The publisher's signature over [`PublishAction::digest`].
    pub signature: CallerSignature,
}

impl SignedPublishAction {
    /// Checks the manifest and the signature. Whether the publisher is listed is the operator's to say.
    pub fn validate(&self, network: NetworkId) -> Result<(), ManifestError> {
        self.publish.manifest.validate()?;
        let digest = self.publish.digest(network);
        let publisher = self.publish.publisher;
        if self.signature.recover(digest) == Some(publisher) {
            Ok(())
        } else {
            Err(ManifestError::Signature { publisher, digest })
        }
    }

    /// The content that this names, for storage that checks what it is given.
    pub fn action_id(&self) -> ActionId {
        self.publish.manifest.action_id()
    }
}

/// What a manifest names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Content {
    /// The component; none where it is a runner that every node has built in.
    pub component: Option<Bytes>,
    /// The script; none where the component runs none.
    pub script: Option<String>,
}

impl Content {
    /// That of an action without a script.
    pub fn component(component: impl Into<Bytes>) -> Self {
        Self { component: Some(component.into()), script: None }
    }

    /// That of a script which a runner runs that every node has built in.
    pub fn script(script: impl Into<String>) -> Self {
        Self { component: None, script: Some(script.into()) }
    }

    /// Checks that all of it is what the manifest names. A component that is left out is the receiver's to have.
    pub fn check(&self, manifest: &Manifest) -> Result<(), ManifestError> {
        if let Some(component) = &self.component {
            manifest.check_component(component)?;
        }
        manifest.check_script(self.script.as_deref())
    }
}

/// A publication together with what it names: the body of `POST /v1/actions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PublishedAction {
    /// The signed publication.
    #[serde(flatten)]
    pub signed: SignedPublishAction,
    /// The component's bytes. May be left out where it is a runner that nodes have built in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::openapi::HexBytes>))]
    pub component: Option<Bytes>,
    /// The script's text, where the manifest names a script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
}

impl PublishedAction {
    /// A publication with what it names.
    pub fn new(signed: SignedPublishAction, content: Content) -> Self {
        Self { signed, component: content.component, script: content.script }
    }

    /// The publication, and what it names.
    pub fn into_parts(self) -> (SignedPublishAction, Content) {
        (self.signed, Content { component: self.component, script: self.script })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, NodeKey, action::ManifestSource};

    #[test]
    fn a_publication_is_bound_to_publisher_and_network() {
        let (network, other) = (NetworkId::from([1; 32]), NetworkId::from([2; 32]));
        let key = NodeKey::from_bytes([1; 32]).expect("a scalar");
        let source = ManifestSource {
            name: "balance-gate".into(),
            hosts: vec!["a.example".into(), "b.example".into()],
            chains: vec![1, 10],
            limits: Limits::default(),
        };
        let publish = PublishAction {
            manifest: source.with_component(b"component"),
            publisher: key.public_key().address(),
            issued_at: 5,
        };
        let signature = CallerSignature(Bytes::copy_from_slice(key.sign(publish.digest(network)).as_bytes()));
        let signed = SignedPublishAction { publish, signature };
        assert_eq!(signed.validate(network), Ok(()));
        assert!(matches!(signed.validate(other), Err(ManifestError::Signature { .. })));
    }
}
