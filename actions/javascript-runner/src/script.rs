//! A script's life: compiled, evaluated, called, and what it returned.

use rquickjs::{Ctx, Error, Function, Module, Object, Promise, Value, convert::List, promise::PromiseState};

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

/// Whether the source is a script, as far as can be told without running it.
pub(crate) fn check(ctx: &Ctx<'_>, source: String) -> Result<(), String> {
    link(ctx, &source).map_err(|failure| failure.text(&source))
}

fn link(ctx: &Ctx<'_>, source: &str) -> Result<(), Failure> {
    failure::caught(ctx, || {
        Module::declare(ctx.clone(), FILE, source)?;
        Module::declare(ctx.clone(), "countersign:linked", LINKED)?;
        let linked = Module::evaluate(ctx.clone(), "countersign:check", LINK)?;
        // Rejected by what stands first in it: all is linked.
        match linked.result::<Value<'_>>() {
            Some(Err(_)) => drop(ctx.catch()),
            Some(Ok(_)) | None => {}
        }
        Ok(())
    })
}

/// Runs the source.
pub(crate) fn run<'js>(ctx: &Ctx<'js>, hooks: &Object<'js>, source: String) -> Result<Decision, ScriptEnd> {
    let ended = execute(ctx, hooks, &source);
    // Refused is refused, whatever became of the rest.
    if let Some(reason) = refusal::said() {
        return Err(ScriptEnd::Refused(Refusal { reason }));
    }
    ended.map_err(|failure| ScriptEnd::Failed(failure.text(&source)))
}

fn execute<'js>(ctx: &Ctx<'js>, hooks: &Object<'js>, source: &str) -> Result<Decision, Failure> {
    let request = context::get();
    clock::set(request.time_ms, &request.seed);
    let called = failure::caught(ctx, || {
        hooks.get::<_, Function<'_>>("fill")?.call::<_, ()>((request,))?;
        let (module, evaluated) = Module::declare(ctx.clone(), FILE, source)?.eval()?;
        Ok((module, evaluated))
    });
    let (module, evaluated) = called?;
    settle::<Value<'_>>(ctx, &evaluated, "the module's top level awaits a promise that never resolves")?;
    let run = failure::caught(ctx, || module.namespace()?.get::<_, Value<'_>>("default"))?;
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
