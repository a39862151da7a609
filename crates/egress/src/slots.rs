//! How many reads there are at once, in all and of each host.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::Fault;

/// The most reads at once. Each holds at most its body twice (128 KiB compressed, 128 KiB decompressed), what the
/// connection buffers of it, and the response's headers.
pub const MAX_READS: usize = 256;
/// The most reads of one host at once: a host that is slow leaves room for others, and is not flooded. Half of the
/// runs that a node has at once by default, so that one slow host does not hold them all.
pub const MAX_READS_PER_HOST: usize = 16;

/// Places for reads. None waits for one: whoever finds none free is told at once.
#[derive(Debug)]
pub(crate) struct Slots {
    reads: Semaphore,
    hosts: Mutex<BTreeMap<String, usize>>,
}

/// A place at a host; dropping it frees the place.
#[derive(Debug)]
pub(crate) struct HostSlot<'a> {
    slots: &'a Slots,
    host: String,
}

impl Slots {
    pub(crate) fn new() -> Self {
        Self { reads: Semaphore::new(MAX_READS), hosts: Mutex::default() }
    }

    /// A place for a read, redirects included.
    pub(crate) fn read(&self) -> Result<SemaphorePermit<'_>, Fault> {
        self.reads.try_acquire().map_err(|_| Fault::Busy { limit: MAX_READS })
    }

    /// A place for a hop.
    pub(crate) fn host(&self, host: &str) -> Result<HostSlot<'_>, Fault> {
        let mut hosts = self.hosts();
        let taken = hosts.entry(host.into()).or_default();
        if *taken == MAX_READS_PER_HOST {
            return Err(Fault::HostBusy { host: host.into(), limit: MAX_READS_PER_HOST });
        }
        *taken += 1;
        Ok(HostSlot { slots: self, host: host.into() })
    }

    fn hosts(&self) -> MutexGuard<'_, BTreeMap<String, usize>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for HostSlot<'_> {
    fn drop(&mut self) {
        let mut hosts = self.slots.hosts();
        if let Some(taken) = hosts.get_mut(&self.host) {
            *taken -= 1;
            if *taken == 0 {
                hosts.remove(&self.host);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_come_back() {
        let slots = Slots::new();
        let reads: Vec<_> = (0..MAX_READS).map(|_| slots.read().expect("a place")).collect();
        assert_eq!(slots.read().map(drop), Err(Fault::Busy { limit: MAX_READS }));
        drop(reads);
        assert!(slots.read().is_ok());
    }

    #[test]
    fn one_host_leaves_room_for_others_and_is_forgotten() {
        let slots = Slots::new();
        let taken: Vec<_> = (0..MAX_READS_PER_HOST).map(|_| slots.host("a.test").expect("a place")).collect();
        let busy = Fault::HostBusy { host: "a.test".into(), limit: MAX_READS_PER_HOST };
        assert_eq!(slots.host("a.test").map(drop), Err(busy));
        assert!(slots.host("b.test").is_ok());
        drop(taken);
        assert!(slots.host("a.test").is_ok());
        assert!(slots.hosts().is_empty());
    }
}
