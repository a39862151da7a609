//! A close look at every provider, each by itself.

use countersign_chain::{Examined, Fault, examine};
use countersign_contracts::anvil::AnvilConfig;
use serde_json::json;

use crate::{
    proxy::{Proxy, Say},
    world::{CHAIN, FINALITY, World, config},
};

async fn examined(providers: &[(&str, String)]) -> Examined {
    let mut config = config(providers);
    config.quorum = Some(providers.len());
    examine(&config).await.expect("a legal configuration")
}

#[tokio::test]
async fn each_provider_is_told_what_is_wrong_with_it_alone() {
    let world = World::start();
    world.mine(10).await;
    let other = World::with(&AnvilConfig { chain_id: CHAIN + 1, ..AnvilConfig::default() });
    let mute = Proxy::start(world.url(), |_, _, _| Say::Nothing).await;
    let seen = examined(&[
        ("good", world.url()),
        ("elsewhere", other.url()),
        ("mute", mute.url()),
        ("closed", "http://127.0.0.1:9".into()),
    ])
    .await;
    let operators: Vec<_> = seen.providers.iter().map(|provider| provider.name.operator()).collect();
    assert_eq!(operators, ["good", "elsewhere", "mute", "closed"]);

    let [good, elsewhere, mute, closed] = &seen.providers[..] else { panic!("{seen:?}") };
    let said = good.said.as_ref().expect("it is well");
    assert_eq!(said.finalized, world.pin(10 - FINALITY).await);
    assert_eq!(said.latest, Some(world.pin(10).await));
    assert_eq!(good.common, Some(Ok(Some(said.finalized))));
    // it runs by this machine's clock
    assert_eq!(good.clock.map(|clock| clock.sure_ms()), Some(0));

    assert_eq!(elsewhere.said, Err(Fault::WrongChain { expected: CHAIN, got: CHAIN + 1 }));
    assert!(matches!(mute.said, Err(Fault::Timeout { ms: 2_000 })), "{mute:?}");
    assert!(matches!(closed.said, Err(Fault::Unreachable(_))), "{closed:?}");
    for provider in [elsewhere, mute, closed] {
        assert_eq!(provider.common, None);
    }
    assert!(mute.clock.is_none() && closed.clock.is_none());
}

#[tokio::test]
async fn a_fork_shows_at_the_lowest_final_block() {
    let (one, two) = (World::start(), World::start());
    // a moment apart, so that their blocks differ
    one.mine(10).await;
    two.rpc("evm_increaseTime", json!([100])).await;
    two.mine(20).await;
    let seen = examined(&[("one", one.url()), ("two", two.url())]).await;
    let common: Vec<_> = seen
        .providers
        .iter()
        .map(|provider| {
            provider.common.clone().expect("both answer").expect("a block").expect("there is one")
        })
        .collect();
    assert_eq!(common[0], one.pin(10 - FINALITY).await);
    assert_eq!(common[1], two.pin(10 - FINALITY).await);
    assert_ne!(common[0].hash, common[1].hash);
}
