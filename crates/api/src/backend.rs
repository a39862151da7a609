//! What answers behind the routes.

use std::sync::Arc;

use async_trait::async_trait;
use countersign_receipt::Receipt;
use countersign_types::{
    ActionId, Bytes, Failure, ReceiptAccess, RequestDigest, SignedRequest,
    action::PublishedAction,
    api::{ActionInfo, ActionList, NetworkInfo, SignResponse},
};
use serde::Serialize;
use utoipa::ToSchema;

/// `POST /v1/requests`: the signatures, and why they exist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SignAnswer {
    /// The signatures, and who stands behind them.
    #[serde(flatten)]
    pub response: SignResponse,
    /// The receipt, where the answering node is one of the signers; else `GET /v1/receipts/{digest}` of one.
    #[schema(value_type = Option<Object>)]
    pub receipt: Option<Arc<Receipt>>,
}

/// The node, as the HTTP interface sees it.
///
/// A call's future is dropped when its client leaves or the deadline passes, so whoever implements this lets a
/// session that has begun go on by itself and keeps its result for [`Backend::request`].
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// The network from this node's view.
    async fn network(&self) -> NetworkInfo;

    /// The actions that the node stores.
    async fn actions(&self) -> Result<ActionList, Failure>;

    /// One stored action.
    async fn action(&self, id: ActionId) -> Result<ActionInfo, Failure>;

    /// The component of a stored action.
    async fn component(&self, id: ActionId) -> Result<Bytes, Failure>;

    /// The script of a stored action; not found where it has none.
    async fn script(&self, id: ActionId) -> Result<String, Failure>;

    /// Checks and stores an action; storing the same again changes nothing.
    async fn publish(&self, action: PublishedAction) -> Result<ActionInfo, Failure>;

    /// Signs, or says why not. The same request again gives the stored or running result.
    async fn submit(&self, request: SignedRequest) -> Result<SignAnswer, Failure>;

    /// The stored or running result of a request; not found if the node does not know it.
    async fn request(&self, digest: RequestDigest) -> Result<SignResponse, Failure>;

    /// The receipt of a request that this node signed, for whoever may see it.
    async fn receipt(
        &self,
        digest: RequestDigest,
        access: Option<ReceiptAccess>,
    ) -> Result<Arc<Receipt>, Failure>;

    /// Whether the node can sign now, else why not.
    async fn ready(&self) -> Result<(), String>;

    /// The node's metrics in the Prometheus text format.
    async fn metrics(&self) -> String;
}
