//! The same with what members say of themselves when they connect. Somebody with a member's key who says one thing else is not talked
//! to, and why is told; what is only announced makes nobody sign with it. The others go on, and the member comes back.

use std::{collections::BTreeMap, fs, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use countersign_network::{
    Boot, BootId, Boots, BootsError, Config, Event, EventReceiver, Handle, Hello, start,
};
use countersign_store::{Store, StoredBoot};
use countersign_testnet::relay::identity;
use countersign_types::{ActionId, EngineId, NetworkId, NodePublicKey};
use secrecy::SecretString;
use tokio::time::timeout;

use crate::{
    copies::until,
    support::{Running, without_chain},
};

/// The member in whose name is spoken, while it is down.
const DOWN: usize = 2;
const PATIENCE: Duration = Duration::from_secs(30);
/// For how long nothing may come.
const SILENCE: Duration = Duration::from_millis(500);

/// One who says of boots what it likes.
struct Says {
    own: BTreeMap<u64, BootId>,
    /// Which boot of everybody it has seen last.
    remembered: Option<Boot>,
}

impl Boots for Says {
    fn own(&self, generation: u64) -> Result<Option<BootId>, BootsError> {
        Ok(self.own.get(&generation).copied())
    }

    fn last(&self, _: &NodePublicKey) -> Result<Option<Boot>, BootsError> {
        Ok(self.remembered)
    }

    fn accept(&self, _: &NodePublicKey, _: Boot) -> Result<(), BootsError> {
        Ok(())
    }
}

/// Its connections to the others.
struct Impostor {
    handle: Handle,
    events: EventReceiver,
}

impl Impostor {
    async fn call(
        network: &Running,
        hello: Hello,
        starts: &[Boot],
        remembered: Option<Boot>,
    ) -> Result<Self> {
        let members: Vec<NodePublicKey> = network.nodes.iter().map(|node| node.public_key).collect();
        let mut peers = BTreeMap::new();
        for node in &network.nodes[..DOWN] {
            peers.insert(node.public_key, node.config()?.network.listen);
        }
        let listen = vec!["/ip4/127.0.0.1/udp/0/quic-v1".parse()?];
        let config = Config { listen, peers, reconnect_max_ms: 500, ..Config::default() };
        let own = starts.iter().map(|boot| (boot.generation, boot.id)).collect();
        let boots = Arc::new(Says { own, remembered });
        let key = identity(&network.nodes[DOWN])?;
        let (handle, events) = start(&key, hello, &members, config, boots).await?;
        Ok(Self { handle, events })
    }

    /// Waits until all others talk to it.
    async fn is_heard(&mut self) -> Result<()> {
        let mut heard = 0;
        while heard < DOWN {
            let event = timeout(PATIENCE, self.events.recv()).await.context("nobody talks to it")?;
            heard += usize::from(matches!(event.context("it runs")?, Event::Connected { .. }));
        }
        Ok(())
    }

    /// Nobody has talked to it, and nobody does.
    async fn is_not_heard(&mut self) -> Result<()> {
        while let Ok(event) = timeout(SILENCE, self.events.recv()).await {
            let event = event.context("it runs")?;
            ensure!(!matches!(event, Event::Connected { .. }), "a member talks to it");
        }
        Ok(())
    }
}

/// The others sign, without it.
async fn others_sign(network: &Running, lock: ActionId) -> Result<()> {
    let own = network.genesis.committee()?.identifier(&network.nodes[DOWN].public_key);
    let own = own.context("a member")?.get();
    for node in 0..DOWN {
        let answer = network.signed(node, &network.open_request(lock)?).await?;
        ensure!(answer.votes.iter().all(|vote| vote.signer != own), "it stands behind a signature");
    }
    Ok(())
}

/// All starts of the member, of which the last is a new one: who has its key has its database.
fn starts(network: &Running) -> Result<Vec<Boot>> {
    let folder = &network.nodes[DOWN].folder;
    let passphrase = fs::read_to_string(folder.join("passphrase"))?.trim().to_owned();
    let path = folder.join("data/db");
    let store = Store::open(&path, &Store::read_owner(&path)?, &SecretString::from(passphrase))?;
    let boot = |boot: StoredBoot| Boot { generation: boot.generation, id: BootId(boot.id) };
    Ok(store.own_boots()?.into_iter().map(boot).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_part_of_a_hello_can_be_changed() -> Result<()> {
    let mut network = without_chain(3, 2).await?;
    let lock = network.time_lock().await?;
    let engine = network.engine(0).await?;
    network.nodes[DOWN].terminate()?;
    let starts = starts(&network)?;
    let [.., before, boot] = starts[..] else { bail!("it has started once only: {starts:?}") };

    let right = Hello {
        network: network.genesis.network_id(),
        protocol: countersign_session::PROTOCOL,
        engine,
        boot,
        version: "another".into(),
    };
    let of_boot = |boot| Hello { boot, ..right.clone() };
    let earlier = Boot { generation: before.generation - 1, ..boot };
    let unknown = Some(Boot { generation: 1, ..boot });
    let wrong = [
        ("its network is", Hello { network: NetworkId::from([9; 32]), ..right.clone() }, None),
        ("its protocol version is", Hello { protocol: right.protocol + 1, ..right.clone() }, None),
        ("it was rolled back", of_boot(earlier), None),
        ("it runs twice", of_boot(Boot { generation: before.generation, ..boot }), None),
        ("an old state or a copy", right.clone(), unknown),
    ];
    for (why, hello, remembered) in wrong {
        let heard: Vec<usize> = network.nodes.iter().map(|node| node.log().len()).collect();
        let mut impostor = Impostor::call(&network, hello, &starts, remembered).await?;
        until(why, async || {
            let mut others = network.nodes.iter().zip(&heard).take(DOWN);
            Ok(others.all(|(node, heard)| node.log()[*heard..].contains(why)))
        })
        .await?;
        others_sign(&network, lock).await?;
        impostor.is_not_heard().await.context(why)?;
        impostor.handle.shutdown().await;
    }

    // what is only announced; then nothing that is wrong, else this shows nothing
    for hello in [Hello { engine: EngineId::from([7; 32]), ..right.clone() }, right] {
        let mut impostor = Impostor::call(&network, hello, &starts, None).await?;
        impostor.is_heard().await?;
        others_sign(&network, lock).await?;
        impostor.handle.shutdown().await;
    }
    network.nodes[DOWN].start()?;
    network.wait_ready().await?;
    network.signed(DOWN, &network.open_request(lock)?).await?;
    network.no_panic()?;
    network.stop()
}
