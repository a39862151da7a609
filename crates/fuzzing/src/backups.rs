//! Backups of the world's nodes, and what is made of their documents.

use std::collections::BTreeMap;

use countersign_backup::{Backup, Boot, Ceremony, Content};
use countersign_types::{
    Activation, AttemptTerms, B256, Bytes, Genesis, Identifier, RootKeys, Scheme, activate,
};
use zeroize::Zeroizing;

use crate::world::{NOW, world};

/// Keys that were made first, and what a later version added.
pub const TWO_CEREMONIES: [&[Scheme]; 2] = [&[Scheme::SchnorrSecp256k1, Scheme::Ed25519], &[Scheme::Bip340]];

/// What the member in this place, from 0, would back up, in the network with this nonce, whose keys are of these
/// ceremonies.
pub fn content(place: usize, nonce: u8, ceremonies: &[&[Scheme]]) -> Content {
    let (members, committee) = (world().members(), world().committee());
    let me = members[place];
    let genesis = Genesis {
        nonce: B256::repeat_byte(nonce),
        members: committee.members().to_vec(),
        threshold: committee.threshold(),
        chains: vec![1],
    };
    let network = genesis.network_id();
    let (mut done, mut own) = (Vec::new(), Vec::new());
    for (number, schemes) in (1..).zip(ceremonies) {
        let starter = members[0];
        let terms =
            AttemptTerms { epoch: 1, schemes: schemes.to_vec(), number, starter, entropy: B256::ZERO };
        let roots: Vec<_> = schemes.iter().map(|scheme| world().root(*scheme).root_key()).collect();
        let attempt = terms.id(network);
        let activation = |id: &Identifier| activate(&roots, network, 1, attempt, world().identity(*id));
        let signatures = members.iter().map(activation).collect();
        done.push(Activation { roots, attempt, signatures });
        let record = |scheme: &Scheme| Zeroizing::new(world().share_record(*scheme, me).to_vec());
        let shares = schemes.iter().map(record).collect();
        own.push(Ceremony { terms, confirmations: Some(Bytes::from_static(&[0])), shares });
    }
    let peers = committee.members().iter().filter(|member| committee.identifier(member) != Some(me));
    let boot = |generation: u64| Boot { generation, id: [9; 16] };
    Content {
        genesis,
        taken_at_ms: NOW,
        time_ms: NOW,
        identity: countersign_types::NodeKey::from_bytes(*world().identity(me).to_bytes()).expect("a scalar"),
        boots: (1..=3).map(boot).collect(),
        peers: peers.map(|member| (*member, boot(5))).collect::<BTreeMap<_, _>>(),
        root_keys: RootKeys { network, epoch: 1, ceremonies: done },
        ceremonies: own,
        config: "data = 'data'\ngenesis = 'genesis.json'\n".into(),
    }
}

/// The first member's backup.
pub fn backup(ceremonies: &[&[Scheme]]) -> Backup {
    Backup::new(content(0, 3, ceremonies)).expect("all of one member")
}

/// A document from a file: what is read is written and read again as the same, and its keys are those of a member,
/// because nobody else has them.
pub(crate) fn backups(input: &[u8]) -> bool {
    let Ok(backup) = Backup::decode(input) else { return false };
    let again = backup.encode();
    let read = Backup::decode(&again).expect("what was read can be written");
    assert_eq!(*read.encode(), *again);
    let node = backup.node();
    let me = world().members().iter().find(|id| world().identity(**id).public_key() == node);
    let me = *me.expect("nobody else has root keys that all members activated");
    for (done, own) in backup.root_keys.ceremonies.iter().zip(&backup.ceremonies) {
        for (scheme, share) in done.schemes().zip(&own.shares) {
            assert_eq!(share.as_slice(), world().share_record(scheme, me));
        }
    }
    true
}
