//! One node after the other is replaced, while the network signs.

use std::{
    net::{Ipv4Addr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::{Context, Result, ensure};
use countersign_client::{Client, ClientConfig, LocalSigner};
use countersign_network::{Boot, BootId, Hello, boots::Forgotten};
use countersign_session::PROTOCOL;
use countersign_testnet::{demonstrations::request_to, relay::identity};

use crate::{
    outages::until,
    support::{message, opened, without_chain},
};

#[tokio::test(flavor = "multi_thread")]
async fn nodes_are_restarted_one_by_one_and_every_request_is_signed() -> Result<()> {
    let mut network = without_chain(5, 3).await?;
    let lock = network.time_lock().await?;
    let nodes = network.nodes.iter().map(|node| node.api.parse()).collect::<Result<_, _>>()?;
    let timeout = std::time::Duration::from_secs(30);
    let client = Client::new(ClientConfig { nodes, genesis: network.genesis.clone(), timeout })?;
    let id = network.genesis.network_id();
    let done = Arc::new(AtomicBool::new(false));
    let asking = {
        let done = Arc::clone(&done);
        tokio::spawn(async move {
            let mut signed = 0;
            while !done.load(Ordering::Relaxed) {
                let request = request_to(id, opened(lock), message(), &LocalSigner::random())?;
                client.sign(request).await.with_context(|| format!("after {signed} signatures"))?;
                signed += 1;
            }
            anyhow::Ok(signed)
        })
    };
    for node in 0..5 {
        // as an operator does: stop it, start what replaces it, and go on once it is ready
        network.restart(node)?;
        network.wait_ready().await?;
    }
    done.store(true, Ordering::Relaxed);
    let signed = asking.await??;
    ensure!(signed >= 5, "{signed} signatures while nodes were restarted");
    network.no_panic()?;
    network.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_speaks_another_protocol_is_refused_and_the_others_go_on() -> Result<()> {
    let mut network = without_chain(3, 2).await?;
    let lock = network.time_lock().await?;
    let engine = network.engine(2).await?;
    network.nodes[2].terminate()?;

    // what a later version says in its place
    let hello = Hello {
        network: network.genesis.network_id(),
        protocol: PROTOCOL + 1,
        engine,
        boot: Boot { generation: 1_000, id: BootId([7; 16]) },
        version: "9.0.0".into(),
    };
    let boots = Arc::new(Forgotten::new(vec![hello.boot]));
    let (config, key) = (network.nodes[2].config()?.network, identity(&network.nodes[2])?);
    let (later, _events) =
        countersign_network::start(&key, hello, &network.genesis.members, config, boots).await?;
    let expected = format!("its protocol version is {}, ours is {PROTOCOL}", PROTOCOL + 1);
    until("both others refuse it", async || {
        Ok([0, 1].iter().all(|node| network.nodes[*node].log().contains(&expected)))
    })
    .await?;
    ensure!(later.peers().iter().all(|peer| !peer.connected), "{:?}", later.peers());
    // a connection that ends before it has said why says less
    until("it hears why", async || {
        let why = later.peers().into_iter().filter_map(|peer| peer.last_error).collect::<Vec<_>>().join("; ");
        Ok(["the peer refuses us", "protocol version"].iter().all(|part| why.contains(part)))
    })
    .await?;
    for node in [0, 1] {
        network.signed(node, &network.open_request(lock)?).await?;
    }
    later.shutdown().await;
    // QUIC gives its port back only once its closed connections have run out
    let port = (Ipv4Addr::LOCALHOST, network.settings.nodes[2].peers);
    until("its port is free", async || Ok(UdpSocket::bind(port).is_ok())).await?;

    // what it said of its boots has not been believed: the version of before comes back
    network.nodes[2].start()?;
    network.wait_ready().await?;
    network.signed(2, &network.open_request(lock)?).await?;
    network.no_panic()?;
    network.stop()
}
