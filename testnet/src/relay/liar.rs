//! A member that signs nothing: its shares are false, and it vouches for them.

use countersign_session::message::{ToCoordinator, shares_hash};
use countersign_threshold::SignatureShare;
use countersign_types::{Bytes, NetworkId, NodeKey};
use countersign_wire::SigningFrame;

use super::{Changes, Frame};

/// Every share of this member is another one, under a vote that it signs: only whoever checks the shares themselves finds out.
pub fn false_shares(member: NodeKey, network: NetworkId) -> Changes {
    let key = member.public_key();
    Box::new(move |frame, passage| {
        let Frame::Signing(SigningFrame::ToCoordinator(ToCoordinator::Signed(signed))) = frame else {
            return None;
        };
        if passage.member != key {
            return None;
        }
        let mut signed = signed.clone();
        signed.shares = signed.shares.iter().map(another).collect::<Option<_>>()?;
        let mut vote = signed.vote.vote;
        vote.shares = shares_hash(&signed.shares);
        signed.vote = vote.sign(network, &member);
        Some(Frame::Signing(SigningFrame::ToCoordinator(ToCoordinator::Signed(signed))))
    })
}

/// A share that parses, and is not this one.
fn another(share: &SignatureShare) -> Option<SignatureShare> {
    let mut bytes = share.as_bytes().to_vec();
    // in the middle, so that it stays below the group's order in whichever way it is written
    let middle = bytes.len() / 2;
    *bytes.get_mut(middle)? ^= 1;
    SignatureShare::try_from(Bytes::from(bytes)).ok()
}
