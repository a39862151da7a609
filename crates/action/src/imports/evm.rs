//! Reads of chain state, as the guest sees them: arguments in, values out.

use countersign_types::evm::{EvmRead, EvmValue};
use wasmtime::component::{ComponentNamedList, Lift, LinkerInstance, Lower};

use super::{arguments, reads, results};
use crate::{
    abort::Abort,
    bindings::countersign::action::{evm as wit, types::Error},
    run::RunState,
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
    define_calls(linker)?;
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
    linker.func_wrap_async(name, move |mut store, arguments: P| {
        Box::new(async move {
            let bytes = bytes(&arguments);
            let asked = ask(arguments).map(|read| vec![read]);
            let values = match reads::read(&mut store, bytes, asked).await? {
                Ok(values) => values,
                Err(error) => return Ok((Err(error),)),
            };
            match values.into_iter().next().and_then(answer) {
                Some(result) => Ok((Ok(result),)),
                None => Err(store.data_mut().halt(wrong_value())),
            }
        })
    })
}

fn define_calls(linker: &mut LinkerInstance<'_, RunState>) -> wasmtime::Result<()> {
    linker.func_wrap_async("eth-call-all", |mut store, (calls,): (Vec<wit::Call>,)| {
        Box::new(async move {
            let bytes = calls.iter().map(arguments::call_len).sum();
            let asked = calls.into_iter().map(arguments::call).collect();
            let values = match reads::read(&mut store, bytes, asked).await? {
                Ok(values) => values,
                Err(error) => return Ok((Err(error),)),
            };
            match values.into_iter().map(results::call).collect::<Option<Vec<_>>>() {
                Some(results) => Ok((Ok(results),)),
                None => Err(store.data_mut().halt(wrong_value())),
            }
        })
    })
}

/// Values are held against their reads when they come in, so this is a fault of the host.
fn wrong_value() -> Abort {
    Abort::host("a read's value is of another sort than the read")
}
