//! Functions that read, on the linker: one read for a call, or a list of them at once.

use countersign_types::read::{Read, ReadValue};
use wasmtime::{
    StoreContextMut,
    component::{ComponentNamedList, Lift, LinkerInstance, Lower},
};

use super::reads::{self, Asked};
use crate::{
    abort::Abort,
    bindings::countersign::action::types::Error,
    run::{RunState, Sort},
};

/// Defines a function that makes one read: how many bytes its arguments carry, which read they ask for,
/// and what the value is to the guest.
pub(super) fn define_one<P, R>(
    linker: &mut LinkerInstance<'_, RunState>,
    name: &str,
    sort: Sort,
    bytes: fn(&P) -> usize,
    ask: impl Fn(P) -> Result<Read, Error> + Copy + Send + Sync + 'static,
    answer: impl Fn(ReadValue) -> Option<R> + Copy + Send + Sync + 'static,
) -> wasmtime::Result<()>
where
    P: ComponentNamedList + Lift + Send + 'static,
    R: Lower + Send + Sync + 'static,
    (Result<R, Error>,): ComponentNamedList + Lower,
{
    linker.func_wrap_async(name, move |mut store, arguments: P| {
        Box::new(async move {
            let asked = Asked { sort, reads: 1, bytes: bytes(&arguments) };
            let parse = || Ok(vec![ask(arguments)?]);
            match reads::read(&mut store, asked, parse).await? {
                Ok(values) => {
                    let result = values.into_iter().next().and_then(answer);
                    Ok((Ok(known(&mut store, result)?),))
                }
                Err(error) => Ok((Err(error),)),
            }
        })
    })
}

/// The same for a list of arguments, each a read of its own.
pub(super) fn define_all<P, R>(
    linker: &mut LinkerInstance<'_, RunState>,
    name: &str,
    sort: Sort,
    bytes: fn(&P) -> usize,
    ask: impl Fn(P) -> Result<Read, Error> + Copy + Send + Sync + 'static,
    answer: impl Fn(ReadValue) -> Option<R> + Copy + Send + Sync + 'static,
) -> wasmtime::Result<()>
where
    P: Lift + Send + 'static,
    R: Lower + Send + Sync + 'static,
    (Vec<P>,): ComponentNamedList + Lift,
    (Result<Vec<R>, Error>,): ComponentNamedList + Lower,
{
    linker.func_wrap_async(name, move |mut store, (list,): (Vec<P>,)| {
        Box::new(async move {
            let asked = Asked { sort, reads: list.len(), bytes: list.iter().map(bytes).sum() };
            let parse = || list.into_iter().map(ask).collect();
            match reads::read(&mut store, asked, parse).await? {
                Ok(values) => {
                    let results = values.into_iter().map(answer).collect::<Option<Vec<R>>>();
                    Ok((Ok(known(&mut store, results)?),))
                }
                Err(error) => Ok((Err(error),)),
            }
        })
    })
}

/// Values are held against their reads when they come in, so one of another sort is a fault of the host.
fn known<T>(store: &mut StoreContextMut<'_, RunState>, result: Option<T>) -> wasmtime::Result<T> {
    result
        .ok_or_else(|| store.data_mut().halt(Abort::host("a read's value is of another sort than the read")))
}
