//! How a read is admitted, paid for, and answered: live from the reader, replayed from the agreed record.

use std::sync::Arc;

use countersign_types::{
    Pin,
    evm::{EvmRead, MAX_VALUE_BYTES},
    http::HttpRead,
    read::{Read, ReadValue, RecordedRead, WrongValue},
};
use futures::future::try_join_all;
use wasmtime::StoreContextMut;

use crate::{
    abort::Abort,
    bindings::countersign::action::types::Error,
    fuel::{COSTS, charge},
    reader::{ReadFailure, Reader},
    run::{RunState, Sort, Source},
};

type Store<'a> = StoreContextMut<'a, RunState>;

/// What a call asks for, as far as it is paid for before anything is looked at.
pub(super) struct Asked {
    /// From where.
    pub(super) sort: Sort,
    /// How many reads.
    pub(super) reads: usize,
    /// How many bytes the arguments carry.
    pub(super) bytes: usize,
}

/// Makes the reads that were asked for, in their order: all, or none and an error for the guest. Local
/// failures and disagreement end the run.
pub(super) async fn read(
    store: &mut Store<'_>,
    asked: Asked,
    parse: impl FnOnce() -> Result<Vec<Read>, Error> + Send,
) -> wasmtime::Result<Result<Vec<ReadValue>, Error>> {
    // Parsing takes time too: a storm of malformed arguments is paid for like any other.
    let cost = COSTS.call(asked.bytes).saturating_add(COSTS.reads(asked.sort, asked.reads));
    charge(store, cost).await?;
    let admitted =
        match parse().map_err(Refusal::Guest).and_then(|reads| admit(store.data_mut(), asked.sort, reads)) {
            Ok(admitted) => admitted,
            Err(Refusal::Guest(error)) => return Ok(Err(error)),
            Err(Refusal::Run(abort)) => return Err(store.data_mut().halt(abort)),
        };
    let hosts = store.data().hosts.clone();
    let answered = match &mut store.data_mut().source {
        Source::Live { reader, recorded, .. } => {
            let (reader, first) = (reader.clone(), recorded.len());
            live(reader, &hosts, first, admitted).await
        }
        Source::Replay { agreed, next } => replay(agreed, *next, admitted),
    };
    match answered {
        Ok(reads) => hand_over(store, reads).await,
        Err(abort) => Err(store.data_mut().halt(abort)),
    }
}

/// A read that the manifest allows.
enum Admitted {
    Evm(Pin, EvmRead),
    Http(HttpRead),
}

/// Why reads are not made: an error for the guest, the same everywhere, or the run's end.
enum Refusal {
    Guest(Error),
    Run(Abort),
}

/// Checks reads against manifest, pins and budget, and takes them off the budget.
fn admit(state: &mut RunState, sort: Sort, reads: Vec<Read>) -> Result<Vec<Admitted>, Refusal> {
    let admitted = reads
        .into_iter()
        .map(|read| match read {
            Read::Evm(read) => Ok(Admitted::Evm(pinned(state, &read)?, read)),
            Read::Http(read) => listed(state, read),
        })
        .collect::<Result<Vec<_>, _>>()?;
    let name = match sort {
        Sort::Chain => "chain",
        Sort::Http => "HTTP",
    };
    let limit = |left| {
        let text = format!("{left} {name} reads are left, {} were asked for", admitted.len());
        Refusal::Guest(Error::Limit(text))
    };
    state.budget.take(sort, admitted.len()).map_err(limit)?;
    Ok(admitted)
}

fn listed(state: &RunState, read: HttpRead) -> Result<Admitted, Refusal> {
    if state.hosts.iter().any(|host| host == read.host()) {
        Ok(Admitted::Http(read))
    } else {
        let text = format!("the host {} is not in the manifest", read.host());
        Err(Refusal::Guest(Error::Denied(text)))
    }
}

fn pinned(state: &RunState, read: &EvmRead) -> Result<Pin, Refusal> {
    let chain_id = read.chain_id();
    if !state.chains.contains(&chain_id) {
        let text = format!("chain {chain_id} is not in the manifest");
        return Err(Refusal::Guest(Error::Denied(text)));
    }
    let pin = state.pin(chain_id).ok_or(Refusal::Run(Abort::NoPin { chain_id }))?;
    match read {
        EvmRead::Logs { to_block, .. } if *to_block > pin.number => {
            let text = format!("block {to_block} is above the pinned block {}", pin.number);
            Err(Refusal::Guest(Error::Invalid(text)))
        }
        EvmRead::Logs { .. }
        | EvmRead::Call { .. }
        | EvmRead::Balance { .. }
        | EvmRead::Nonce { .. }
        | EvmRead::CodeHash { .. }
        | EvmRead::Storage { .. }
        | EvmRead::Receipt { .. } => Ok(pin),
    }
}

/// Asks the reader, side by side.
async fn live(
    reader: Arc<dyn Reader>,
    hosts: &[String],
    first: usize,
    reads: Vec<Admitted>,
) -> Result<Vec<RecordedRead>, Abort> {
    let answers = reads.into_iter().enumerate().map(|(index, read)| {
        let reader = &reader;
        async move {
            let failed = |failure| Abort::Read { position: first + index, failure };
            let wrong = |error: WrongValue| failed(error.into());
            match read {
                Admitted::Evm(pin, read) => {
                    let value = reader.evm(&pin, &read).await.map_err(failed)?;
                    RecordedRead::evm(read, value).map_err(wrong)
                }
                Admitted::Http(read) => {
                    let host = read.host().to_owned();
                    let response = reader.http(hosts, &read).await.map_err(failed)?;
                    RecordedRead::http(read, response)
                        .map_err(|error| failed(ReadFailure::from(error).of_host(&host)))
                }
            }
        }
    });
    try_join_all(answers).await
}

/// Takes the next agreed reads, which must be these.
fn replay(agreed: &[RecordedRead], first: usize, reads: Vec<Admitted>) -> Result<Vec<RecordedRead>, Abort> {
    let matching = |(index, read): (usize, Admitted)| {
        let position = first + index;
        let agreed = agreed.get(position).ok_or(Abort::NotAgreed { position })?;
        let same = match (&read, agreed.read()) {
            (Admitted::Evm(_, read), Read::Evm(agreed)) => read == agreed,
            (Admitted::Http(read), Read::Http(agreed)) => read == agreed,
            (Admitted::Evm(..), Read::Http(_)) | (Admitted::Http(_), Read::Evm(_)) => false,
        };
        if same { Ok(agreed.clone()) } else { Err(Abort::Diverged { position }) }
    };
    reads.into_iter().enumerate().map(matching).collect()
}

/// Enters the reads into the record, and gives the guest what is not too large.
async fn hand_over(
    store: &mut Store<'_>,
    reads: Vec<RecordedRead>,
) -> wasmtime::Result<Result<Vec<ReadValue>, Error>> {
    let carried: usize = reads.iter().map(RecordedRead::value_len).sum();
    // Bodies have the bound that their reads name.
    let chain = reads.iter().filter(|read| matches!(read.read(), Read::Evm(_)));
    let largest = chain.map(RecordedRead::value_len).max().unwrap_or(0);
    let values = reads.iter().map(|read| read.value().clone()).collect();
    if let Err(abort) = store.data_mut().source.advance(reads) {
        return Err(store.data_mut().halt(abort));
    }
    if largest > MAX_VALUE_BYTES {
        let text = format!("a value has at most {MAX_VALUE_BYTES} bytes, got {largest}");
        return Ok(Err(Error::Limit(text)));
    }
    charge(store, COSTS.carry(carried)).await?;
    Ok(Ok(values))
}
