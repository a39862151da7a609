//! One secp256k1 key: a member's [`NodePublicKey`] and its libp2p identity.

use countersign_types::{NodeKey, NodePublicKey};
use libp2p::{PeerId, identity};

/// The libp2p identity of a node's key. Its PeerId is [`NodePublicKey::peer_id`].
pub fn keypair(key: &NodeKey) -> identity::Keypair {
    let mut bytes = key.to_bytes();
    let secret = identity::secp256k1::SecretKey::try_from_bytes(bytes.as_mut_slice())
        .expect("a node key is a valid secp256k1 scalar");
    identity::secp256k1::Keypair::from(secret).into()
}

/// The PeerId of a member.
pub(crate) fn peer_id(member: &NodePublicKey) -> PeerId {
    let key = identity::secp256k1::PublicKey::try_from_bytes(member.as_bytes())
        .expect("a node's public key is on the curve");
    PeerId::from_public_key(&key.into())
}

/// The member with a PeerId; none where the PeerId is not that of a secp256k1 key.
pub(crate) fn member(peer: &PeerId) -> Option<NodePublicKey> {
    let public = identity::PublicKey::try_decode_protobuf(peer.as_ref().digest()).ok()?;
    let bytes = public.try_into_secp256k1().ok()?.to_bytes();
    let member = NodePublicKey::from_bytes(bytes).ok()?;
    (peer_id(&member) == *peer).then_some(member)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peer_id_of_the_types_crate_is_libp2ps() {
        for byte in 1..50 {
            let key = NodeKey::from_bytes([byte; 32]).expect("a scalar");
            let id = PeerId::from_public_key(&keypair(&key).public());
            assert_eq!(key.public_key().peer_id(), id.to_string());
            assert_eq!(peer_id(&key.public_key()), id);
            assert_eq!(member(&id), Some(key.public_key()));
        }
    }

    #[test]
    fn the_peer_id_of_another_kind_of_key_is_no_member() {
        assert_eq!(member(&PeerId::random()), None);
    }
}
