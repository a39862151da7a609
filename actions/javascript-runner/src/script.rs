//! A script's life: compiled, evaluated, called, and what it returned.

use rquickjs::{
    Ctx, Error, Function, Module, Object, Promise, Value, WriteOptions, convert::List, promise::PromiseState,
};

use crate::{
    bindings::{
        Decision, ScriptEnd,
        countersign::action::{context, outcome::Payload, outcome::Refusal},
    },
    clock,
    convert::{Bytes, BytesOrText},
    failure::{self, Failure},
    refusal,
};

/// The file that an author sees in messages.
pub(crate) const FILE: &str = "action.js";

/// Links the script, and all that it imports is looked up; then its evaluation ends before it began, as the first
/// import throws.
const LINK: &str = r#"import "countersign:linked"; import run from "action.js"; run;"#;
const LINKED: &str = "throw undefined;";

/// The source as bytecode of this interpreter, or what is wrong with it, as far as can be told without running it.
pub(crate) fn compile(ctx: &Ctx<'_>, source: &str) -> Result<Vec<u8>, String> {
    let program = failure::caught(ctx, || {
        let module = Module::declare(ctx.clone(), FILE, source)?;
        // places in the source stay in it, the text of functions does not
        let program = module.write(WriteOptions { strip_source: true, ..WriteOptions::default() })?;
        link(ctx)?;
        Ok(program)
    });
    program.map_err(|failure| failure.text_in(source))
}

fn link(ctx: &Ctx<'_>) -> rquickjs::Result<()> {
    Module::declare(ctx.clone(), "countersign:linked", LINKED)?;
    let linked = Module::evaluate(ctx.clone(), "countersign:check", LINK)?;
    // Rejected by what stands first in it: all is linked.
    #[allow(clippy::single_match, reason = "what else there is, is named")]
    match linked.result::<Value<'_>>() {
        Some(Err(_)) => drop(ctx.catch()),
        Some(Ok(_)) | None => {}
    }
    Ok(())
}

/// Runs what [`compile`] made.
pub(crate) fn run<'js>(ctx: &Ctx<'js>, hooks: &Object<'js>, program: Vec<u8>) -> Result<Decision, ScriptEnd> {
    let ended = execute(ctx, hooks, program);
    // Refused is refused, whatever became of the rest.
    if let Some(reason) = refusal::said() {
        return Err(ScriptEnd::Refused(Refusal { reason }));
    }
    ended.map_err(|failure| ScriptEnd::Failed(failure.text()))
}

fn execute<'js>(ctx: &Ctx<'js>, hooks: &Object<'js>, program: Vec<u8>) -> Result<Decision, Failure> {
    let request = context::get();
    clock::set(request.time_ms, &request.seed);
    let evaluated = failure::caught(ctx, || {
        hooks.get::<_, Function<'_>>("fill")?.call::<_, ()>((request,))?;
        load(ctx, program)?;
        Module::import(ctx, FILE)
    });
    let module: Object<'_> =
        settle(ctx, &evaluated?, "the module's top level awaits a promise that never resolves")?;
    let run = failure::caught(ctx, || module.get::<_, Value<'_>>("default"))?;
    let Some(run) = run.as_function() else {
        return Err(Failure::bare(if run.is_undefined() {
            format!("{FILE} has no default export: write `export default function run() {{ .. }}`")
        } else {
            format!(
                "the default export of {FILE} is {} and not a function: write `export default function run() {{ .. }}`",
                run.type_name()
            )
        }));
    };
    let returned = failure::caught(ctx, || run.call::<_, Value<'_>>(()))?;
    let returned = match returned.as_promise() {
        Some(promise) => settle(
            ctx,
            promise,
            "run waits for a promise that never resolves: nothing is left that could resolve it",
        )?,
        None => {
            drain(ctx);
            returned
        }
    };
    unhandled(ctx, hooks)?;
    let decision = failure::caught(ctx, || {
        hooks
            .get::<_, Function<'_>>("settle")?
            .call::<_, List<(Vec<List<(String, BytesOrText)>>, Bytes)>>((returned,))
    });
    let List((sign, response)) = decision.map_err(|failure| failure.or_at(run))?;
    let sign = sign.into_iter().map(|List((kind, data))| payload(&kind, data)).collect::<Result<_, _>>()?;
    Ok(Decision { sign, response: response.0 })
}

/// Declares the module of a program, under [`FILE`].
#[allow(unsafe_code, reason = "bytecode is loaded by an unsafe function")]
fn load(ctx: &Ctx<'_>, program: Vec<u8>) -> rquickjs::Result<()> {
    // The interpreter goes on reading from these bytes, until the instance ends with the run.
    let program: &'static [u8] = program.leak();
    // SAFETY: hosts hand over only what `compile` of this component made. Where one does not, it harms its own run:
    // all that the interpreter can reach is this instance's memory.
    unsafe { Module::load(ctx.clone(), program) }.map(drop)
}

/// Runs what is queued until the promise is settled, and all else that is queued.
fn settle<'js, T: rquickjs::FromJs<'js>>(
    ctx: &Ctx<'js>,
    promise: &Promise<'js>,
    never: &str,
) -> Result<T, Failure> {
    drain(ctx);
    match promise.state() {
        PromiseState::Pending => Err(Failure::bare(never.to_owned())),
        PromiseState::Resolved | PromiseState::Rejected => {
            failure::caught(ctx, || promise.result().unwrap_or(Err(Error::Unknown)))
        }
    }
}

fn drain(ctx: &Ctx<'_>) {
    while ctx.execute_pending_job() {}
}

/// A promise that was rejected while nobody looked at it is a mistake that would go unseen.
fn unhandled<'js>(ctx: &Ctx<'js>, hooks: &Object<'js>) -> Result<(), Failure> {
    let reasons =
        failure::caught(ctx, || hooks.get::<_, Function<'_>>("unhandled")?.call::<_, Vec<Value<'js>>>(()))?;
    match reasons.first() {
        None => Ok(()),
        Some(reason) => {
            Err(Failure::thrown(reason).preceded("a promise was rejected and nobody awaits it: "))
        }
    }
}

fn payload(kind: &str, data: BytesOrText) -> Result<Payload, Failure> {
    match (kind, data) {
        ("bytes", BytesOrText::Bytes(data)) => Ok(Payload::Bytes(data)),
        ("personal-message", BytesOrText::Bytes(data)) => Ok(Payload::PersonalMessage(data)),
        ("typed-data", BytesOrText::Text(json)) => Ok(Payload::TypedData(json)),
        ("raw", BytesOrText::Bytes(data)) => Ok(Payload::Raw(data)),
        (kind, _) => Err(Failure::bare(format!("there is no payload {kind} of this type"))),
    }
}
