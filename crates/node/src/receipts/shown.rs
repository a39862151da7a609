//! Receipts for those who may see them, checked before they are shown.

use std::sync::Arc;

use countersign_receipt::{Receipt, Trust};
use countersign_session::Membership;
use countersign_store::Receipts;
use countersign_types::{Failure, FailureKind, ReceiptAccess, RequestDigest, RootKeys};
use tokio::sync::Semaphore;

use super::ShownTo;
use crate::{causes::with_causes, clock::Clock};

/// How many look receipts up at once.
pub(crate) const MAX_LOOKUPS: usize = 2;

/// The receipts on disk, and who may see them.
pub(crate) struct Shown {
    pub(crate) store: Arc<Receipts>,
    pub(crate) shown_to: ShownTo,
    pub(crate) membership: Arc<Membership>,
    pub(crate) genesis: countersign_types::Genesis,
    pub(crate) clock: Arc<Clock>,
    /// For those that look something up: whoever leaves meanwhile keeps its place until that ends.
    pub(crate) places: Arc<Semaphore>,
}

impl Shown {
    /// The receipt of a request. Blocks, on the disk and on curve operations.
    pub(crate) fn receipt(
        &self,
        request: RequestDigest,
        access: Option<&ReceiptAccess>,
        root_keys: RootKeys,
    ) -> Result<Receipt, Failure> {
        let internal = |detail: String| Failure::new(FailureKind::Internal, detail);
        let unauthorised = |detail: &str| Failure::new(FailureKind::Unauthorised, detail);
        let asker =
            access.and_then(|access| access.asker(self.membership.network, request, self.clock.now()));
        if self.shown_to == ShownTo::Callers && asker.is_none() {
            return Err(unauthorised(
                "receipts are for the callers of the request: one of them signs ReadReceipt(request, expiresAt) in the network's \
                 EIP-712 domain, for at most ten minutes (countersign receipt get --caller-key)",
            ));
        }
        let stored = self.store.of(request).map_err(|error| internal(with_causes(&error)))?;
        let mut receipts = stored.iter().filter_map(|bytes| postcard::from_bytes::<Receipt>(bytes).ok());
        let Some(first) = receipts.next() else {
            let detail = format!(
                "no receipt of {request} is stored here: only signers have one, for a while; ask another node"
            );
            return Err(Failure::new(FailureKind::NotFound, detail));
        };
        let callers = &first.request.request.callers;
        let is_caller = callers.iter().any(|caller| Some(caller.id) == asker);
        if self.shown_to == ShownTo::Callers && !is_caller {
            return Err(unauthorised("whoever signed this is no caller of the request"));
        }
        let trust = Trust::new(&self.genesis, root_keys).map_err(|error| internal(with_causes(&error)))?;
        Ok(self.best(first, receipts, &trust))
    }

    /// One that proves a signature, if there is one. Else this node's own part: what a coordinator that lies brought beside it is left
    /// out.
    fn best(&self, mut first: Receipt, mut others: impl Iterator<Item = Receipt>, trust: &Trust) -> Receipt {
        let holds = |receipt: &Receipt| trust.check(receipt).is_ok();
        if holds(&first) {
            return first;
        }
        others.find(holds).unwrap_or_else(|| {
            first.signatures.clear();
            first.signers.retain(|member, _| *member == self.membership.me);
            first
        })
    }
}
