//! Schemas of bytes in JSON, for the fields whose types come from elsewhere.

use utoipa::ToSchema;

/// Bytes: 0x and two hexadecimal digits for each.
#[derive(ToSchema)]
#[schema(value_type = String, pattern = "^0x([0-9a-fA-F]{2})*$", example = "0x")]
pub(crate) struct HexBytes(#[allow(dead_code, reason = "a schema only")] ());

/// 32 bytes: 0x and 64 hexadecimal digits.
#[derive(ToSchema)]
#[schema(value_type = String, pattern = "^0x[0-9a-fA-F]{64}$")]
pub(crate) struct Hex32(#[allow(dead_code, reason = "a schema only")] ());

/// An Ethereum address: 0x and 40 hexadecimal digits.
#[derive(ToSchema)]
#[schema(value_type = String, pattern = "^0x[0-9a-fA-F]{40}$")]
pub(crate) struct HexAddress(#[allow(dead_code, reason = "a schema only")] ());
