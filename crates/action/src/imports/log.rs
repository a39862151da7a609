//! What an action writes for operator and author.

use wasmtime::component::LinkerInstance;

use crate::{
    bindings::countersign::action::log as wit,
    fuel::{COSTS, charge},
    logs::Level,
    run::RunState,
};

pub(super) const NAME: &str = "countersign:action/log@0.1.0";

pub(super) fn define(linker: &mut LinkerInstance<'_, RunState>) -> wasmtime::Result<()> {
    linker.func_wrap_async("emit", |mut store, (level, text): (wit::Level, String)| {
        Box::new(async move {
            charge(&mut store, COSTS.call(text.len())).await?;
            store.data_mut().logs.push(from_wit(level), text);
            Ok(())
        })
    })
}

fn from_wit(level: wit::Level) -> Level {
    match level {
        wit::Level::Debug => Level::Debug,
        wit::Level::Info => Level::Info,
        wit::Level::Warn => Level::Warn,
        wit::Level::Error => Level::Error,
    }
}
