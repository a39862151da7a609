//! The rules by which the nodes' reads become one value.
//!
//! Each read of an action names the rule by which it is agreed. A session's agreed record is a function of its
//! signers' records and of nothing else: [`agree`] goes through them position by position and stops at the
//! first on which the signers do not agree. Everybody who has the records gets the same agreed record, in
//! whatever order they came. [`check_own`] is the other half: a node signs only over values that stand in its
//! own record too, or within the tolerance around them.
//!
//! For a coordinator, [`choose`] finds nodes that can sign together, and [`explain`] says why some cannot.
//!
//! A [`Package`] is what they are asked to sign then: their records, and their commitments.
//!
//! What a rule means is in the module `rules` and nowhere else.

mod agree;
mod choose;
mod explain;
mod own;
mod package;
mod rules;

pub use agree::{AgreedEntry, AgreedRecord, Cause, Ended, agree};
pub use choose::{alike, choose, most_compatible};
pub use countersign_types::Rule;
pub use explain::{Disagreement, MAX_SHOWN, Seen, can_sign, explain};
pub use own::{OwnMismatch, check_own};
pub use package::{MAX_ATTEMPTS, Package, PackageError, SignerPart, shares_hash};
