//! What is measured when somebody looks: how things are, beside the counters of what happened.

use countersign_chain::{ChainStatus, Chains, ProviderState};
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
    for ChainStatus { chain_id, head, head_timestamp, providers } in chains.status() {
        let chain = chain_id.to_string();
        let number = head.unwrap_or_default() as f64;
        metrics::gauge!("countersign_chain_final_block", "chain" => chain.clone()).set(number);
        let time = head_timestamp.unwrap_or_default() as f64;
        metrics::gauge!("countersign_chain_final_block_time_seconds", "chain" => chain.clone()).set(time);
        for provider in providers {
            let ready = flag(matches!(provider.state, ProviderState::Ready { .. }));
            let labels =
                [("chain", chain.clone()), ("operator", provider.operator), ("endpoint", provider.endpoint)];
            metrics::gauge!("countersign_chain_provider_ready", &labels).set(ready);
        }
    }
}

fn flag(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}
