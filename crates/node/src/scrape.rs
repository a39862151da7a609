//! What is measured when somebody looks: how things are, beside the counters of what happened.

use countersign_chain::{ChainStatus, Chains, ProviderState, ProviderStatus};
use countersign_network::{PeerStatus, Stats};
use countersign_session::Membership;

/// Counters of the connections between members.
pub(crate) fn network(stats: &Stats) {
    let counters = [
        ("countersign_network_frames_out_total", stats.frames_out),
        ("countersign_network_frames_in_total", stats.frames_in),
        ("countersign_network_bytes_out_total", stats.bytes_out),
        ("countersign_network_bytes_in_total", stats.bytes_in),
        ("countersign_network_busy_total", stats.busy),
        ("countersign_network_failed_dials_total", stats.failed_dials),
        ("countersign_network_refused_connections_total", stats.refused_connections),
        ("countersign_network_refused_members_total", stats.refused_hellos),
        ("countersign_network_violations_total", stats.violations),
    ];
    for (name, value) in counters {
        metrics::counter!(name).absolute(value);
    }
}

/// The node itself.
pub(crate) fn node(membership: &Membership, ready: bool) {
    let engine = membership.engine.to_string();
    metrics::gauge!("countersign_build_info", "version" => crate::VERSION, "engine" => engine).set(1.0);
    metrics::gauge!("countersign_ready").set(flag(ready));
}

/// The other members.
pub(crate) fn members(peers: &[PeerStatus], membership: &Membership) {
    for peer in peers {
        let label = peer.member.peer_id();
        let equal = peer.hello.as_ref().is_some_and(|hello| hello.engine == membership.engine);
        metrics::gauge!("countersign_member_connected", "peer" => label.clone())
            .set(flag(peer.connected && equal));
        let round_trip = peer.rtt.unwrap_or_default().as_secs_f64();
        metrics::gauge!("countersign_member_round_trip_seconds", "peer" => label).set(round_trip);
    }
}

/// Chains and their providers.
pub(crate) fn chains(chains: &Chains) {
    for status in chains.status() {
        chain(status);
    }
}

fn chain(ChainStatus { chain_id, head, head_timestamp, providers }: ChainStatus) {
    let chain = chain_id.to_string();
    let number = head.unwrap_or_default() as f64;
    metrics::gauge!("countersign_chain_final_block", "chain" => chain.clone()).set(number);
    let time = head_timestamp.unwrap_or_default() as f64;
    metrics::gauge!("countersign_chain_final_block_time_seconds", "chain" => chain.clone()).set(time);
    for ProviderStatus { name, state } in providers {
        let ready = flag(matches!(state, ProviderState::Ready { .. }));
        let labels = [
            ("chain", chain.clone()),
            ("operator", name.operator().to_owned()),
            ("provider", name.position().to_string()),
            ("endpoint", name.endpoint().to_owned()),
        ];
        metrics::gauge!("countersign_chain_provider_ready", &labels).set(ready);
    }
}

fn flag(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

#[cfg(test)]
mod tests {
    use countersign_chain::{ChainConfig, ProviderConfig, ProviderName};
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    /// Of a provider whose keys stand in its URLs' paths, which are not shown.
    #[test]
    fn endpoints_of_one_operator_and_host_have_a_series_each() {
        let urls = ["https://rpc.example/first-secret", "https://rpc.example/second-secret"];
        let providers = urls.map(|url| ProviderConfig::new("alpha", url)).to_vec();
        let names = ProviderName::all(&ChainConfig::new(5, providers));
        let provider = |index: usize, state| ProviderStatus { name: names[index].clone(), state };
        let ready = provider(0, ProviderState::Ready { finalized: Some(7) });
        let down = provider(1, ProviderState::Down { reason: "connection refused".into() });
        let status = |providers| ChainStatus { chain_id: 5, head: None, head_timestamp: None, providers };
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            chain(status(vec![ready.clone(), down.clone()]));
            chain(status(vec![down, ready]));
        });
        let text = recorder.handle().render();
        let series = |position: usize| {
            let labels = format!(
                "chain=\"5\",operator=\"alpha\",provider=\"{position}\",endpoint=\"https://rpc.example\""
            );
            format!("countersign_chain_provider_ready{{{labels}}}")
        };
        for line in [format!("{} 1", series(1)), format!("{} 0", series(2))] {
            assert!(text.lines().any(|shown| shown == line), "{line:?} is missing in {text}");
        }
        assert!(!text.contains("secret"), "{text}");
    }
}
