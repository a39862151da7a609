//! How a read is admitted, paid for, and answered: live from the reader, replayed from the agreed record.

use std::sync::Arc;

use countersign_types::{
    Pin,
    evm::{EvmRead, EvmValue, MAX_VALUE_BYTES},
};
use futures::future::try_join_all;
use wasmtime::StoreContextMut;

use crate::{
    abort::Abort,
    bindings::countersign::action::types::Error,
    fuel::{COSTS, charge},
    read::{Read, ReadFailure, ReadValue, Reader, RecordedRead, belongs},
    run::{RunState, Source},
};

type Store<'a> = StoreContextMut<'a, RunState>;

/// Makes the reads that were asked for, in their order: all, or none and an error for the guest. Local
/// failures and disagreement end the run.
pub(super) async fn read(
    store: &mut Store<'_>,
    argument_bytes: usize,
    asked: Result<Vec<EvmRead>, Error>,
) -> wasmtime::Result<Result<Vec<EvmValue>, Error>> {
    charge(store, COSTS.call(argument_bytes)).await?;
    let reads = match asked {
        Ok(reads) => reads,
        Err(error) => return Ok(Err(error)),
    };
    let admitted = match admit(store.data_mut(), reads) {
        Ok(admitted) => admitted,
        Err(Refusal::Guest(error)) => return Ok(Err(error)),
        Err(Refusal::Run(abort)) => return Err(store.data_mut().halt(abort)),
    };
    charge(store, COSTS.reads(admitted.len())).await?;
    let answered = match &mut store.data_mut().source {
        Source::Live { reader, recorded } => {
            let (reader, first) = (reader.clone(), recorded.len());
            live(reader, first, admitted).await
        }
        Source::Replay { agreed, next } => replay(agreed, *next, admitted),
    };
    match answered {
        Ok(reads) => hand_over(store, reads).await,
        Err(abort) => Err(store.data_mut().halt(abort)),
    }
}

/// Why reads are not made: an error for the guest, the same everywhere, or the run's end.
enum Refusal {
    Guest(Error),
    Run(Abort),
}

/// Checks reads against manifest, budget and pins, and takes them off the budget.
fn admit(state: &mut RunState, reads: Vec<EvmRead>) -> Result<Vec<(Pin, EvmRead)>, Refusal> {
    let admitted =
        reads.into_iter().map(|read| Ok((pinned(state, &read)?, read))).collect::<Result<Vec<_>, _>>()?;
    match state.chain_reads_left.checked_sub(admitted.len()) {
        Some(left) => {
            state.chain_reads_left = left;
            Ok(admitted)
        }
        None => Err(Refusal::Guest(Error::Limit(format!(
            "{} chain reads are left, {} were asked for",
            state.chain_reads_left,
            admitted.len()
        )))),
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
    first: usize,
    reads: Vec<(Pin, EvmRead)>,
) -> Result<Vec<RecordedRead>, Abort> {
    let answers = reads.into_iter().enumerate().map(|(index, (pin, read))| {
        let reader = &reader;
        async move {
            let failed = |failure| Abort::Read { position: first + index, failure };
            let value = reader.evm(&pin, &read).await.map_err(failed)?;
            if !belongs(&read, &value) {
                return Err(failed(ReadFailure::new("the reader answered another question")));
            }
            Ok(RecordedRead::new(Read::Evm(read), ReadValue::Evm(value)))
        }
    });
    try_join_all(answers).await
}

/// Takes the next agreed reads, which must be these.
fn replay(
    agreed: &[RecordedRead],
    first: usize,
    reads: Vec<(Pin, EvmRead)>,
) -> Result<Vec<RecordedRead>, Abort> {
    let matching = |(index, (_, read)): (usize, (Pin, EvmRead))| {
        let position = first + index;
        let agreed = agreed.get(position).ok_or(Abort::NotAgreed { position })?;
        let ReadValue::Evm(value) = &agreed.value;
        if agreed.entry.read() != read.id() || !belongs(&read, value) {
            return Err(Abort::Diverged { position });
        }
        Ok(agreed.clone())
    };
    reads.into_iter().enumerate().map(matching).collect()
}

/// Enters the reads into the record, and gives the guest what is not too large.
async fn hand_over(
    store: &mut Store<'_>,
    reads: Vec<RecordedRead>,
) -> wasmtime::Result<Result<Vec<EvmValue>, Error>> {
    let largest = reads.iter().map(RecordedRead::value_len).max().unwrap_or(0);
    let carried: usize = reads.iter().map(RecordedRead::value_len).sum();
    let values =
        reads.iter().map(|RecordedRead { value: ReadValue::Evm(value), .. }| value.clone()).collect();
    match &mut store.data_mut().source {
        Source::Live { recorded, .. } => recorded.extend(reads),
        Source::Replay { next, .. } => *next += reads.len(),
    }
    if largest > MAX_VALUE_BYTES {
        let text = format!("a value has at most {MAX_VALUE_BYTES} bytes, got {largest}");
        return Ok(Err(Error::Limit(text)));
    }
    charge(store, COSTS.carry(carried)).await?;
    Ok(Ok(values))
}
