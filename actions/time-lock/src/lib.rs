//! Signs messages from a moment on: by the clock of a chain's pinned block, or by the session's time.

use countersign_action_sdk::{Context, Decision, MAX_PAYLOADS, Payload, Refusal, action, json::HexBytes};
use serde::Deserialize;

/// The key's config.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The moment, in seconds since 1970.
    not_before: u64,
    /// The chain whose pinned block's timestamp is the time; the session's time if null or absent.
    #[serde(default)]
    chain_id: Option<u64>,
}

/// The request's params.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    /// What to sign: 1 to [`MAX_PAYLOADS`].
    messages: Vec<HexBytes>,
}

/// What time it is, in seconds since 1970, and whose.
#[derive(Debug, Clone, Copy)]
enum Now {
    /// The timestamp of a block.
    Block { chain_id: u64, number: u64, timestamp: u64 },
    /// The session's.
    Session { seconds: u64 },
}

fn run() -> Result<Decision, Refusal> {
    let context = Context::get();
    let config: Config = context.config_json()?;
    let params: Params = context.params_json()?;
    decide(config, Now::of(config, &context)?, params)
}

action!(run);

/// The rule, without the reads.
fn decide(config: Config, now: Now, params: Params) -> Result<Decision, Refusal> {
    let count = params.messages.len();
    if !(1..=MAX_PAYLOADS).contains(&count) {
        return Err(Refusal::new(format!(
            "the request's params hold {count} messages: send 1 to {MAX_PAYLOADS}"
        )));
    }
    let (seconds, not_before) = (now.seconds(), config.not_before);
    if seconds < not_before {
        return Err(Refusal::new(format!(
            "nothing is signed before {not_before} (seconds since 1970), and {}: ask again in {} s",
            now.describe(),
            not_before - seconds
        )));
    }
    let response = format!(r#"{{"not_before":{not_before},"now":{seconds}}}"#);
    let payloads = params.messages.into_iter().map(|message| Payload::Bytes(message.0));
    Ok(Decision::sign(payloads).respond(response))
}

impl Now {
    fn of(config: Config, context: &Context) -> Result<Self, Refusal> {
        match config.chain_id {
            None => Ok(Self::Session { seconds: context.time_ms / 1000 }),
            Some(chain_id) => {
                let pin = context.pin(chain_id)?;
                Ok(Self::Block { chain_id, number: pin.number, timestamp: pin.timestamp })
            }
        }
    }

    fn seconds(self) -> u64 {
        match self {
            Self::Block { timestamp, .. } => timestamp,
            Self::Session { seconds } => seconds,
        }
    }

    fn describe(self) -> String {
        match self {
            Self::Block { chain_id, number, timestamp } => {
                format!("the final block {number} of chain {chain_id} is of {timestamp}")
            }
            Self::Session { seconds } => format!("it is {seconds}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_action_sdk::json;

    const BLOCK: Now = Now::Block { chain_id: 31337, number: 7, timestamp: 1_000 };

    fn params(count: usize) -> Params {
        Params { messages: (0..count).map(|index| HexBytes(vec![index as u8])).collect() }
    }

    fn lock(not_before: u64) -> Config {
        Config { not_before, chain_id: Some(31337) }
    }

    #[test]
    fn the_moment_itself_is_late_enough() {
        let decision = decide(lock(1_000), BLOCK, params(2)).expect("late enough");
        assert_eq!(decision.sign, [Payload::Bytes(vec![0]), Payload::Bytes(vec![1])]);
        assert_eq!(decision.response, br#"{"not_before":1000,"now":1000}"#);
    }

    #[test]
    fn a_second_before_is_refused_with_when() {
        let refusal = decide(lock(1_001), BLOCK, params(1)).expect_err("too early");
        assert_eq!(
            refusal.reason,
            "nothing is signed before 1001 (seconds since 1970), and the final block 7 of chain 31337 is of \
             1000: ask again in 1 s"
        );
        let session = decide(lock(1_001), Now::Session { seconds: 1 }, params(1)).expect_err("too early");
        assert!(session.reason.contains("it is 1: ask again in 1000 s"), "{}", session.reason);
    }

    #[test]
    fn no_message_and_nine_messages_are_refused() {
        for count in [0, MAX_PAYLOADS + 1] {
            let refusal = decide(lock(0), BLOCK, params(count)).expect_err("a wrong count");
            assert!(refusal.reason.contains("send 1 to 8"), "{}", refusal.reason);
        }
        assert!(decide(lock(0), BLOCK, params(MAX_PAYLOADS)).is_ok());
    }

    #[test]
    fn a_config_or_params_of_another_shape_are_refused() {
        for text in
            ["", "{}", r#"{"not_before":"1"}"#, r#"{"not_before":-1}"#, r#"{"not_before":1,"not_after":2}"#]
        {
            assert!(json::parse::<Config>("the key's config", text.as_bytes()).is_err(), "{text}");
        }
        for text in
            ["", "{}", r#"{"messages":"0x"}"#, r#"{"messages":["00"]}"#, r#"{"messages":[],"more":1}"#]
        {
            assert!(json::parse::<Params>("the request's params", text.as_bytes()).is_err(), "{text}");
        }
    }
}
