//! The command `testnet`, behind `testnet/up`, `testnet/down` and `testnet/status`.

mod bench;
mod told;

use std::{
    env, fs,
    io::{self, Stdout, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use clap::{Args, Parser, Subcommand};
use countersign_testnet::{
    Network, Plan, create,
    demonstrations::{self, Demonstration, Expected},
    network, report,
    settings::Settings,
    shell,
};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::told::Told;

/// Where a network lies unless another folder is named.
const FOLDER: &str = ".testnet";

/// A test network on this machine: real nodes, a real dev chain, on loopback only.
#[derive(Parser)]
#[command(name = "testnet", version, max_term_width = 100)]
struct Arguments {
    /// Where the network lies.
    #[arg(long, global = true, default_value = FOLDER)]
    folder: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start the network and show what it does.
    Up(Up),
    /// Stop what `up` left running.
    Down {
        /// Remove the network too: keys, databases, chain.
        #[arg(long)]
        purge: bool,
    },
    /// Say what runs.
    Status {
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
        /// Print variables for a shell instead: eval "$(testnet/status --env)". Of a network that is stopped too, with a warning.
        #[arg(long, conflicts_with = "json")]
        env: bool,
    },
    /// Serve what actions read over HTTP; what `up` runs.
    #[command(hide = true)]
    Outside {
        /// The port of the price service for each node.
        #[arg(long, value_delimiter = ',')]
        prices: Vec<u16>,
        /// The port of the service that approves requests.
        #[arg(long)]
        approvals: u16,
    },
    /// Measure a network of its own: latency, throughput, and their ratio to what the cryptography costs.
    Bench(bench::Arguments),
}

#[derive(Args)]
struct Up {
    /// How many nodes.
    #[arg(long, default_value_t = 5)]
    nodes: u16,
    /// How many of them sign [default: just more than half].
    #[arg(long)]
    threshold: Option<u16>,
    /// Stop everything at the end; success only if all was as it must be.
    #[arg(long)]
    once: bool,
    /// Return and leave the network running.
    #[arg(long, conflicts_with = "once")]
    detach: bool,
    /// Print one JSON document on standard output.
    #[arg(long)]
    json: bool,
    /// Taken by the script: install what is missing without asking.
    #[arg(long)]
    yes: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let json = matches!(&arguments.command, Command::Up(up) if up.json);
    let mut told = Told::new(io::stdout(), json);
    match run(arguments, &mut told) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            told.fail(&error);
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments, told: &mut Told<Stdout>) -> Result<()> {
    let folder = std::path::absolute(&arguments.folder)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    match arguments.command {
        Command::Up(up) => runtime.block_on(bring_up(&folder, &up, told)),
        Command::Down { purge } => down(&folder, purge),
        Command::Status { env: true, .. } => environment(&folder),
        Command::Status { json, .. } => runtime.block_on(status(&folder, json)),
        Command::Outside { prices, approvals } => runtime.block_on(serve_outside(&prices, approvals)),
        Command::Bench(arguments) => runtime.block_on(async {
            let (mut interrupt, mut terminate) = stops()?;
            unless_stopped(&mut interrupt, &mut terminate, bench::run(&program()?, &arguments)).await
        }),
    }
}

async fn serve_outside(prices: &[u16], approvals: u16) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let _services = countersign_testnet::outside::serve(prices, approvals).await?;
    terminate.recv().await;
    Ok(())
}

/// The `countersign` program that was built beside this one.
fn program() -> Result<PathBuf> {
    let program = env::current_exe()?.with_file_name("countersign");
    ensure!(
        program.exists(),
        "{} is not built: run `cargo build --workspace --all-targets`",
        program.display()
    );
    Ok(program)
}

async fn bring_up(folder: &Path, up: &Up, told: &mut Told<Stdout>) -> Result<()> {
    let running = network::running(folder)?;
    ensure!(
        running.is_empty(),
        "the network is running ({} processes): see `testnet/status`, stop it with `testnet/down`",
        running.len()
    );
    let threshold = up.threshold.unwrap_or(up.nodes / 2 + 1);
    let plan = Plan { nodes: up.nodes, threshold, folder: folder.to_path_buf(), program: program()? };
    plan.check()?;
    let (mut interrupt, mut terminate) = stops()?;
    let started = unless_stopped(&mut interrupt, &mut terminate, start(plan, up.json)).await;
    let (mut network, report) = started?;
    if up.once {
        return told.tell_after(&report, || network.stop());
    }
    told.tell(&report);
    if up.detach {
        network.detach();
        return Ok(());
    }
    say("The network runs. Ctrl-C stops it.");
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    say("stopping");
    network.stop()
}

/// The signals that ask a program to stop.
fn stops() -> Result<(Signal, Signal)> {
    Ok((signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?))
}

/// What some work gives, unless a signal comes first: then all that it started is stopped, as it is dropped.
async fn unless_stopped<T>(
    interrupt: &mut Signal,
    terminate: &mut Signal,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    tokio::select! {
        done = work => done,
        _ = interrupt.recv() => Err(anyhow::anyhow!("interrupted: what was started is stopped")),
        _ = terminate.recv() => Err(anyhow::anyhow!("terminated: what was started is stopped")),
    }
}

/// Starts a network and shows what it does; with what is to be told of it.
async fn start(plan: Plan, json: bool) -> Result<(Network, String)> {
    let steps = Steps { start: Instant::now() };
    steps.say(&format!("{} nodes, threshold {}, in {}", plan.nodes, plan.threshold, plan.folder.display()));
    let mut network = Network::open(plan)?;
    steps.say("starting the dev chain");
    network.start_chain().await?;
    steps.say(&format!("dev chain at {}, token {}", network.chain_url(), network.token()?));
    network.start_outside().await?;
    steps.say("services started: prices that differ from node to node, and approvals");
    network.start_nodes()?;
    steps.say("nodes started; waiting for connections and key generation");
    network.wait_ready().await?;
    steps.say("root key generated, activated by all");
    steps.say(
        "publishing four actions, which every node compiles, and waiting until alice's tokens are final",
    );
    let stage = demonstrations::prepare(&network).await?;
    steps.say("actions published and replicated, two of them scripts; alice holds 10 tokens");
    let shown = demonstrations::run(&network, &stage, |shown| steps.say(&line(shown))).await?;
    let info = network.rpc.network(&network.nodes[0].api).await?;
    let report = if json {
        serde_json::to_string_pretty(&report::document(&network, &info, &shown)?)?
    } else {
        format!("{}\n{}", report::text(&network, &info, &shown)?, report::next_steps(&network, &shown))
    };
    Ok((network, report))
}

fn line(shown: &Demonstration) -> String {
    let answer = match shown.expected {
        Expected::Signed => "signed, verified with independent code",
        Expected::Refused => "refused, no share made",
        Expected::Disagreement => "no agreement, no share made, with what each node saw",
    };
    format!("{}: {answer} ({:.1} ms)", shown.name, shown.elapsed_ms)
}

fn down(folder: &Path, purge: bool) -> Result<()> {
    let mut running = network::running(folder)?;
    // nodes first, so that they end with their chain there
    running.sort_by_key(|process| matches!(process.name.as_str(), "anvil" | "services"));
    for process in &running {
        process.end()?;
        say(&format!("stopped {} ({})", process.name, process.pid));
    }
    if running.is_empty() {
        say("nothing runs");
    }
    if !purge {
        return Ok(());
    }
    if folder.exists() {
        ensure!(
            folder.join("settings.json").exists() || fs::read_dir(folder)?.next().is_none(),
            "{} is no test network: it is left alone",
            folder.display()
        );
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        say(&format!("removed {}", folder.display()));
    }
    if let Some(unfinished) = create::remove_unfinished(folder)? {
        say(&format!("removed {}", unfinished.display()));
    }
    Ok(())
}

fn settings(folder: &Path) -> Result<Settings> {
    Settings::load(folder)?.with_context(|| {
        format!("there is no test network in {}: start one with `testnet/up`", folder.display())
    })
}

fn environment(folder: &Path) -> Result<()> {
    let (program, settings) = (program()?, settings(folder)?);
    let programs = program.parent().context("a program lies in a folder")?;
    print(shell::exports(folder, programs, &settings)?.trim_end());
    if network::running(folder)?.is_empty() {
        let named = (folder != std::path::absolute(FOLDER)?).then_some(folder);
        say(&format!(
            "warning: the network is stopped, so none of its nodes answers: start it again with `{}`",
            shell::starts(named, &settings)
        ));
    }
    Ok(())
}

async fn status(folder: &Path, json: bool) -> Result<()> {
    let running = network::running(folder)?;
    let settings = settings(folder)?;
    let rpc = countersign_testnet::rpc::Rpc::new()?;
    let mut nodes = Vec::new();
    for (index, ports) in settings.nodes.iter().enumerate() {
        let api = format!("http://127.0.0.1:{}", ports.api);
        let state = match rpc.network(&api).await {
            Ok(info) => info.not_ready.map_or("ready".to_owned(), |reason| format!("not ready: {reason}")),
            Err(_) => "not running".to_owned(),
        };
        nodes.push(serde_json::json!({ "node": index + 1, "api": api, "state": state }));
    }
    let chain = format!("http://127.0.0.1:{}", settings.chain_port);
    if json {
        let document = serde_json::json!({
            "schema": 1, "processes": running, "nodes": nodes, "chain": chain, "token": settings.token,
        });
        print(&serde_json::to_string_pretty(&document)?);
        return Ok(());
    }
    for node in &nodes {
        let text = |key: &str| node[key].as_str().unwrap_or_default().to_owned();
        print(&format!("node {}  {}  {}", node["node"], text("api"), text("state")));
    }
    print(&format!("chain   {chain}"));
    print(&format!("{} processes run", running.len()));
    Ok(())
}

/// Progress on standard error, with the time since the start.
struct Steps {
    start: Instant,
}

impl Steps {
    fn say(&self, text: &str) {
        say(&format!("[{:6.1} s] {text}", self.start.elapsed().as_secs_f64()));
    }
}

fn say(text: &str) {
    // nobody listens: then there is nobody to tell
    let _ = writeln!(io::stderr(), "{text}");
}

fn print(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}
