//! Signs a message for a caller whose balance at the pinned final block is at least the config's minimum.

use countersign_action_sdk::{
    Address, Context, Decision, Payload, Pin, Refusal, U256, action, erc20, evm, json,
};
use serde::Deserialize;

/// The key's config.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The chain, by EIP-155 id.
    chain_id: u64,
    /// The ERC-20 token; the chain's own currency if null or absent.
    #[serde(default)]
    token: Option<Address>,
    /// The least balance, in base units.
    #[serde(with = "json::decimal")]
    minimum: U256,
}

fn run() -> Result<Decision, Refusal> {
    let context = Context::get();
    let config: Config = context.config_json()?;
    let caller = context.first_caller()?;
    let pin = *context.pin(config.chain_id)?;
    let balance = match config.token {
        None => evm::balance(config.chain_id, caller)?,
        Some(token) => erc20::balance_of(config.chain_id, token, caller)?,
    };
    decide(&config, caller, balance, &pin, context.params)
}

action!(run);

/// The rule, without the reads.
fn decide(
    config: &Config,
    caller: Address,
    balance: U256,
    pin: &Pin,
    message: Vec<u8>,
) -> Result<Decision, Refusal> {
    let minimum = config.minimum;
    if balance < minimum {
        let unit = match config.token {
            None => "wei".to_owned(),
            Some(token) => format!("base units of the token {token}"),
        };
        return Err(Refusal::new(format!(
            "{caller} has {balance} {unit} at block {} of chain {}, the key asks for at least {minimum}: \
             {} more are needed in a final block",
            pin.number,
            pin.chain_id,
            minimum - balance
        )));
    }
    let response = format!(
        r#"{{"account":"{caller}","balance":"{balance}","minimum":"{minimum}","chain_id":{},"block":{}}}"#,
        pin.chain_id, pin.number
    );
    Ok(Decision::sign([Payload::Bytes(message)]).respond(response))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLER: Address = Address([0x11; 20]);
    const PIN: Pin = Pin { chain_id: 31337, number: 7, hash: [0; 32], timestamp: 0 };

    fn config(text: &str) -> Result<Config, Refusal> {
        json::parse("the key's config", text.as_bytes())
    }

    fn decide_with(token: &str, balance: u64) -> Result<Decision, Refusal> {
        let config = config(&format!(r#"{{"chain_id":31337,"token":{token},"minimum":"100"}}"#))?;
        decide(&config, CALLER, U256::from(balance), &PIN, b"hello".to_vec())
    }

    #[test]
    fn exactly_the_minimum_is_enough() {
        let decision = decide_with("null", 100).expect("enough");
        assert_eq!(decision.sign, [Payload::Bytes(b"hello".to_vec())]);
        assert_eq!(
            String::from_utf8_lossy(&decision.response),
            r#"{"account":"0x1111111111111111111111111111111111111111","balance":"100","minimum":"100","chain_id":31337,"block":7}"#
        );
    }

    #[test]
    fn one_unit_less_is_refused_with_what_is_missing() {
        let refusal = decide_with("null", 99).expect_err("one is missing");
        assert_eq!(
            refusal.reason,
            "0x1111111111111111111111111111111111111111 has 99 wei at block 7 of chain 31337, the key asks for \
             at least 100: 1 more are needed in a final block"
        );
        let token = r#""0x2222222222222222222222222222222222222222""#;
        let refusal = decide_with(token, 0).expect_err("nothing there");
        assert!(refusal.reason.contains("0 base units of the token 0x2222"), "{}", refusal.reason);
    }

    #[test]
    fn a_config_that_says_something_else_is_refused() {
        let cases = [
            (r#"{"chain_id":1}"#, "missing field `minimum`"),
            (r#"{"chain_id":1,"minimum":"1","minimun":"2"}"#, "unknown field `minimun`"),
            (r#"{"chain_id":1,"minimum":1}"#, "expected a string"),
            (r#"{"chain_id":1,"minimum":"-1"}"#, "an amount is"),
            (r#"{"chain_id":1,"minimum":"1","token":"0x12"}"#, "an address is"),
        ];
        for (text, expected) in cases {
            let refusal = config(text).expect_err(text);
            assert!(refusal.reason.contains(expected), "{}", refusal.reason);
        }
        assert_eq!(config(r#"{"chain_id":1,"minimum":"1"}"#).expect("no token").token, None);
    }
}
