//! `countersign bench`: what signatures of a running network cost.

use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

use clap::Args;
use countersign_bench::{BenchError, Ceiling, Load, Row};
use countersign_client::{Client, LocalSigner, RequestSigner, sign_request};
use countersign_types::{Bytes, Caller, CallerKind, Genesis, KeySpec, Scheme, SignedRequest};
use serde_json::json;

use crate::{
    exit::Exit,
    files,
    key::SpecArguments,
    output::{Output, table},
    sign::{NodeArguments, now_ms},
};

/// The most signatures of one row: their requests wait in memory, and must not end before they are sent.
const MAX_SIGNATURES: u64 = 10_000;
/// The most requests in flight.
const MAX_IN_FLIGHT: usize = 1_024;
/// How long a request lives, in milliseconds: as long as it may.
const LIFETIME_MS: u64 = 600_000;
/// How many requests go ahead of what is measured, to each node.
const WARM_UP: usize = 8;
/// How long the ceiling is measured for each row, half of it before and half after.
const CEILING: Duration = Duration::from_millis(1_500);

/// What to ask for, and how much of it.
#[derive(Args)]
#[command(
    after_help = "Each row asks for new signatures with so many requests in flight, one at a time of the first node, more spread over \
                  all nodes that are named; every answer is verified, after the clock has stopped. The ceiling is what this machine \
                  makes with nothing but FROST's operations, on all cores, measured before and after each row: it says something where the \
                  nodes run on this machine. A node answers 64 calls of one address at once unless its operator says otherwise: \
                  name more nodes to have more in flight.\n\n\
                  Example:\n  countersign bench --node http://127.0.0.1:8470,http://127.0.0.1:8471 --genesis genesis.json \\\n    \
                  --action 0x.. --params text:hello --caller-key caller.key --in-flight 1,16,64"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    node: NodeArguments,
    #[command(flatten)]
    spec: SpecArguments,
    /// What the action is told by the caller: 0x.., text:.., or @file.
    #[arg(long, value_parser = files::bytes, default_value = "0x")]
    params: Bytes,
    /// A caller's secret key.
    #[arg(long)]
    caller_key: PathBuf,
    /// How many requests to have in flight: a row for each.
    #[arg(long, value_delimiter = ',', default_value = "1,16,64")]
    in_flight: Vec<NonZeroUsize>,
    /// How many signatures for each row.
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u64).range(1..=MAX_SIGNATURES))]
    signatures: u64,
}

pub(crate) fn run(arguments: Arguments, output: &mut Output) -> Result<(), Exit> {
    if let Some(many) = arguments.in_flight.iter().find(|many| many.get() > MAX_IN_FLIGHT) {
        return Err(Exit::usage(format!("--in-flight {many}: at most {MAX_IN_FLIGHT}")));
    }
    let caller = files::signer(&arguments.caller_key)?;
    let spec = arguments.spec.spec()?;
    let scheme = spec.scheme;
    let client = arguments.node.client()?;
    let genesis = arguments.node.genesis()?;
    let waiting = arguments.node.waiting()?;
    let trust = waiting.block_on(output, client.trust())?;
    let runtime = waiting.into_runtime();
    let asked = Asked { client, spec, params: arguments.params, caller };
    let load = Load::new(arguments.node.nodes().to_vec(), trust).map_err(failed)?;
    let nodes = arguments.node.nodes().len();
    let one_each = NonZeroUsize::new(nodes).unwrap_or(NonZeroUsize::MIN);
    runtime.block_on(load.run(&asked.requests(nodes * WARM_UP)?, one_each)).map_err(failed)?;

    let count = usize::try_from(arguments.signatures).map_err(Exit::unexpected)?;
    let ceiling = ceiling(&genesis, scheme)?;
    let mut rows = Vec::new();
    for in_flight in &arguments.in_flight {
        let requests = asked.requests(count)?;
        let measured = load.beside(&ceiling, CEILING, &requests, *in_flight);
        let (run, row) = runtime.block_on(measured).map_err(failed)?;
        output.next(format!("{in_flight} in flight: {}", run.latencies));
        rows.push(row);
    }
    let value = json!({ "schema": 1, "scheme": scheme, "rows": rows });
    output.result(&value, || table(&Row::TITLES, rows.iter().map(|row| row.cells().to_vec()).collect()))
}

fn ceiling(genesis: &Genesis, scheme: Scheme) -> Result<Ceiling, Exit> {
    let size = u16::try_from(genesis.members.len()).map_err(Exit::unexpected)?;
    Ceiling::new(scheme, size, genesis.threshold).map_err(Exit::unexpected)
}

fn failed(error: BenchError) -> Exit {
    match &error {
        BenchError::NotSigned { failure, .. } => Exit::of_failure(failure, error.to_string()),
        BenchError::NotVerified { .. }
        | BenchError::Unreadable { .. }
        | BenchError::TooLong { .. }
        | BenchError::TooMuch { .. }
        | BenchError::NoNode { .. } => Exit::not_verified(error),
        BenchError::Http(_) => Exit::unavailable(error),
        BenchError::Nothing
        | BenchError::Request(_)
        | BenchError::Worker
        | BenchError::Committee { .. }
        | BenchError::Dkg(_)
        | BenchError::Derive(_)
        | BenchError::Sign(_)
        | BenchError::Aggregate(_) => Exit::unexpected(error),
    }
}

/// What is asked for, again and again.
struct Asked {
    client: Client,
    spec: KeySpec,
    params: Bytes,
    caller: LocalSigner,
}

impl Asked {
    /// Requests that differ in their nonces.
    fn requests(&self, count: usize) -> Result<Vec<SignedRequest>, Exit> {
        let now = now_ms()?;
        let callers = vec![Caller { kind: CallerKind::Eip191, id: self.caller.address() }];
        let one = |_| {
            let (spec, params) = (self.spec.clone(), self.params.clone());
            let request = self.client.build_request(spec, params, callers.clone(), now, LIFETIME_MS);
            sign_request(request, &[&self.caller as &dyn RequestSigner]).map_err(Exit::unexpected)
        };
        (0..count).map(one).collect()
    }
}
