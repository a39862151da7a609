//! Receipts for those who may see them, checked before they are shown.

use std::sync::Arc;

use countersign_receipt::{Receipt, Trust};
use countersign_session::Membership;
use countersign_store::Receipts;
use countersign_types::{Address, Failure, FailureKind, ReceiptAccess, RequestDigest, RootKeys};
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
        let asker = match self.shown_to {
            ShownTo::Callers => Some(asker(&self.membership, request, access, self.clock.now())?),
            ShownTo::Everybody => None,
        };
        let stored =
            self.store.of(request, self.clock.now()).map_err(|error| internal(with_causes(&error)))?;
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
            let detail = "whoever signed this is no caller of the request";
            return Err(Failure::new(FailureKind::Unauthorised, detail));
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

/// Who asks this node, by what it signed.
fn asker(
    membership: &Membership,
    request: RequestDigest,
    access: Option<&ReceiptAccess>,
    now_ms: u64,
) -> Result<Address, Failure> {
    let unauthorised = |detail: String| Failure::new(FailureKind::Unauthorised, detail);
    let Some(access) = access else {
        return Err(unauthorised(
            "receipts are for the callers of the request: one of them signs ReadReceipt(node, request, expiresAt) in the network's \
             EIP-712 domain, for at most ten minutes (countersign receipt get --caller-key)"
                .into(),
        ));
    };
    let Some(node) = membership.committee.address(membership.me) else {
        return Err(Failure::new(FailureKind::Internal, "this node is no member of its own network"));
    };
    access.asker(membership.network, node, request, now_ms).map_err(|error| unauthorised(error.to_string()))
}

#[cfg(test)]
mod tests {
    use countersign_types::{Bytes, CallerSignature, EngineId, Genesis, NodeKey};

    use super::*;

    fn key(byte: u8) -> NodeKey {
        NodeKey::from_bytes([byte; 32]).expect("a scalar")
    }

    /// The network of three, as one of its members sees it.
    fn memberships() -> Vec<Membership> {
        let members = (1..=3).map(|byte| key(byte).public_key()).collect();
        let genesis = Genesis { nonce: [1; 32].into(), members, threshold: 2, chains: Vec::new() };
        let (network, committee) = (genesis.network_id(), genesis.committee().expect("legal"));
        let seen_by = |me| Membership {
            network,
            epoch: 1,
            committee: committee.clone(),
            me,
            engine: EngineId::from([1; 32]),
        };
        committee.identifiers().map(seen_by).collect()
    }

    #[test]
    fn a_word_for_one_node_is_refused_by_another() {
        let (caller, request) = (key(9), RequestDigest::from([2; 32]));
        let nodes = memberships();
        let addresses = nodes.iter().map(|node| node.committee.address(node.me).expect("a member"));
        for (given, address) in addresses.enumerate() {
            let digest = ReceiptAccess::digest(nodes[0].network, address, request, 1_000);
            let signature = CallerSignature(Bytes::copy_from_slice(caller.sign(digest).as_bytes()));
            let access = ReceiptAccess { node: address, expires_at: 1_000, signature };
            for (asked, node) in nodes.iter().enumerate() {
                let asker = asker(node, request, Some(&access), 1);
                if asked == given {
                    assert_eq!(asker.ok(), Some(caller.public_key().address()));
                } else {
                    let failure = asker.expect_err("it is for another node");
                    assert_eq!(failure.kind, FailureKind::Unauthorised);
                    assert!(
                        failure.detail.contains(&format!("signed for node {address}")),
                        "{}",
                        failure.detail
                    );
                }
            }
        }
    }

    #[test]
    fn whoever_signs_nothing_is_told_what_to_sign() {
        let node = memberships().remove(0);
        let failure = asker(&node, RequestDigest::from([2; 32]), None, 1).expect_err("nobody signed");
        assert_eq!(failure.kind, FailureKind::Unauthorised);
        assert!(failure.detail.contains("ReadReceipt(node"), "{}", failure.detail);
    }
}
