//! Both rounds against the vectors of RFC 9591, appendices E.1 and E.5.

use countersign_types::{PublicKey, RootKey, Signature};
use frost_core::{
    VerifyingKey,
    keys::{KeyPackage, SigningShare, VerifyingShare},
};
use frost_ed25519::Ed25519Sha512;
use frost_secp256k1::Secp256K1Sha256;

use super::*;
use crate::{
    derive::{DerivedPublic, PublicChild},
    root::Root,
};

#[derive(Deserialize)]
struct Vector {
    threshold: u16,
    public_key: PublicKey,
    message: Bytes,
    shares: Vec<Bytes>,
    signers: Vec<Signer>,
    signature: Signature,
}

#[derive(Deserialize)]
struct Signer {
    identifier: Identifier,
    hiding_nonce: Bytes,
    binding_nonce: Bytes,
    commitments: Commitments,
    signature_share: SignatureShare,
}

impl Vector {
    fn root<C: Suite>(&self) -> Root<C> {
        let image = |share: &Bytes| VerifyingShare::<C>::from(secret(share)).serialize().expect("not zero");
        let key = RootKey {
            scheme: C::SCHEME,
            public_key: self.public_key.clone(),
            verifying_shares: self.shares.iter().map(|share| image(share).into()).collect(),
        };
        Root::parse(&key, self.threshold).expect("a sharing")
    }

    fn share<C: Suite>(&self, me: Identifier) -> DerivedShare {
        let secret = secret(&self.shares[usize::from(me.get()) - 1]);
        let key = VerifyingKey::deserialize(&self.public_key.0).expect("a point");
        let id = frost_identifier::<C>(me);
        let package = KeyPackage::new(id, secret, secret.into(), key, self.threshold);
        let public_key = self.public_key.clone();
        DerivedShare(C::wrap(ShareOfChild { me, package, size: 3, public_key }))
    }
}

impl Signer {
    fn nonces<C: Suite>(&self) -> Nonces<C> {
        let nonce = |bytes: &Bytes| round1::Nonce::deserialize(bytes).expect("a scalar");
        let nonces =
            round1::SigningNonces::from_nonces(nonce(&self.hiding_nonce), nonce(&self.binding_nonce));
        let commitments = Commitments::encode(nonces.commitments());
        Nonces { nonces, commitments }
    }
}

fn secret<C: Suite>(bytes: &[u8]) -> SigningShare<C> {
    SigningShare::deserialize(bytes).expect("a scalar")
}

#[test]
fn both_rounds_give_the_vectors_of_the_rfc() {
    check::<Secp256K1Sha256>(include_str!("../../vectors/rfc9591-secp256k1.json"));
    check::<Ed25519Sha512>(include_str!("../../vectors/rfc9591-ed25519.json"));
}

fn check<C: Suite>(vector: &str) {
    let vector: Vector = serde_json::from_str(vector).expect("a vector");
    let commitments = vector.signers.iter().map(|s| (s.identifier, s.commitments.clone())).collect();
    let package = SigningPackage::new(commitments, vector.message.clone());
    let mut shares = BTreeMap::new();
    for signer in &vector.signers {
        let nonces = signer.nonces::<C>();
        assert_eq!(nonces.commitments, signer.commitments);
        let share = nonces.sign(&package, &vector.share::<C>(signer.identifier)).expect("a package");
        assert_eq!(share, signer.signature_share);
        shares.insert(signer.identifier, share);
    }
    let public = DerivedPublic(C::wrap(PublicChild::<C>::underived(vector.root())));
    assert_eq!(public.aggregate(&package, &shares), Ok(vector.signature));
}
