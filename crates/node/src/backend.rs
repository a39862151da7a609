//! What answers behind the HTTP interface.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use countersign_api::{Backend, SignAnswer};
use countersign_chain::Chains;
use countersign_network::Handle;
use countersign_receipt::Receipt;
use countersign_session::{Membership, participant::authenticate};
use countersign_types::{
    ActionId, Bytes, EngineId, Failure, FailureKind, Genesis, NodePublicKey, ReceiptAccess, RequestDigest,
    SignedRequest,
    action::PublishedAction,
    api::{ActionInfo, ActionList, MemberInfo, NetworkInfo, SignResponse},
};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{
    sync::{mpsc, oneshot},
    task::spawn_blocking,
};
use tokio_util::sync::CancellationToken;

use crate::{clock::Clock, driver::Input, library::Library, receipts::Shown, scrape, status::Status};

/// The node, as the HTTP interface sees it.
pub(crate) struct NodeBackend {
    pub(crate) genesis: Genesis,
    pub(crate) membership: Arc<Membership>,
    pub(crate) own: NodePublicKey,
    pub(crate) clock: Arc<Clock>,
    pub(crate) transport: Handle,
    pub(crate) chains: Arc<Chains>,
    pub(crate) library: Arc<Library>,
    pub(crate) status: Arc<Status>,
    pub(crate) inputs: mpsc::Sender<Input>,
    pub(crate) receipts: Arc<Shown>,
    pub(crate) metrics: PrometheusHandle,
    pub(crate) stop: CancellationToken,
}

impl NodeBackend {
    /// Members that sessions can be shared with now, this node included.
    fn reachable(&self) -> BTreeMap<NodePublicKey, bool> {
        let mut reachable: BTreeMap<NodePublicKey, bool> = self
            .transport
            .peers()
            .into_iter()
            .map(|peer| {
                let equal = peer.hello.is_some_and(|hello| hello.engine == self.membership.engine);
                (peer.member, peer.connected && equal)
            })
            .collect();
        reachable.insert(self.own, true);
        reachable
    }

    /// The version and engine of each member that was ever connected, as it last said, and this node's own.
    fn said(&self) -> BTreeMap<NodePublicKey, (String, EngineId)> {
        let peers = self.transport.peers().into_iter();
        let mut said: BTreeMap<_, _> = peers
            .filter_map(|peer| peer.hello.map(|hello| (peer.member, (hello.version, hello.engine))))
            .collect();
        said.insert(self.own, (crate::VERSION.into(), self.membership.engine));
        said
    }

    fn not_ready(&self) -> Option<String> {
        if self.stop.is_cancelled() {
            return Some("the node is shutting down".into());
        }
        if let Some(reason) = self.clock.problem() {
            return Some(reason);
        }
        if self.status.root_keys().is_none() {
            return Some(format!("key generation is not done: {}", self.status.key_generation()));
        }
        let connected = self.reachable().values().filter(|connected| **connected).count();
        let threshold = usize::from(self.membership.committee.threshold());
        (connected < threshold)
            .then(|| format!("{} can be reached, {threshold} are needed to sign", members(connected)))
    }

    async fn ask(&self, input: impl FnOnce(crate::driver::Reply) -> Input) -> Result<SignAnswer, Failure> {
        if self.stop.is_cancelled() {
            return Err(Failure::new(FailureKind::NotReady, "the node is shutting down: ask another node"));
        }
        let (reply, answer) = oneshot::channel();
        self.inputs.try_send(input(reply)).map_err(|_| {
            Failure::new(FailureKind::Busy, "the node's queue is full: ask another node, or later")
        })?;
        answer.await.unwrap_or_else(|_| {
            Err(Failure::new(
                FailureKind::Unavailable,
                "the node stopped before it had an answer: ask another node",
            ))
        })
    }
}

#[async_trait]
impl Backend for NodeBackend {
    async fn network(&self) -> NetworkInfo {
        let reachable = self.reachable();
        let mut said = self.said();
        let members = self
            .membership
            .committee
            .identifiers()
            .filter_map(|id| Some((id, self.membership.committee.member(id)?)))
            .map(|(id, member)| {
                let (version, engine) = said.remove(member).unzip();
                MemberInfo {
                    identifier: id.get(),
                    public_key: *member,
                    peer_id: member.peer_id(),
                    address: member.address(),
                    connected: reachable.get(member).copied().unwrap_or(false),
                    version,
                    engine,
                }
            })
            .collect();
        let not_ready = self.not_ready();
        NetworkInfo {
            network: self.membership.network,
            genesis: self.genesis.clone(),
            epoch: self.membership.epoch,
            root_keys: self.status.root_keys(),
            members,
            node: self.own,
            version: crate::VERSION.into(),
            engine: self.membership.engine,
            ready: not_ready.is_none(),
            not_ready,
        }
    }

    async fn actions(&self) -> Result<ActionList, Failure> {
        let listed = self.library.list().await;
        let actions =
            listed.inspect_err(|failure| tracing::error!(%failure, "the stored actions cannot be listed"))?;
        Ok(ActionList { actions })
    }

    async fn action(&self, id: ActionId) -> Result<ActionInfo, Failure> {
        self.library.info(id).await
    }

    async fn component(&self, id: ActionId) -> Result<Bytes, Failure> {
        self.library.component(id).await
    }

    async fn script(&self, id: ActionId) -> Result<String, Failure> {
        self.library.script(id).await
    }

    async fn publish(&self, action: PublishedAction) -> Result<ActionInfo, Failure> {
        self.library.publish(action).await
    }

    async fn submit(&self, request: SignedRequest) -> Result<SignAnswer, Failure> {
        // else the caller is told that the request came before a boot that lies in the future
        if let Some(detail) = self.clock.problem() {
            return Err(Failure::new(FailureKind::NotReady, detail));
        }
        // the callers' signatures are checked here, beside the driver, which has shares to make
        let request = Arc::new(authenticate(request)?);
        self.ask(|reply| Input::Submit { request, reply }).await
    }

    async fn request(&self, digest: RequestDigest) -> Result<SignResponse, Failure> {
        // without the receipt, which is not for everybody who knows the digest
        Ok(self.ask(|reply| Input::Look { request: digest, reply }).await?.response)
    }

    async fn receipt(
        &self,
        digest: RequestDigest,
        access: Option<ReceiptAccess>,
    ) -> Result<Arc<Receipt>, Failure> {
        let Some(root_keys) = self.status.root_keys() else {
            return Err(Failure::new(
                FailureKind::NotReady,
                "key generation is not done: nothing was signed yet",
            ));
        };
        let shown = Arc::clone(&self.receipts);
        let place = Arc::clone(&shown.places).acquire_owned().await;
        let receipt = spawn_blocking(move || {
            let _place = place;
            shown.receipt(digest, access.as_ref(), root_keys)
        })
        .await;
        receipt.map_err(|error| Failure::new(FailureKind::Internal, error.to_string()))?.map(Arc::new)
    }

    async fn ready(&self) -> Result<(), String> {
        match self.not_ready() {
            Some(reason) => Err(reason),
            None => Ok(()),
        }
    }

    async fn metrics(&self) -> String {
        scrape::node(&self.membership, self.not_ready().is_none());
        scrape::network(&self.transport.stats());
        scrape::members(&self.transport.peers(), &self.membership);
        scrape::chains(&self.chains);
        self.metrics.render()
    }
}

/// So many members, in words.
fn members(count: usize) -> String {
    if count == 1 { "1 member".into() } else { format!("{count} members") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_member_is_no_members() {
        assert_eq!([0, 1, 2].map(members), ["0 members", "1 member", "2 members"]);
    }
}
