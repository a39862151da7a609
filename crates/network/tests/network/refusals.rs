use std::sync::Arc;

use countersign_network::{Boot, BootId, Boots, Config, Hello, boots::Forgotten};
use countersign_types::{NetworkId, NodeKey};

use crate::{
    raw::Raw,
    world::{Node, boot, boots, config, eventually, hello, keys, members},
};

/// Two members that differ in their hello.
async fn pair(lower: Hello, higher: Hello) -> [Node; 2] {
    let keys = keys(2);
    let members = members(&keys);
    let higher = Node::start(&keys[1], &members, higher, config(&[])).await;
    let known = config(&[(higher.own, higher.handle.listen_addresses())]);
    [Node::start(&keys[0], &members, lower, known).await, higher]
}

#[tokio::test]
async fn unknown_dialers_are_refused_and_disturb_nobody() {
    let mut nodes = Node::start_all(&keys(2)).await;
    let (one, two) = (nodes[0].own, nodes[1].own);
    nodes[0].connected(two).await;
    nodes[1].connected(one).await;
    for byte in 100..200 {
        let stranger = NodeKey::from_bytes([byte; 32]).expect("a scalar");
        let mut raw = Raw::start(&stranger, true).await;
        let addresses = nodes[0].handle.listen_addresses();
        for address in &addresses {
            let refused = || nodes[0].handle.stats().refused_connections;
            let before = refused();
            // a handshake that a busy machine does not finish in time is nobody's refusal: it dials again
            while refused() == before {
                // The dialler may see the connection made before it is closed, but never a stream on it.
                if raw.dial(one, address).await.is_none() {
                    let greeted = raw.open(one, countersign_network::HELLO_PROTOCOL).await;
                    assert!(greeted.is_none());
                }
                for _ in 0..200 {
                    if refused() > before {
                        break;
                    }
                    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                }
            }
        }
    }
    assert!(nodes[0].status(two).connected && nodes[1].status(one).connected);
    nodes[0].handle.shutdown().await;
    assert_eq!(nodes[1].disconnected(one).await, "the peer closed the connection");
}

#[tokio::test]
async fn a_member_of_another_network_is_refused_and_both_say_why() {
    let other = Hello { network: NetworkId::from([9; 32]), ..hello(1) };
    let [lower, higher] = pair(hello(1), other).await;
    for (node, of) in [(&lower, higher.own), (&higher, lower.own)] {
        eventually("the reason is known", || node.last_error(of).contains("its network is")).await;
        let error = node.last_error(of);
        assert!(error.contains("we refuse the peer") && error.contains("the peer refuses us"), "{error}");
        assert!(!node.status(of).connected);
    }
    let first = lower.handle.stats().refused_hellos;
    eventually("it tries again", || lower.handle.stats().refused_hellos > first).await;
}

#[tokio::test]
async fn a_member_of_another_protocol_is_refused() {
    let [lower, higher] = pair(hello(1), Hello { protocol: 2, ..hello(1) }).await;
    for (node, of) in [(&lower, higher.own), (&higher, lower.own)] {
        eventually("the reason is known", || node.last_error(of).contains("its protocol version is")).await;
    }
}

#[tokio::test]
async fn another_engine_is_only_announced() {
    let theirs = Hello { engine: [7; 32].into(), ..hello(1) };
    let [mut lower, higher] = pair(hello(1), theirs.clone()).await;
    lower.connected(higher.own).await;
    assert_eq!(lower.status(higher.own).hello, Some(theirs));
}

/// Two members, the lower of which goes through many starts, and the higher stays.
struct Restarts {
    keys: Vec<NodeKey>,
    stays: Node,
    known: Config,
}

impl Restarts {
    /// Where the one that stays has this memory of boots.
    async fn new(memory: Arc<dyn Boots>) -> Self {
        let keys = keys(2);
        let stays = Node::start_with(&keys[1], &members(&keys), hello(1), config(&[]), memory).await;
        let known = config(&[(stays.own, stays.handle.listen_addresses())]);
        Self { keys, stays, known }
    }

    /// A start of the other, on a database with these boots, the last of which is its own.
    async fn start(&self, boots: &[Boot]) -> Node {
        let own = *boots.last().expect("a boot");
        let hello = Hello { boot: own, ..hello(1) };
        let boots = Arc::new(Forgotten::new(boots.to_vec()));
        Node::start_with(&self.keys[0], &members(&self.keys), hello, self.known.clone(), boots).await
    }

    /// A start that is accepted, and ends.
    async fn passes(&mut self, boots: &[Boot]) {
        let mut node = self.start(boots).await;
        node.connected(self.stays.own).await;
        self.stays.connected(node.own).await;
        node.handle.shutdown().await;
        self.stays.disconnected(node.own).await;
    }

    /// A start that is refused for this reason, which both hear, and ends.
    async fn is_refused(&mut self, boots: &[Boot], reason: &str) {
        let node = self.start(boots).await;
        eventually("it is refused", || self.stays.last_error(node.own).contains(reason)).await;
        eventually("it is told", || node.last_error(self.stays.own).contains(reason)).await;
        assert!(!self.stays.status(node.own).connected);
        assert!(node.last_error(self.stays.own).contains("countersign node readmit"));
        node.handle.shutdown().await;
    }
}

/// Boot `generation`, with another id than the member's own start of it.
fn other(generation: u64) -> Boot {
    Boot { generation, id: BootId([0xee; 16]) }
}

fn up_to(generation: u64) -> Vec<Boot> {
    (1..=generation).map(boot).collect()
}

#[tokio::test]
async fn a_member_that_was_rolled_back_is_refused_however_often_it_starts() {
    let mut pair = Restarts::new(boots(&hello(1))).await;
    pair.passes(&up_to(5)).await;

    // back at the state after boot 3
    let old = [up_to(3), vec![other(4)]].concat();
    pair.is_refused(&old, "its boot generation is 4, it has been at 5").await;
    let old = [old, vec![other(5)]].concat();
    pair.is_refused(&old, "another start of it had the boot generation 5").await;
    for generation in 6..9 {
        let again = [old.clone(), (6..=generation).map(other).collect()].concat();
        pair.is_refused(&again, "its boot 5 was another than the peer has seen").await;
    }
    // and the newest state is as good as before
    pair.passes(&up_to(6)).await;
}

#[tokio::test]
async fn a_member_that_was_away_for_many_starts_accepts_the_last() {
    let memory = boots(&hello(1));
    let mut pair = Restarts::new(Arc::clone(&memory)).await;
    pair.passes(&up_to(2)).await;
    pair.passes(&up_to(90)).await;
    assert_eq!(memory.last(&pair.keys[0].public_key()), Ok(Some(boot(90))));
}

#[tokio::test]
async fn a_copy_beside_the_member_is_refused() {
    let mut pair = Restarts::new(boots(&hello(1))).await;
    let mut node = pair.start(&up_to(3)).await;
    node.connected(pair.stays.own).await;
    pair.stays.connected(node.own).await;
    let copy = [up_to(2), vec![other(3)]].concat();
    pair.is_refused(&copy, "it runs twice").await;
    eventually("the member is back", || pair.stays.status(node.own).connected).await;
}

#[tokio::test]
async fn what_was_seen_of_boots_outlives_the_one_who_saw_it() {
    let memory = boots(&hello(1));
    Restarts::new(Arc::clone(&memory)).await.passes(&up_to(5)).await;
    let mut pair = Restarts::new(memory).await;
    pair.is_refused(&up_to(4), "its boot generation is 4, it has been at 5").await;
    pair.passes(&up_to(5)).await;
}
