//! Solidity sources, their compiled artefacts, and bindings.
