//! The key that signs for holders of a token.

use anyhow::{Result, ensure};
use countersign_client::Client;
use countersign_types::{ActionId, Address, KeySpec, PayloadKind, Scheme, action::ManifestSource};
use example_testnet_folder::{Folder, Source, publish};
use serde_json::json;

/// The chain of the test network.
const CHAIN_ID: u64 = 31337;
/// How much one must hold, in base units: one token.
const MINIMUM: &str = "1000000000000000000";

const MANIFEST: &str = include_str!("../../../actions/balance-gate/manifest.toml");
const COMPONENT: &[u8] = include_bytes!("../../../actions/balance-gate/balance-gate.wasm");

/// Has the nodes store the action.
pub(crate) async fn prepare(folder: &Folder, client: &Client) -> Result<ActionId> {
    let source = Source::Component { manifest: MANIFEST, component: COMPONENT };
    publish(client, source, &folder.signer("publisher")?).await
}

/// The action's id, computed here.
pub(crate) fn action() -> Result<ActionId> {
    let manifest: ManifestSource = example_testnet_folder::manifest(MANIFEST)?;
    Ok(manifest.with_component(COMPONENT).action_id())
}

/// The key for holders of at least one of these tokens.
pub(crate) fn key(action: ActionId, token: Address) -> KeySpec {
    let config = json!({ "chain_id": CHAIN_ID, "token": token, "minimum": MINIMUM });
    example_testnet_folder::key(Scheme::SchnorrSecp256k1, action, &config, PayloadKind::Bytes)
}

/// Checks what a server wants to have signed with. A server that lies would else name a key that does more for this caller than to
/// say what it holds.
pub(crate) fn check(key: &KeySpec) -> Result<()> {
    let expected = action()?;
    ensure!(
        key.policy.action == expected,
        "the server names action {}, which is not balance-gate ({expected}): its requests are not signed",
        key.policy.action
    );
    ensure!(
        key.payloads == [PayloadKind::Bytes],
        "the server's key signs more than bytes: its requests are not signed"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use countersign_types::Policy;

    use super::*;

    #[test]
    fn only_the_balance_gate_is_asked_for_a_server() {
        let good = key(action().expect("an id"), Address::ZERO);
        check(&good).expect("it is");
        let other = KeySpec {
            policy: Policy { action: ActionId::from([1; 32]), ..good.policy.clone() },
            ..good.clone()
        };
        assert!(check(&other).is_err());
        let raw = KeySpec { payloads: vec![PayloadKind::Raw], ..good };
        assert!(check(&raw).is_err());
    }
}
