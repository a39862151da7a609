//! The command `countersign`: nodes, networks, keys, actions and signatures from a terminal.

mod action;
mod bench;
mod exit;
mod files;
mod key;
mod network;
mod node;
mod node_backup;
mod node_check;
mod output;
mod receipt;
mod sign;
mod trust;
mod waiting;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{exit::Exit, output::Output};

/// Programmable conditional signing: a committee signs only what a program allows.
#[derive(Parser)]
#[command(name = "countersign", version, max_term_width = 100, after_help = exit::HELP)]
struct Arguments {
    /// Print one JSON document on standard output, also for errors other than wrong usage.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make, run and look at a node.
    #[command(subcommand)]
    Node(node::Command),
    /// Make and look at a network's genesis.
    #[command(subcommand)]
    Network(network::Command),
    /// Compute keys and addresses, offline.
    #[command(subcommand)]
    Key(key::Command),
    /// Publish and look at actions.
    #[command(subcommand)]
    Action(action::Command),
    /// Make a key for a caller or publisher.
    #[command(subcommand)]
    Caller(files::Command),
    /// Ask for signatures, and verify them.
    Sign(sign::Arguments),
    /// Fetch and check receipts: why a signature exists.
    #[command(subcommand)]
    Receipt(receipt::Command),
    /// Show a node's stored or running result of a request.
    #[command(
        after_help = "Example:\n  countersign result 0x.. --node http://127.0.0.1:8470 --genesis genesis.json"
    )]
    Result(sign::ResultArguments),
    /// Measure a running network: latency, signatures per second, and what the cryptography alone would allow.
    Bench(bench::Arguments),
    /// Compile a component from standard input; what a node runs with limits.
    #[command(hide = true, name = node::COMPILE)]
    CompileComponent,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if matches!(arguments.command, Command::CompileComponent) {
        return countersign_action::compile::child_main();
    }
    let mut output = Output::new(arguments.json);
    match run(arguments.command, &mut output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => output.fail(&error),
    }
}

fn run(command: Command, output: &mut Output) -> Result<(), Exit> {
    match command {
        Command::Node(command) => node::run(command, output),
        Command::Network(command) => network::run(command, output),
        Command::Key(command) => key::run(command, output),
        Command::Action(command) => action::run(command, output),
        Command::Caller(command) => files::run(command, output),
        Command::Sign(arguments) => sign::run(arguments, output),
        Command::Receipt(command) => receipt::run(command, output),
        Command::Result(arguments) => sign::result(arguments, output),
        Command::Bench(arguments) => bench::run(arguments, output),
        // ends in `main`, with the code that its parent understands
        Command::CompileComponent => Ok(()),
    }
}
