//! Receipts: why a signature exists, for everybody to check offline.
//!
//! A [`Receipt`] holds what was asked and by whom, on which terms, what every signer read, what they agreed on, what the action
//! returned, each signer's vote and shares, and the signatures. [`Trust::check`] checks all of it against a genesis and root keys
//! that the reader trusts, without a node and without WebAssembly. With the feature `replay`, `Attested::replay` runs the action
//! again over the agreed reads: a vote for another outcome is evidence against its signer.
//!
//! A receipt proves that these members attested these reads and this outcome, and made this signature. It does not prove that what
//! they read was true, nor that no other signature exists: that a receipt is missing proves nothing.

#[cfg(countersign_toy_curves)]
compile_error!("a check of receipts with toy curves protects nothing: they are for the simulator");

mod check;
mod exact;
mod explain;
mod receipt;
#[cfg(feature = "replay")]
mod replay;
mod trust;

pub use check::{Attested, CheckError, Checked, VoteError};
pub use countersign_agreement::{Package, SignerPart};
pub use explain::{ExplainedPayload, ExplainedRead, ExplainedSigner, Explanation};
pub use receipt::{DecodeError, MAX_RECEIPT_BYTES, RECEIPT_VERSION, Reading, ReadingError, Receipt};
#[cfg(feature = "replay")]
pub use replay::{Evidence, ReplayError};
pub use trust::{Trust, TrustError};
