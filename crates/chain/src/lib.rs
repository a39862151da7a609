//! On-chain state through alloy: pins, a quorum of providers, reads.
