//! Receipts: a caller of the request signs for each node that is asked, so that none can ask another with what it was shown.

use countersign_receipt::{MAX_RECEIPT_BYTES, Receipt};
use countersign_types::{NodePublicKey, ReceiptAccess, RequestDigest};

use crate::{
    Client, ClientError, NodeError, RequestSigner, Trust,
    client::MAX_INFO_BYTES,
    node::{Call, Said},
    standings::Work,
};

impl Client {
    /// The receipt of a request, from the first node that has one which proves its signatures. `asker` is one of the request's callers,
    /// and signs for each node that is asked that it asks it until `until_ms`, in milliseconds since 1970, at most ten minutes from now;
    /// none where operators show receipts to everybody. A node that has none, or does not show it, is passed over.
    ///
    /// Which member a node is, it says itself, unless [`Client::with_members`] does: one that takes another member's name can ask that
    /// member, and no other, with the signature.
    pub async fn receipt(
        &self,
        request: RequestDigest,
        asker: Option<&dyn RequestSigner>,
        until_ms: u64,
    ) -> Result<Receipt, ClientError> {
        let trust = self.trust().await?;
        let asked = |node| self.ask_for_receipt(node, request, asker, until_ms);
        let answer = self
            .ask_each(asked, Work::Look, |_, body| {
                let receipt = Receipt::from_json(body)
                    .map_err(|error| NodeError::Unexpected { status: 200, reason: error.to_string() })?;
                check_receipt(&trust, request, &receipt)?;
                Ok(receipt)
            })
            .await?;
        Ok(answer.value)
    }

    /// Asks one node, by the caller's word for it.
    async fn ask_for_receipt(
        &self,
        node: usize,
        request: RequestDigest,
        asker: Option<&dyn RequestSigner>,
        until_ms: u64,
    ) -> Result<Said, ClientError> {
        let mut path = format!("v1/receipts/{request}");
        if let Some(asker) = asker {
            let member = match self.member(node).await {
                Ok(member) => member.address(),
                Err(said) => return Ok(said),
            };
            let digest = ReceiptAccess::digest(self.network_id(), member, request, until_ms);
            let signature = asker.sign(digest).map_err(ClientError::Signer)?;
            path.push_str(&format!("?node={member}&expires_at={until_ms}&signature={}", signature.0));
        }
        Ok(self.put(&Call::get(path, MAX_RECEIPT_BYTES), node).await)
    }

    /// Which member a node is; else what it said instead.
    async fn member(&self, node: usize) -> Result<NodePublicKey, Said> {
        if let Some(member) = self.expected(node) {
            return Ok(member);
        }
        let call = Call::get("v1/network", MAX_INFO_BYTES);
        let Said { body, retry_after } = self.put(&call, node).await;
        let info = body.and_then(|body| self.check_network(node, &body));
        info.map(|info| info.node).map_err(|error| Said { body: Err(error), retry_after })
    }
}

fn check_receipt(trust: &Trust, request: RequestDigest, receipt: &Receipt) -> Result<(), NodeError> {
    let checked = trust.check(receipt).map_err(|error| NodeError::Receipt(Box::new(error)))?;
    if checked.request == request {
        Ok(())
    } else {
        Err(NodeError::OtherReceipt { expected: request, got: checked.request })
    }
}
