//! Set-up, builds of actions, and checks of the repository.
fn main() {}
