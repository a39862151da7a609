//! n real nodes and a real dev chain on this machine.
fn main() {}
