//! What a node keeps on disk: sealed key shares, actions, and the journal of key generation.
