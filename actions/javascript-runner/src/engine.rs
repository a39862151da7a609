//! The interpreter: set up once, with the bindings evaluated.

use std::cell::RefCell;

use rquickjs::{CatchResultExt, Context, Ctx, Module, Object, Persistent, Runtime, Value};

use crate::native;

/// What scripts may allocate, in bytes. Beyond it they see an error that they can read; the manifest's
/// `memory_bytes`, where it is less, ends the run instead.
const MAX_HEAP_BYTES: usize = 48 << 20;
/// How deep the interpreter may recurse, in bytes of its own stack in linear memory. The host's stack, which grows
/// along, has 2 MiB, so that this is exceeded first and a script sees an error.
const MAX_STACK_BYTES: usize = 128 << 10;
/// Garbage is collected when so much was allocated: later than by default, as most runs end before.
const COLLECT_AT_BYTES: usize = 8 << 20;

/// The bindings, each after those that it imports. None but `countersign` is meant for actions.
const BINDINGS: &[(&str, &str)] = &[
    ("countersign:native", "export const native = globalThis.native; delete globalThis.native;"),
    ("countersign:shown", include_str!("../js/shown.js")),
    ("countersign:bytes", include_str!("../js/bytes.js")),
    ("countersign:numbers", include_str!("../js/numbers.js")),
    ("countersign:decimal", include_str!("../js/decimal.js")),
    ("countersign:host", include_str!("../js/host.js")),
    ("countersign:http", include_str!("../js/http.js")),
    ("countersign:abi", include_str!("../js/abi.js")),
    ("countersign:evm", include_str!("../js/evm.js")),
    ("countersign:crypto", include_str!("../js/crypto.js")),
    ("countersign:outcome", include_str!("../js/outcome.js")),
    ("countersign:context", include_str!("../js/context.js")),
    ("countersign", include_str!("../js/countersign.js")),
    ("countersign:engine", include_str!("../js/engine.js")),
];

struct Engine {
    // Never dropped: the instance ends first.
    _runtime: Runtime,
    context: Context,
    hooks: Persistent<Object<'static>>,
}

thread_local! {
    static ENGINE: RefCell<Option<Engine>> = const { RefCell::new(None) };
}

/// Sets the interpreter up, if it is not.
///
/// # Panics
///
/// If the bindings have a fault: then no runner is built.
pub(crate) fn start() {
    ENGINE.with_borrow_mut(|engine| {
        engine.get_or_insert_with(|| Engine::new().unwrap_or_else(|error| panic!("{error}")));
    });
}

/// Calls `work` with the interpreter and the functions of `js/engine.js`.
pub(crate) fn with<R>(work: impl for<'js> FnOnce(&Ctx<'js>, &Object<'js>) -> R) -> R {
    start();
    let (context, hooks) = ENGINE.with_borrow(|engine| {
        let engine = engine.as_ref().expect("it was started");
        (engine.context.clone(), engine.hooks.clone())
    });
    context.with(|ctx| {
        let hooks = hooks.restore(&ctx).expect("there is one runtime");
        work(&ctx, &hooks)
    })
}

impl Engine {
    fn new() -> Result<Self, String> {
        let runtime = Runtime::new().map_err(|error| error.to_string())?;
        runtime.set_memory_limit(MAX_HEAP_BYTES);
        runtime.set_max_stack_size(MAX_STACK_BYTES);
        runtime.set_gc_threshold(COLLECT_AT_BYTES);
        let context = Context::full(&runtime).map_err(|error| error.to_string())?;
        let hooks = context.with(|ctx| {
            let hooks = bind(&ctx).catch(&ctx).map_err(|error| error.to_string())?;
            Ok::<_, String>(Persistent::save(&ctx, hooks))
        })?;
        track_rejections(&runtime, hooks.clone());
        Ok(Self { _runtime: runtime, context, hooks })
    }
}

/// Evaluates the bindings; returns what they hand to the runner.
fn bind<'js>(ctx: &Ctx<'js>) -> rquickjs::Result<Object<'js>> {
    let native = native::object(ctx)?;
    let hooks = Object::new(ctx.clone())?;
    native.set("hooks", hooks.clone())?;
    ctx.globals().set("native", native)?;
    for (name, source) in BINDINGS {
        Module::evaluate(ctx.clone(), *name, *source)?.finish::<()>()?;
    }
    Ok(hooks)
}

fn track_rejections(runtime: &Runtime, hooks: Persistent<Object<'static>>) {
    runtime.set_host_promise_rejection_tracker(Some(Box::new(
        move |ctx: Ctx<'_>, promise: Value<'_>, reason: Value<'_>, handled: bool| {
            let tracked = hooks.clone().restore(&ctx).and_then(|hooks| {
                let rejected: rquickjs::Function<'_> = hooks.get("rejected")?;
                rejected.call::<_, ()>((promise, reason, handled))
            });
            // Only without memory, and then the run has failed already.
            drop(tracked);
        },
    )));
}
