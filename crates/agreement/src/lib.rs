//! The rules by which the nodes' reads become one value.
