//! Values of the interface, as JavaScript has them, and the other way round.

use rquickjs::{Ctx, Error, Exception, FromJs, IntoJs, Object, Result, TypedArray, Value, convert::List};

use crate::bindings::countersign::action::{
    context::{Caller, Pin, Request},
    evm::{Call, CallResult, Log, Receipt},
    http,
    types::{Agree, Field, Rule, Tolerance},
};

/// Bytes: a Uint8Array.
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl<'js> FromJs<'js> for Bytes {
    fn from_js(_: &Ctx<'js>, value: Value<'js>) -> Result<Self> {
        let array = TypedArray::<u8>::from_value(value)?;
        #[allow(unsafe_code, reason = "no JavaScript runs while the bytes are copied")]
        let bytes =
            unsafe { array.as_bytes() }.ok_or_else(|| Error::new_from_js("detached", "Uint8Array"))?;
        Ok(Self(bytes.to_vec()))
    }
}

impl<'js> IntoJs<'js> for Bytes {
    fn into_js(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        Ok(TypedArray::new(ctx.clone(), self.0)?.into_value())
    }
}

/// A payload's data.
pub(crate) enum BytesOrText {
    Bytes(Vec<u8>),
    Text(String),
}

impl<'js> FromJs<'js> for BytesOrText {
    fn from_js(ctx: &Ctx<'js>, value: Value<'js>) -> Result<Self> {
        if value.is_string() {
            value.get().map(Self::Text)
        } else {
            Bytes::from_js(ctx, value).map(|bytes| Self::Bytes(bytes.0))
        }
    }
}

/// A whole number from JavaScript, which has checked that it is exact.
pub(crate) struct Count(pub(crate) u64);

impl<'js> FromJs<'js> for Count {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "out of range is the host's to refuse"
    )]
    fn from_js(_: &Ctx<'js>, value: Value<'js>) -> Result<Self> {
        Ok(Self(value.get::<f64>()? as u64))
    }
}

impl<'js> IntoJs<'js> for Count {
    #[allow(clippy::cast_precision_loss, reason = "not below 2^53")]
    fn into_js(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        if self.0 >= 1 << 53 {
            let text = format!("{} is beyond what a number of JavaScript holds exactly", self.0);
            return Err(Exception::throw_range(ctx, &text));
        }
        (self.0 as f64).into_js(ctx)
    }
}

fn narrow(count: Count) -> u32 {
    u32::try_from(count.0).unwrap_or(u32::MAX)
}

/// [url, headers, maxBody, timeoutMs, fields]
pub(crate) type JsRequest = List<(String, Vec<List<(String, String)>>, Count, Count, Option<Vec<JsField>>)>;
/// [pointer, rule, bps, abs]
type JsField = List<(String, String, Count, String)>;

pub(crate) fn request(
    List((url, headers, max_body, timeout_ms, fields)): JsRequest,
) -> Result<(http::Request, Agree)> {
    let headers = headers.into_iter().map(|List((name, value))| http::Header { name, value }).collect();
    let agree = match fields {
        None => Agree::Identical,
        Some(fields) => Agree::JsonFields(fields.into_iter().map(field).collect::<Result<_>>()?),
    };
    Ok((http::Request { url, headers, max_body: narrow(max_body), timeout_ms: narrow(timeout_ms) }, agree))
}

fn field(List((pointer, rule, bps, abs)): JsField) -> Result<Field> {
    let tolerance = Tolerance { bps: narrow(bps), abs };
    let rule = match rule.as_str() {
        "identical" => Rule::Identical,
        "median" => Rule::Median(tolerance),
        "min" => Rule::Min(tolerance),
        "max" => Rule::Max(tolerance),
        "mode" => Rule::Mode,
        _ => return Err(Error::new_from_js("string", "rule")),
    };
    Ok(Field { pointer, rule })
}

/// [chainId, to, data, from]
pub(crate) type JsCall = List<(Count, Bytes, Bytes, Option<Bytes>)>;

pub(crate) fn call(List((chain_id, to, data, from)): JsCall) -> Call {
    Call { chain_id: chain_id.0, to: to.0, data: data.0, from: from.map(|from| from.0) }
}

impl<'js> IntoJs<'js> for http::Response {
    /// [status, contentType, body]
    fn into_js(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        let content_type =
            self.headers.into_iter().find(|header| header.name.eq_ignore_ascii_case("content-type"));
        List((self.status, content_type.map(|header| header.value), Bytes(self.body))).into_js(ctx)
    }
}

impl<'js> IntoJs<'js> for CallResult {
    /// [ok, data]
    fn into_js(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        match self {
            Self::Ok(data) => List((true, Bytes(data))).into_js(ctx),
            Self::Reverted(data) => List((false, Bytes(data))).into_js(ctx),
        }
    }
}

impl<'js> IntoJs<'js> for Log {
    /// [address, topics, data, blockNumber, txHash, index]
    fn into_js(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        let topics: Vec<Bytes> = self.topics.into_iter().map(Bytes).collect();
        let block_number = Count(self.block_number);
        List((Bytes(self.address), topics, Bytes(self.data), block_number, Bytes(self.tx_hash), self.index))
            .into_js(ctx)
    }
}

impl<'js> IntoJs<'js> for Receipt {
    /// [success, blockNumber, blockHash, logs]
    fn into_js(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        List((self.success, Count(self.block_number), Bytes(self.block_hash), self.logs)).into_js(ctx)
    }
}

impl<'js> IntoJs<'js> for Request {
    fn into_js(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        let request = Object::new(ctx.clone())?;
        request.set("requestDigest", Bytes(self.request_digest))?;
        request.set("sessionId", Bytes(self.session_id))?;
        request.set("actionId", Bytes(self.action_id))?;
        request.set("keyId", Bytes(self.key_id))?;
        request.set("scheme", self.scheme)?;
        request.set("publicKey", Bytes(self.public_key))?;
        request.set("config", Bytes(self.config))?;
        request.set("params", Bytes(self.params))?;
        request.set("callers", self.callers)?;
        request.set("timeMs", Count(self.time_ms))?;
        request.set("seed", Bytes(self.seed))?;
        request.set("pins", self.pins)?;
        Ok(request.into_value())
    }
}

impl<'js> IntoJs<'js> for Caller {
    fn into_js(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        let caller = Object::new(ctx.clone())?;
        caller.set("kind", self.kind)?;
        caller.set("id", Bytes(self.id))?;
        Ok(caller.into_value())
    }
}

impl<'js> IntoJs<'js> for Pin {
    fn into_js(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        let pin = Object::new(ctx.clone())?;
        pin.set("chainId", Count(self.chain_id))?;
        pin.set("number", Count(self.number))?;
        pin.set("hash", Bytes(self.hash))?;
        pin.set("timestamp", Count(self.timestamp))?;
        Ok(pin.into_value())
    }
}
