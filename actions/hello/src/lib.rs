use countersign_action_sdk::{Context, Decision, Payload, Refusal, action};

fn run() -> Result<Decision, Refusal> {
    let context = Context::get();
    if context.time_ms < 1_700_000_000_000 {
        return Err(Refusal::new("it is too early: ask again after November 2023"));
    }
    Ok(Decision::sign([Payload::Bytes(context.params)]))
}

action!(run);
