//! What clients take for a while: so much there is, and one address has a part of it at most.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{extract::FromRequestParts, http::request::Parts};
use countersign_types::failure::FailureKind;

use crate::problem::Failed;

/// The address that a call comes from, as it is counted; none where nobody tells, so that only the whole is bounded.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Asker(pub(crate) Option<IpAddr>);

impl<S: Send + Sync> FromRequestParts<S> for Asker {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().copied().unwrap_or_default())
    }
}

/// Places, or bytes, that calls take.
pub(crate) struct Places {
    /// What happens on them, as "calls are answered".
    what: &'static str,
    most: usize,
    /// The most that one address has.
    of_address: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    of_address: BTreeMap<IpAddr, usize>,
}

impl Places {
    pub(crate) fn new(what: &'static str, most: usize, of_address: usize) -> Arc<Self> {
        Arc::new(Self { what, most, of_address, taken: Mutex::default() })
    }

    /// Takes one.
    pub(crate) fn take(self: &Arc<Self>, asker: Asker) -> Result<Place, Failed> {
        let mut place = self.none(asker);
        place.grow(1)?;
        Ok(place)
    }

    /// Takes so many, or the whole part of an address where that is fewer: nothing is too large to come by itself.
    pub(crate) fn take_many(self: &Arc<Self>, asker: Asker, count: usize) -> Result<Place, Failed> {
        let mut place = self.none(asker);
        place.grow(count.min(self.of_address))?;
        Ok(place)
    }

    /// Takes none yet.
    pub(crate) fn none(self: &Arc<Self>, asker: Asker) -> Place {
        Place { places: Arc::clone(self), asker, count: 0 }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, Asker(asker): Asker, count: usize) -> Result<(), Failed> {
        let mut taken = self.taken();
        let all = taken.all.saturating_add(count);
        if all > self.most {
            return Err(self.full(self.most, ""));
        }
        if let Some(address) = asker {
            let own = taken.of_address.get(&address).map_or(count, |own| own.saturating_add(count));
            if own > self.of_address {
                return Err(self.full(self.of_address, ", for one address"));
            }
            taken.of_address.insert(address, own);
        }
        taken.all = all;
        Ok(())
    }

    fn give_back(&self, Asker(asker): Asker, count: usize) {
        let mut taken = self.taken();
        taken.all -= count;
        let Some(address) = asker else { return };
        if let Some(own) = taken.of_address.get_mut(&address) {
            *own -= count;
            if *own == 0 {
                taken.of_address.remove(&address);
            }
        }
    }

    fn full(&self, most: usize, whose: &str) -> Failed {
        Failed::new(FailureKind::Busy, format!("at most {most} {} at once{whose}", self.what))
    }
}

/// What one call has taken; free again when this is dropped.
pub(crate) struct Place {
    places: Arc<Places>,
    asker: Asker,
    count: usize,
}

impl Place {
    /// Takes more; where there is no more, what is taken stays.
    pub(crate) fn grow(&mut self, by: usize) -> Result<(), Failed> {
        self.places.add(self.asker, by)?;
        self.count += by;
        Ok(())
    }

    /// Keeps so many at most, and gives back the rest.
    pub(crate) fn keep(&mut self, most: usize) {
        let spare = self.count.saturating_sub(most);
        self.places.give_back(self.asker, spare);
        self.count -= spare;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.give_back(self.asker, self.count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY: Asker = Asker(None);

    fn from(last: u8) -> Asker {
        Asker(Some(IpAddr::from([192, 0, 2, last])))
    }

    #[test]
    fn one_address_has_a_part_and_others_have_theirs() {
        let places = Places::new("things happen", 5, 2);
        let mut held: Vec<Place> = (0..2).map(|_| places.take(from(1)).expect("its part")).collect();
        let failed = places.take(from(1)).err().expect("more than its part");
        assert_eq!(failed.0.kind, FailureKind::Busy);
        assert_eq!(failed.0.detail, "at most 2 things happen at once, for one address");
        held.extend([2, 2, 3].map(|other| places.take(from(other)).expect("another's part")));
        let failed = places.take(from(4)).err().expect("no more");
        assert_eq!(failed.0.detail, "at most 5 things happen at once");

        held.remove(0);
        held.push(places.take(from(1)).expect("free again"));
        drop(held);
        let taken = places.taken();
        assert_eq!((taken.all, taken.of_address.len()), (0, 0), "what has ended is remembered");
    }

    #[test]
    fn bytes_are_taken_as_they_come_and_all_given_back() {
        let places = Places::new("bytes wait", 100, 60);
        let mut place = places.none(from(1));
        place.grow(50).expect("its part");
        place.grow(20).expect_err("more than its part");
        place.grow(10).expect("what was refused is not counted");
        places.none(from(2)).grow(41).expect_err("more than there is");
        let mut other = places.none(from(2));
        other.grow(40).expect("the rest");
        drop((place, other));
        let taken = places.taken();
        assert_eq!((taken.all, taken.of_address.len()), (0, 0));
    }

    #[test]
    fn what_turns_out_to_be_smaller_keeps_as_much_as_it_is() {
        let places = Places::new("bytes are sent", 100, 50);
        let mut place = places.take_many(from(1), 40).expect("its part");
        places.take_many(from(1), 40).err().expect("more than its part");
        place.keep(60);
        assert_eq!(places.taken().all, 40, "it takes no more");
        place.keep(10);
        let other = places.take_many(from(1), 40).expect("given back");
        assert_eq!(places.taken().all, 50);
        drop((place, other));
        let whole = places.take_many(from(1), 1_000).expect("an address's whole part holds anything");
        let nothing = places.take_many(from(1), 0).expect("nothing is always there");
        assert_eq!(places.taken().all, 50);
        drop((whole, nothing));
        let taken = places.taken();
        assert_eq!((taken.all, taken.of_address.len()), (0, 0));
    }

    #[test]
    fn where_nobody_tells_who_asks_the_whole_is_bounded() {
        let places = Places::new("things happen", 2, 1);
        let held = [0, 1].map(|_| places.take(NOBODY).expect("a place"));
        assert!(places.take(NOBODY).is_err());
        drop(held);
        assert!(places.take(NOBODY).is_ok());
    }
}
