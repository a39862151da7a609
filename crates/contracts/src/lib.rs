//! Solidity sources, their compiled artefacts, and bindings.
//!
//! Sources are in `contracts/`, what they compile to in `artefacts/`: both are committed, so that a build
//! needs no Solidity compiler. After a change of a source, and to compare:
//!
//! ```text
//! node crates/contracts/compile.mjs            # writes artefacts/
//! node crates/contracts/compile.mjs --check    # fails where they differ
//! ```

#[cfg(feature = "anvil")]
pub mod anvil;

pub use token::TestToken;

mod token {
    #![allow(missing_docs, reason = "the macro generates a public item for every part of the ABI")]
    #![allow(clippy::too_many_arguments, reason = "the shape comes from the ABI")]

    alloy::sol!(
        /// An ERC-20 token for test networks, whose deployer mints.
        #[sol(rpc)]
        TestToken,
        "artefacts/TestToken.json"
    );
}
