//! The rules by which the nodes' reads become one value.
//!
//! Each read of an action names the rule by which it is agreed. A session's agreed record is a function of its
//! signers' records and of nothing else: [`agree`] goes through them position by position and stops at the
//! first on which the signers do not agree. Everybody who has the records gets the same agreed record, in
//! whatever order they came. [`check_own`] is the other half: a node signs only over values that stand in its
//! own record too.
//!
//! The one rule so far is [`Rule::Identical`]. A further rule is a variant of [`Rule`], of [`AgreedEntry`] and of
//! the record's entries, and an arm in the module `rules`.

mod agree;
mod own;
mod rules;

pub use agree::{AgreedEntry, AgreedRecord, Disagreement, Seen, agree};
pub use own::{OwnMismatch, check_own};
pub use rules::Rule;
