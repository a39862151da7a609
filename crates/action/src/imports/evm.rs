//! Reads of chain state, as the guest sees them: arguments in, values out.

use countersign_types::{
    evm::{EvmRead, EvmValue},
    read::{Read, ReadValue},
};
use wasmtime::component::{ComponentNamedList, Lift, LinkerInstance, Lower};

use super::{
    arguments,
    define::{define_all, define_one},
    results,
};
use crate::{
    bindings::countersign::action::{evm as wit, types::Error},
    run::{RunState, Sort},
};

pub(super) const NAME: &str = "countersign:action/evm@0.1.0";

pub(super) fn define(linker: &mut LinkerInstance<'_, RunState>) -> wasmtime::Result<()> {
    define_read(
        linker,
        "eth-call",
        |(call,): &(wit::Call,)| arguments::call_len(call),
        |(call,)| arguments::call(call),
        results::call,
    )?;
    define_all(
        linker,
        "eth-call-all",
        Sort::Chain,
        arguments::call_len,
        |call| arguments::call(call).map(Read::Evm),
        |value| results::call(of_chain(value)?),
    )?;
    define_read(
        linker,
        "balance",
        |(_, account): &(u64, Vec<u8>)| account.len(),
        |(chain_id, account)| Ok(EvmRead::Balance { chain_id, address: arguments::address(&account)? }),
        results::balance,
    )?;
    define_read(
        linker,
        "nonce",
        |(_, account): &(u64, Vec<u8>)| account.len(),
        |(chain_id, account)| Ok(EvmRead::Nonce { chain_id, address: arguments::address(&account)? }),
        results::nonce,
    )?;
    define_read(
        linker,
        "code-hash",
        |(_, account): &(u64, Vec<u8>)| account.len(),
        |(chain_id, account)| Ok(EvmRead::CodeHash { chain_id, address: arguments::address(&account)? }),
        results::code_hash,
    )?;
    define_read(
        linker,
        "storage-at",
        |(_, account, slot): &(u64, Vec<u8>, Vec<u8>)| account.len() + slot.len(),
        |(chain_id, account, slot)| {
            let address = arguments::address(&account)?;
            Ok(EvmRead::Storage { chain_id, address, slot: arguments::word("slot", &slot)? })
        },
        results::storage,
    )?;
    define_read(
        linker,
        "logs",
        |(filter,): &(wit::Filter,)| arguments::filter_len(filter),
        |(filter,)| arguments::filter(filter),
        results::logs,
    )?;
    define_read(
        linker,
        "transaction-receipt",
        |(_, hash): &(u64, Vec<u8>)| hash.len(),
        |(chain_id, hash)| {
            Ok(EvmRead::Receipt { chain_id, tx_hash: arguments::word("transaction hash", &hash)? })
        },
        results::receipt,
    )
}

/// Defines a function that makes one read: how many bytes its arguments carry, which read they ask for,
/// and what the value is to the guest.
fn define_read<P, R>(
    linker: &mut LinkerInstance<'_, RunState>,
    name: &str,
    bytes: fn(&P) -> usize,
    ask: fn(P) -> Result<EvmRead, Error>,
    answer: fn(EvmValue) -> Option<R>,
) -> wasmtime::Result<()>
where
    P: ComponentNamedList + Lift + Send + 'static,
    R: Lower + Send + Sync + 'static,
    (Result<R, Error>,): ComponentNamedList + Lower,
{
    let ask = move |arguments| ask(arguments).map(Read::Evm);
    define_one(linker, name, Sort::Chain, bytes, ask, move |value| answer(of_chain(value)?))
}

fn of_chain(value: ReadValue) -> Option<EvmValue> {
    match value {
        ReadValue::Evm(value) => Some(value),
        ReadValue::Http(_) => None,
    }
}
