//! Whether the script refused. Kept here, where no script reaches: it can be said, and not be taken back.

use std::cell::{Cell, RefCell};

use rquickjs::{Ctx, Function, Object, Result};

/// What the caller reads where the script's own reason could not be taken.
const UNTOLD: &str = "the action refuses; its reason could not be read";

thread_local! {
    static REFUSED: Cell<bool> = const { Cell::new(false) };
    static REASON: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// The functions by which the bindings refuse: the fact by itself, then the reason. The first reason stands.
pub(crate) fn define<'js>(ctx: &Ctx<'js>, native: &Object<'js>) -> Result<()> {
    native.set("refuse", Function::new(ctx.clone(), || REFUSED.set(true))?)?;
    let because = |reason: rquickjs::String<'_>| {
        let reason = reason.to_string().unwrap_or_else(|_| UNTOLD.to_owned());
        REASON.with_borrow_mut(|said| _ = said.get_or_insert(reason));
    };
    native.set("refuseBecause", Function::new(ctx.clone(), because)?)
}

/// The reason, if the script refused.
pub(crate) fn said() -> Option<String> {
    REFUSED.get().then(|| REASON.take().unwrap_or_else(|| UNTOLD.to_owned()))
}
