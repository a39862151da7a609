//! What a run ends with.

pub use crate::bindings::countersign::action::outcome::{Decision, Payload, Refusal};

/// The most payloads that one decision may ask to sign. A manifest can ask for less.
pub const MAX_PAYLOADS: usize = 8;

impl Decision {
    /// A decision to sign these payloads, 1 to [`MAX_PAYLOADS`], with the request's key, and to answer nothing
    /// else.
    pub fn sign(payloads: impl IntoIterator<Item = Payload>) -> Self {
        Self { sign: payloads.into_iter().collect(), response: Vec::new() }
    }

    /// The same decision with what the caller is told besides: at most what the manifest's limits allow.
    pub fn respond(self, response: impl Into<Vec<u8>>) -> Self {
        Self { response: response.into(), ..self }
    }
}

impl Refusal {
    /// A refusal for this reason: which condition failed, and what would satisfy it. Beyond 1024 bytes it is cut.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

impl From<String> for Refusal {
    fn from(reason: String) -> Self {
        Self { reason }
    }
}

impl From<&str> for Refusal {
    fn from(reason: &str) -> Self {
        Self::new(reason)
    }
}
