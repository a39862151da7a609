//! What an action is and may do, and how it is published.

mod limits;
mod manifest;
mod publication;

pub use limits::Limits;
pub use manifest::{
    MAX_CHAINS, MAX_COMPONENT_BYTES, MAX_HOSTS, MAX_NAME_BYTES, MAX_SCRIPT_BYTES, Manifest, ManifestError,
    ManifestSource, script_digest,
};
pub use publication::{Content, PublishAction, PublishedAction, SignedPublishAction};
