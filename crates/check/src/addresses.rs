//! The addresses that the node listens on: its own while it runs, and free before.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use countersign_network::{
    Multiaddr,
    reach::{ReachError, from_here, is_free, reach},
};
use countersign_node::NodeConfig;
use countersign_types::NodePublicKey;

use crate::{Name, membership::Known, node::Life, report::Finding, tasks::Task};

/// One check for each address.
pub(crate) fn tasks(config: &NodeConfig, known: &Known, life: &Arc<Life>) -> Vec<Task> {
    let own = known.own;
    let (listen, at_interface) = (config.api.listen, Arc::clone(life));
    let mut tasks = vec![Task::of(Name::Address, format!("api.listen {listen}"), async move {
        interface(listen, &at_interface)
    })];
    for address in &config.network.listen {
        let (address, life) = (address.clone(), Arc::clone(life));
        tasks.push(Task::of(Name::Address, format!("network.listen {address}"), async move {
            members(&address, own, &life).await
        }));
    }
    tasks
}

fn interface(listen: SocketAddr, life: &Life) -> Finding {
    match life {
        Life::Answers(_) => Finding::ok("the node answers there"),
        Life::Silent(_) => Finding::skipped("the node that runs does not answer there"),
        Life::Unseen(_) => Finding::skipped("it cannot be seen whether it is the node that has it"),
        Life::Stopped if listen.port() == 0 => Finding::warning(
            "the node takes any free port, another at each start",
            "set api.listen to an address with a port",
        ),
        Life::Stopped => free(TcpListener::bind(listen).map(drop), "api.listen"),
    }
}

async fn members(address: &Multiaddr, own: Option<NodePublicKey>, life: &Life) -> Finding {
    if let Life::Unseen(_) = life {
        return Finding::skipped("it cannot be seen whether it is the node that has it");
    }
    match own.filter(|_| life.runs()) {
        Some(own) => held(reach(&own, &from_here(address)).await.map(drop)),
        None => free(is_free(address), "network.listen"),
    }
}

/// What is said of an address that a running node should hold.
fn held(reached: Result<(), ReachError>) -> Finding {
    match reached {
        Ok(()) => Finding::ok("the node is there"),
        Err(error) => Finding::failed(
            format!("the node runs, and is not there: {error}"),
            "restart the node if network.listen was changed since it started; else see its log",
        ),
    }
}

/// What is said of an address that a node wants to take at its start.
fn free(bound: io::Result<()>, key: &str) -> Finding {
    let Err(error) = bound else { return Finding::ok("it is free for the node") };
    let (says, advice) = if error.kind() == io::ErrorKind::AddrInUse {
        let advice = format!("end that program (`ss -lntup` names it), or set {key} to another port");
        ("it is in use by another program".into(), advice)
    } else if error.kind() == io::ErrorKind::AddrNotAvailable {
        ("this machine has no such address".into(), format!("set {key} to an address of this machine"))
    } else if error.kind() == io::ErrorKind::PermissionDenied {
        let advice = "to a port from 1024 on, or give the node the capability CAP_NET_BIND_SERVICE";
        ("this user may not listen there".into(), format!("set {key} {advice}"))
    } else {
        (format!("it cannot be listened on: {error}"), format!("set {key} to another address"))
    };
    Finding::failed(says, advice)
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;
    use crate::State;

    #[tokio::test]
    async fn what_another_program_holds_is_not_free() {
        let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
        let held = tcp.local_addr().expect("an address");
        let udp = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let udp_port = udp.local_addr().expect("an address").port();
        let findings = [
            interface(held, &Life::Stopped),
            members(
                &format!("/ip4/127.0.0.1/tcp/{}", held.port()).parse().expect("an address"),
                None,
                &Life::Stopped,
            )
            .await,
            members(
                &format!("/ip4/127.0.0.1/udp/{udp_port}/quic-v1").parse().expect("an address"),
                None,
                &Life::Stopped,
            )
            .await,
        ];
        for finding in findings {
            assert_eq!(finding.state, State::Failed);
            assert!(finding.says.contains("in use by another program"), "{finding:?}");
        }
        drop(tcp);
        assert_eq!(interface(held, &Life::Stopped), Finding::ok("it is free for the node"));
    }

    #[test]
    fn an_address_of_another_machine_is_named_as_such() {
        let finding = interface("192.0.2.1:8470".parse().expect("an address"), &Life::Stopped);
        assert_eq!(finding.state, State::Failed);
        assert!(finding.says.contains("no such address"), "{finding:?}");
    }

    #[test]
    fn a_port_that_changes_is_warned_of() {
        let any = "127.0.0.1:0".parse().expect("an address");
        assert_eq!(interface(any, &Life::Stopped).state, State::Warning);
        assert_eq!(interface(any, &Life::Silent(String::new())).state, State::Skipped);
    }

    #[tokio::test]
    async fn a_running_node_that_is_not_at_its_address_fails() {
        let own = countersign_types::NodeKey::from_bytes([3; 32]).expect("a scalar").public_key();
        let closed = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
        let address = format!("/ip4/127.0.0.1/tcp/{}", closed.port()).parse().expect("an address");
        let finding = members(&address, Some(own), &Life::Silent(String::new())).await;
        assert_eq!(finding.state, State::Failed);
        assert!(finding.says.contains("is not there"), "{finding:?}");
    }
}
