use countersign_network::{Config, Multiaddr, StartError, start};

use crate::world::{Node, addresses, boots, config, hello, keys, members};

async fn refusal(config: Config) -> StartError {
    let keys = keys(2);
    start(&keys[1], hello(1), &members(&keys), config, boots(&hello(1))).await.expect_err("does not start")
}

#[tokio::test]
async fn a_port_in_use_is_named_for_quic_and_for_tcp() {
    let keys = keys(2);
    let node = Node::start(&keys[0], &members(&keys), hello(1), config(&[])).await;
    for taken in node.handle.listen_addresses() {
        let error = refusal(Config { listen: vec![taken.clone()], ..config(&[]) }).await;
        assert_eq!(error.to_string(), format!("the address {taken} is in use"));
        assert!(matches!(error, StartError::AddressInUse { address } if address == taken));
    }
}

#[tokio::test]
async fn a_port_of_another_program_is_named_too() {
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").expect("binds");
    let (tcp_port, udp_port) =
        (tcp.local_addr().expect("bound").port(), udp.local_addr().expect("bound").port());
    for taken in [format!("/ip4/127.0.0.1/tcp/{tcp_port}"), format!("/ip4/127.0.0.1/udp/{udp_port}/quic-v1")]
    {
        let taken: Multiaddr = taken.parse().expect("an address");
        let error = refusal(Config { listen: vec![taken.clone()], ..config(&[]) }).await;
        assert!(matches!(error, StartError::AddressInUse { address } if address == taken));
    }
}

#[tokio::test]
async fn an_address_of_another_machine_is_refused() {
    let elsewhere = addresses(&["/ip4/192.0.2.1/tcp/4870"]);
    let error = refusal(Config { listen: elsewhere, ..config(&[]) }).await;
    assert!(matches!(error, StartError::Listen { .. }), "{error}");
}

#[tokio::test]
async fn strangers_are_refused_at_the_start() {
    let keys = keys(3);
    let two = members(&keys[..2]);
    let error =
        start(&keys[2], hello(1), &two, config(&[]), boots(&hello(1))).await.expect_err("not a member");
    assert!(matches!(error, StartError::NotAMember { own } if own == keys[2].public_key()));
    let known = config(&[(keys[2].public_key(), addresses(&["/ip4/127.0.0.1/tcp/1"]))]);
    let error = start(&keys[0], hello(1), &two, known, boots(&hello(1))).await.expect_err("an unknown peer");
    assert!(matches!(error, StartError::UnknownPeer { peer } if peer == keys[2].public_key()));
}

#[tokio::test]
async fn a_member_without_an_address_is_named() {
    let keys = keys(2);
    let node = Node::start(&keys[0], &members(&keys), hello(1), config(&[])).await;
    let error = node.last_error(keys[1].public_key());
    assert!(error.contains("which has no address of it"), "{error}");
}
