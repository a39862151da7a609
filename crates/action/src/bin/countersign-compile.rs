//! Compiles the component on standard input: what a node runs with its own binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    countersign_action::compile::child_main()
}
