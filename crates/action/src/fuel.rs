//! What host calls cost, in wasmtime's fuel: about 16,000 units are a microsecond of work.

use wasmtime::{AsContextMut, StoreContextMut};

use crate::{
    abort::Abort,
    run::{RunState, Sort},
};

/// Fuel that a run may use before it lets other tasks run: about 0.1 ms.
pub(crate) const YIELD_INTERVAL: u64 = 2_000_000;

/// The costs, as `action.wit` documents them. They are part of the engine's id.
#[derive(Debug)]
pub(crate) struct Costs {
    /// Every call.
    pub(crate) call: u64,
    /// Every byte that a call carries in or out.
    pub(crate) byte: u64,
    /// A read of chain state.
    pub(crate) chain_read: u64,
    /// A read over HTTP.
    pub(crate) http_read: u64,
    /// A byte that is hashed.
    pub(crate) hashed_byte: u64,
    /// A secp256k1 signature, recovered or verified.
    pub(crate) secp256k1: u64,
    /// A P-256 signature.
    pub(crate) p256: u64,
    /// An Ed25519 signature.
    pub(crate) ed25519: u64,
    /// EIP-712 typed data.
    pub(crate) typed_data: u64,
    /// A byte of EIP-712 typed data.
    pub(crate) typed_data_byte: u64,
}

/// The costs in force.
pub(crate) const COSTS: Costs = Costs {
    call: 5_000,
    byte: 4,
    chain_read: 50_000,
    http_read: 100_000,
    hashed_byte: 40,
    secp256k1: 3_000_000,
    p256: 6_000_000,
    ed25519: 2_000_000,
    typed_data: 200_000,
    typed_data_byte: 2_000,
};

impl Costs {
    /// A call that carries so many bytes.
    pub(crate) fn call(&self, bytes: usize) -> u64 {
        self.call.saturating_add(times(self.byte, bytes))
    }

    /// More bytes of a call that has been paid for.
    pub(crate) fn carry(&self, bytes: usize) -> u64 {
        times(self.byte, bytes)
    }

    /// So many reads of a sort.
    pub(crate) fn reads(&self, sort: Sort, count: usize) -> u64 {
        let read = match sort {
            Sort::Chain => self.chain_read,
            Sort::Http => self.http_read,
        };
        times(read, count)
    }

    /// So many bytes hashed.
    pub(crate) fn hash(&self, bytes: usize) -> u64 {
        times(self.hashed_byte, bytes)
    }

    /// Typed data of so many bytes.
    pub(crate) fn typed_data(&self, bytes: usize) -> u64 {
        self.typed_data.saturating_add(times(self.typed_data_byte, bytes))
    }
}

fn times(cost: u64, count: usize) -> u64 {
    cost.saturating_mul(u64::try_from(count).unwrap_or(u64::MAX))
}

/// Takes fuel from a run, before the work that it is for; ends the run where too little is left.
pub(crate) async fn charge(store: &mut StoreContextMut<'_, RunState>, cost: u64) -> wasmtime::Result<()> {
    let left = store.get_fuel()?;
    let Some(rest) = left.checked_sub(cost) else {
        store.set_fuel(0)?;
        let limit = store.data().limits.fuel;
        return Err(store.data_mut().halt(Abort::Fuel { limit }));
    };
    store.set_fuel(rest)?;
    // Setting the fuel starts a new interval in wasmtime: a guest that keeps calling the host would never
    // yield of itself.
    let mut store = store.as_context_mut();
    let state = store.data_mut();
    if state.fuel_at_yield.saturating_sub(rest) >= YIELD_INTERVAL {
        state.fuel_at_yield = rest;
        tokio::task::yield_now().await;
    }
    Ok(())
}
