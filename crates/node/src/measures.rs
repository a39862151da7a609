//! What a node counts: every metric that `/metrics` shows, with its kind, labels and meaning, in one place.
//!
//! Counters, gauges and histograms are counted where things happen, by name; tests hold those names, this list and
//! `docs/operators/metrics.md` against each other.

use std::time::Duration;

use metrics::{describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;

/// How often samples of histograms are put into their buckets. Until then each takes memory, whether somebody looks at the
/// metrics or not.
const UPKEEP: Duration = Duration::from_secs(5);

/// Bounds of times to answer, in seconds.
const SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// Bounds of fuel.
const FUEL: &[f64] = &[1e4, 1e5, 5e5, 1e6, 5e6, 1e7, 5e7, 1e8, 5e8, 1e9, 5e9];

/// How a metric behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Rises, from 0 at each start of the node.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Counts in buckets, with these upper bounds.
    Histogram,
}

impl Kind {
    /// The name in the exposition format.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric.
#[derive(Debug, Clone, Copy)]
pub struct Measure {
    /// Its name.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// Its labels; one without any is there from the start.
    pub labels: &'static [&'static str],
    /// What it tells, with its unit.
    pub help: &'static str,
}

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Measure {
    Measure { name, kind: Kind::Counter, labels, help }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Measure {
    Measure { name, kind: Kind::Gauge, labels, help }
}

/// Every metric, by subject.
pub const MEASURES: &[Measure] = &[
    gauge("countersign_build_info", &["version", "engine"], "1, with the node's version and engine"),
    gauge("countersign_ready", &[], "whether the node can sign: 1 or 0"),
    counter(
        "countersign_requests_total",
        &["result"],
        "requests that this node coordinated, by how they ended",
    ),
    counter(
        "countersign_sessions_signed_total",
        &["rounds"],
        "signatures that this node coordinated, by whether one round was enough",
    ),
    counter(
        "countersign_further_rounds_total",
        &["why"],
        "signatures that took more than one round, by the reason",
    ),
    counter("countersign_signature_shares_made_total", &[], "signature shares that this node gave"),
    gauge("countersign_sessions_open", &[], "sessions that this node takes part in now"),
    counter(
        "countersign_nonces_purged_total",
        &[],
        "times that all nonces were wiped because the process stood still",
    ),
    counter("countersign_live_runs_total", &[], "runs of actions against chains and the web"),
    Measure {
        name: "countersign_live_run_fuel",
        kind: Kind::Histogram,
        labels: &[],
        help: "fuel of a live run, in wasmtime's units",
    },
    counter("countersign_replays_total", &[], "replays of actions over agreed reads"),
    counter("countersign_http_reads_total", &["ok"], "HTTP reads of actions, by whether there was an answer"),
    gauge(
        "countersign_chain_final_block",
        &["chain"],
        "number of the final block in this node's view; 0 where it has none",
    ),
    gauge(
        "countersign_chain_final_block_time_seconds",
        &["chain"],
        "time of that block, in seconds since 1970; 0 where there is none",
    ),
    gauge(
        "countersign_chain_provider_ready",
        &["chain", "operator", "provider", "endpoint"],
        "whether a provider answers and follows the chain: 1 or 0",
    ),
    gauge("countersign_members_connected", &[], "other members that this node is connected with"),
    gauge(
        "countersign_member_connected",
        &["peer"],
        "whether a member is connected and runs the same engine: 1 or 0",
    ),
    gauge(
        "countersign_member_round_trip_seconds",
        &["peer"],
        "time there and back to a member; 0 while it is not connected",
    ),
    counter("countersign_network_frames_out_total", &[], "frames sent to members"),
    counter("countersign_network_frames_in_total", &[], "frames received from members"),
    counter("countersign_network_bytes_out_total", &[], "bytes of frames sent to members"),
    counter("countersign_network_bytes_in_total", &[], "bytes of frames received from members"),
    counter(
        "countersign_network_busy_total",
        &[],
        "frames that were not sent because the queue to a member was full",
    ),
    counter("countersign_network_failed_dials_total", &[], "dials of members that failed"),
    counter(
        "countersign_network_refused_connections_total",
        &[],
        "incoming connections that were refused: strangers, or too many",
    ),
    counter(
        "countersign_network_refused_members_total",
        &[],
        "times that a member was refused for what it said of itself",
    ),
    counter(
        "countersign_network_violations_total",
        &[],
        "connections that were closed because a member broke the rules",
    ),
    counter("countersign_receipts_stored_total", &[], "receipts written to disk"),
    counter(
        "countersign_receipts_dropped_total",
        &[],
        "receipts that were not stored: the disk was too slow, or failed",
    ),
    counter(
        "countersign_receipts_displaced_total",
        &[],
        "receipts that were dropped before their time: others took their room",
    ),
    counter("countersign_api_requests_total", &["method", "route", "status"], "HTTP calls answered"),
    Measure {
        name: "countersign_api_request_seconds",
        kind: Kind::Histogram,
        labels: &["route"],
        help: "time to answer an HTTP call, in seconds",
    },
    gauge("countersign_api_connections", &[], "open HTTP connections"),
];

/// Installs the recorder of this process, with every metric described, and those without labels at 0. Looks after it until
/// `stop`. To be called in a tokio runtime.
pub(crate) fn install(stop: CancellationToken) -> Result<PrometheusHandle, BuildError> {
    let handle = builder()?.install_recorder()?;
    describe();
    let looked_after = handle.clone();
    tokio::spawn(keep_up(move || looked_after.run_upkeep(), UPKEEP, stop));
    Ok(handle)
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full("countersign_api_request_seconds".into()), SECONDS)?
        .set_buckets_for_metric(Matcher::Full("countersign_live_run_fuel".into()), FUEL)
}

fn describe() {
    for Measure { name, kind, labels, help } in MEASURES {
        let plain = labels.is_empty();
        match kind {
            Kind::Counter => {
                describe_counter!(*name, *help);
                if plain {
                    metrics::counter!(*name).absolute(0);
                }
            }
            Kind::Gauge => {
                describe_gauge!(*name, *help);
                if plain {
                    metrics::gauge!(*name).set(0.0);
                }
            }
            Kind::Histogram => {
                describe_histogram!(*name, *help);
                if plain {
                    // there from now on, without a sample
                    let _registered = metrics::histogram!(*name);
                }
            }
        }
    }
}

async fn keep_up(upkeep: impl Fn(), every: Duration, stop: CancellationToken) {
    let mut interval = tokio::time::interval(every);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = interval.tick() => upkeep(),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    #[test]
    fn every_metric_is_described_and_plain_ones_are_there_from_the_start() {
        let recorder = builder().expect("bounds").build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            describe();
            metrics::histogram!("countersign_api_request_seconds", "route" => "/healthz").record(0.003);
        });
        let text = handle.render();
        for measure in MEASURES.iter().filter(|measure| measure.labels.is_empty()) {
            for line in [
                format!("# HELP {} {}", measure.name, measure.help),
                format!("# TYPE {} {}", measure.name, measure.kind.name()),
            ] {
                assert!(text.contains(&line), "{line:?} is missing in {text}");
            }
        }
        for line in [
            "countersign_nonces_purged_total 0",
            "countersign_ready 0",
            "countersign_live_run_fuel_count 0",
            "countersign_api_request_seconds_bucket{route=\"/healthz\",le=\"0.0025\"} 0",
            "countersign_api_request_seconds_bucket{route=\"/healthz\",le=\"0.005\"} 1",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line:?} is missing in {text}");
        }
    }

    #[tokio::test]
    async fn samples_are_looked_after_again_and_again_until_the_node_stops() {
        let stop = CancellationToken::new();
        let (done, mut times) = mpsc::unbounded_channel();
        let upkeep = move || {
            let _ = done.send(());
        };
        let task = tokio::spawn(keep_up(upkeep, Duration::from_millis(1), stop.clone()));
        for _ in 0..3 {
            times.recv().await.expect("it goes on");
        }
        stop.cancel();
        task.await.expect("it ends");
        while times.recv().await.is_some() {}
    }
}
