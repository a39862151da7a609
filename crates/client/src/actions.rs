//! Actions: what nodes store, and how one is published.

use countersign_types::{
    ActionId, Bytes, Manifest, SignedPublishAction,
    action::{Content, MAX_COMPONENT_BYTES, MAX_SCRIPT_BYTES, PublishedAction},
    api::{ActionInfo, ActionList},
};

use crate::{
    Client, ClientError, NodeError,
    client::{MAX_INFO_BYTES, json},
    node::{Call, parse},
    standings::Work,
};

/// The most bytes of a list of actions.
const MAX_LIST_BYTES: usize = 16 << 20;

impl Client {
    /// The actions that a node stores.
    pub async fn actions(&self) -> Result<ActionList, ClientError> {
        Ok(self.ask(&Call::get("v1/actions", MAX_LIST_BYTES), Work::Look, parse).await?.value)
    }

    /// One action, from whichever node has it.
    pub async fn action(&self, id: ActionId) -> Result<ActionInfo, ClientError> {
        let call = Call::get(format!("v1/actions/{id}"), MAX_INFO_BYTES);
        Ok(self.ask(&call, Work::Look, |body| check_action(id, body)).await?.value)
    }

    /// The component that a manifest names, from whichever node has it.
    pub async fn component(&self, manifest: &Manifest) -> Result<Bytes, ClientError> {
        let call = Call::get(format!("v1/actions/{}/component", manifest.action_id()), MAX_COMPONENT_BYTES);
        let check = |body: &[u8]| {
            manifest.check_component(body).map_err(NodeError::Component)?;
            Ok(Bytes::copy_from_slice(body))
        };
        Ok(self.ask(&call, Work::Transfer, check).await?.value)
    }

    /// The script that a manifest names, from whichever node has it.
    pub async fn script(&self, manifest: &Manifest) -> Result<String, ClientError> {
        let call = Call::get(format!("v1/actions/{}/script", manifest.action_id()), MAX_SCRIPT_BYTES);
        let check = |body: &[u8]| {
            let script = String::from_utf8_lossy(body).into_owned();
            manifest.check_script(Some(&script)).map_err(NodeError::Component)?;
            Ok(script)
        };
        Ok(self.ask(&call, Work::Transfer, check).await?.value)
    }

    /// Publishes an action at the first node that takes it; the others fetch it when they need it. An
    /// operator who does not list the publisher is passed over.
    pub async fn publish(
        &self,
        signed: SignedPublishAction,
        content: Content,
    ) -> Result<ActionInfo, ClientError> {
        signed.validate(self.network_id()).map_err(ClientError::Publication)?;
        content.check(&signed.publish.manifest).map_err(ClientError::Publication)?;
        let id = signed.action_id();
        let body = json(&PublishedAction::new(signed, content));
        let call = Call::post("v1/actions", body, MAX_INFO_BYTES);
        Ok(self.ask(&call, Work::Transfer, |body| check_action(id, body)).await?.value)
    }
}

fn check_action(expected: ActionId, body: &[u8]) -> Result<ActionInfo, NodeError> {
    let info: ActionInfo = parse(body)?;
    let got = info.manifest.action_id();
    if got == expected && info.action_id == expected {
        Ok(info)
    } else {
        Err(NodeError::OtherAction { expected, got })
    }
}
