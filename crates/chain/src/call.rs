//! `eth_call`: what a revert looks like, and what only looks like one.

use alloy::primitives::{Address, Bytes, U64, hex};
use countersign_types::evm::EvmValue;
use serde::Serialize;
use serde_json::Value;

use crate::{
    Fault,
    endpoint::Endpoint,
    read::AtBlock,
    rpc::{RpcError, RpcFailure},
};

/// The gas that a call gets. Providers have bounds of their own, so without this a contract that looks at
/// its gas would answer differently everywhere. It is below the 2^24 of EIP-7825.
const CALL_GAS: u64 = 16_000_000;

#[derive(Serialize)]
struct CallRequest<'a> {
    from: Address,
    to: Address,
    gas: U64,
    input: &'a Bytes,
}

pub(crate) async fn eth_call(
    endpoint: &Endpoint,
    block: AtBlock,
    from: Address,
    to: Address,
    input: &Bytes,
) -> Result<EvmValue, Fault> {
    let request = CallRequest { from, to, gas: U64::from(CALL_GAS), input };
    match endpoint.request_or_error("eth_call", (request, block)).await {
        Ok(data) => Ok(EvmValue::Call { reverted: false, data }),
        Err(RpcFailure::Fault(fault)) => Err(fault),
        Err(RpcFailure::Error(error)) => match revert(&error) {
            Some(data) => Ok(EvmValue::Call { reverted: true, data }),
            None => Err(error.into_fault()),
        },
    }
}

/// What a call reverted with, if that is what the error says. Code 3 is the agreed one; before it, clients
/// said -32000 or -32015 and told a revert from other failures by the message or the data's prefix.
fn revert(error: &RpcError) -> Option<Bytes> {
    let message = error.message.to_ascii_lowercase();
    let says_revert = message.starts_with("execution reverted") || message.starts_with("vm execution error");
    let may_be_revert = match error.code {
        3 => true,
        -32000 | -32015 => says_revert,
        _ => false,
    };
    if !may_be_revert {
        return None;
    }
    match &error.data {
        Some(Value::String(data)) => {
            let prefixed = data.strip_prefix("Reverted ");
            let bytes = hex::decode(prefixed.unwrap_or(data).strip_prefix("0x")?).ok()?;
            Some(bytes.into())
        }
        None | Some(Value::Null) => message.starts_with("execution reverted").then(Bytes::new),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: i64, message: &str, data: Option<&str>) -> RpcError {
        RpcError { code, message: message.into(), data: data.map(Value::from) }
    }

    #[test]
    fn every_client_says_revert_in_its_way() {
        let data = Some(Bytes::from_static(&[0xde, 0xad]));
        let empty = Some(Bytes::new());
        let cases = [
            (error(3, "execution reverted: no", Some("0xdead")), data.clone()),
            (error(3, "execution reverted", Some("0x")), empty.clone()),
            (error(3, "execution reverted", None), empty.clone()),
            (error(-32000, "execution reverted", None), empty.clone()),
            (error(-32000, "Execution reverted", Some("0xdead")), data.clone()),
            (error(-32015, "VM execution error.", Some("Reverted 0xdead")), data.clone()),
            (error(-32015, "VM execution error.", Some("Reverted 0x")), empty),
        ];
        for (error, expected) in cases {
            assert_eq!(revert(&error), expected, "{error:?}");
        }
    }

    #[test]
    fn other_failures_are_no_reverts() {
        let cases = [
            error(-32000, "out of gas", None),
            error(-32000, "out of gas", Some("0xdead")),
            error(-32000, "err: intrinsic gas too low", Some("0x")),
            error(-32000, "invalid opcode: INVALID", None),
            error(-32000, "header not found", None),
            error(-32603, "EVM error OutOfGas", None),
            error(-32603, "execution reverted", Some("0xdead")),
            error(-32015, "VM execution error.", Some("Bad instruction fe")),
            error(-32015, "VM execution error.", None),
            error(-32005, "execution reverted: limit exceeded", None),
            error(3, "out of gas", None),
            error(3, "execution reverted", Some("not hex")),
        ];
        for error in cases {
            assert_eq!(revert(&error), None, "{error:?}");
        }
        let object = RpcError {
            code: 3,
            message: "execution reverted".into(),
            data: Some(serde_json::json!({"data": "0xdead"})),
        };
        assert_eq!(revert(&object), None);
    }
}
