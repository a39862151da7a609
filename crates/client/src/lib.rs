//! A typed client that fails over between nodes and verifies signatures itself.
