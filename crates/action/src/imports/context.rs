//! What every node of the session sees as the same bytes.

use countersign_types::{Caller, Context, Pin};
use wasmtime::component::LinkerInstance;

use crate::{
    bindings::countersign::action::context as wit,
    fuel::{COSTS, charge},
    run::RunState,
};

pub(super) const NAME: &str = "countersign:action/context@0.1.0";

pub(super) fn define(linker: &mut LinkerInstance<'_, RunState>) -> wasmtime::Result<()> {
    linker.func_wrap_async("get", |mut store, (): ()| {
        Box::new(async move {
            let context = store.data().context.clone();
            charge(&mut store, COSTS.call(size(&context))).await?;
            Ok((to_wit(&context),))
        })
    })
}

/// The bytes that are copied, all fixed-size fields together counted as 512.
fn size(context: &Context) -> usize {
    512 + context.config.len() + context.params.len() + 32 * context.callers.len() + 64 * context.pins.len()
}

fn to_wit(context: &Context) -> wit::Request {
    wit::Request {
        request_digest: context.request.as_bytes().to_vec(),
        session_id: context.session.as_bytes().to_vec(),
        action_id: context.action.as_bytes().to_vec(),
        key_id: context.key.as_bytes().to_vec(),
        scheme: context.scheme.name().into(),
        public_key: context.public_key.0.to_vec(),
        config: context.config.to_vec(),
        params: context.params.to_vec(),
        callers: context.callers.iter().map(caller).collect(),
        time_ms: context.time_ms,
        seed: context.seed.to_vec(),
        pins: context.pins.iter().map(pin).collect(),
    }
}

fn caller(caller: &Caller) -> wit::Caller {
    wit::Caller { kind: caller.kind.name().into(), id: caller.id.to_vec() }
}

fn pin(pin: &Pin) -> wit::Pin {
    wit::Pin { chain_id: pin.chain_id, number: pin.number, hash: pin.hash.to_vec(), timestamp: pin.timestamp }
}
