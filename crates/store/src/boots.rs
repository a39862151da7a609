//! Boots: the random ids of this node's own starts, and the last start of each other member that was accepted.
//!
//! They are how members tell that one of them runs on a database that was put back or copied. An own boot is written with
//! its generation, in the write that opening begins with.

use countersign_types::NodePublicKey;

use crate::{
    BOOT_ID_BYTES, Store, StoreError, StoredBoot,
    layout::{Kind, Place},
    records::decode,
    seal::fill,
};

impl Store {
    /// This start.
    pub fn boot(&self) -> Result<StoredBoot, StoreError> {
        let generation = self.generation()?;
        let missing = || StoreError::corrupt("reading an own boot", "that of this start is gone");
        Ok(StoredBoot { generation, id: self.own_boot(generation)?.ok_or_else(missing)? })
    }

    /// The id of this node's start of a generation; none if there was none.
    pub fn own_boot(&self, generation: u64) -> Result<Option<[u8; BOOT_ID_BYTES]>, StoreError> {
        self.sealed("reading an own boot", Place::OwnBoot { generation })
    }

    /// All of this node's starts, the first one first. Databases of old versions lack the first ones.
    pub fn own_boots(&self) -> Result<Vec<StoredBoot>, StoreError> {
        const OPERATION: &str = "reading the own boots";
        let mut boots = Vec::new();
        self.database().visit(OPERATION, &Kind::OwnBoot.prefix(), None, |place, sealed| {
            if let Place::OwnBoot { generation } = place {
                let plain = self.unseal_bytes(OPERATION, place, sealed)?;
                boots.push(StoredBoot { generation, id: decode(OPERATION, place, &plain)? });
            }
            Ok(true)
        })?;
        Ok(boots)
    }

    /// The last start of a member that was accepted; none before the first, or if that was forgotten.
    pub fn peer_boot(&self, member: &NodePublicKey) -> Result<Option<StoredBoot>, StoreError> {
        Ok(self.sealed::<Option<StoredBoot>>("reading a peer's boot", Place::PeerBoot(*member))?.flatten())
    }

    /// Keeps a start of a member. One that is not later than what is kept changes nothing.
    pub fn put_peer_boot(&self, member: &NodePublicKey, boot: StoredBoot) -> Result<(), StoreError> {
        let mut writer = self.writer()?;
        if self.peer_boot(member)?.is_some_and(|kept| kept.generation >= boot.generation) {
            return Ok(());
        }
        self.write_peer_boot(&mut writer, member, Some(boot))
    }

    /// Forgets the starts of a member, so that its next one is accepted whatever it is. Says what was known.
    pub fn forget_peer_boot(&self, member: &NodePublicKey) -> Result<Option<StoredBoot>, StoreError> {
        let mut writer = self.writer()?;
        let known = self.peer_boot(member)?;
        if known.is_some() {
            self.write_peer_boot(&mut writer, member, None)?;
        }
        Ok(known)
    }

    /// A fresh id for the start of a generation, sealed, and where it belongs.
    pub(crate) fn draw_boot(&self, generation: u64) -> Result<(Place, Vec<u8>), StoreError> {
        let mut id = [0; BOOT_ID_BYTES];
        fill(&mut id)?;
        let place = Place::OwnBoot { generation };
        Ok((place, self.seal(place, &id)?))
    }

    fn write_peer_boot(
        &self,
        writer: &mut crate::store::Writer,
        member: &NodePublicKey,
        boot: Option<StoredBoot>,
    ) -> Result<(), StoreError> {
        let place = Place::PeerBoot(*member);
        let sealed = self.seal(place, &boot)?;
        self.commit(writer, "storing a peer's boot", &[(place, &sealed)], |_| {})
    }
}
