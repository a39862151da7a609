//! Connections between members: libp2p, identity, long-lived streams and bounded frames.
