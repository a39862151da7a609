//! The host's functions, as the bindings in `js/` call them.

use rquickjs::{Ctx, Function, IntoJs, Object, Result, Value};

use crate::{
    bindings::countersign::action::{crypto, evm, http, log, types},
    clock,
    convert::{Bytes, Count, JsCall, JsRequest, call, request},
    refusal,
};

/// An object of all functions.
pub(crate) fn object<'js>(ctx: &Ctx<'js>) -> Result<Object<'js>> {
    let native = Object::new(ctx.clone())?;
    texts(ctx, &native)?;
    reads(ctx, &native)?;
    hashes(ctx, &native)?;
    signatures(ctx, &native)?;
    let emit = |level: String, message: String| log::emit(level_of(&level), &message);
    native.set("log", Function::new(ctx.clone(), emit)?)?;
    native.set("random", Function::new(ctx.clone(), clock::random)?)?;
    refusal::define(ctx, &native)?;
    Ok(native)
}

fn texts<'js>(ctx: &Ctx<'js>, native: &Object<'js>) -> Result<()> {
    let hex = |bytes: Bytes| format!("0x{}", hex::encode(bytes.0));
    let unhex = |text: String| text.strip_prefix("0x").and_then(|digits| hex::decode(digits).ok()).map(Bytes);
    native.set("hex", Function::new(ctx.clone(), hex)?)?;
    native.set("unhex", Function::new(ctx.clone(), unhex)?)?;
    native.set("utf8", Function::new(ctx.clone(), |text: String| Bytes(text.into_bytes()))?)?;
    native.set("text", Function::new(ctx.clone(), |bytes: Bytes| String::from_utf8(bytes.0).ok())?)
}

fn reads<'js>(ctx: &Ctx<'js>, native: &Object<'js>) -> Result<()> {
    let fetch = |ctx: Ctx<'js>, one: JsRequest| {
        let (request, agree) = request(one)?;
        answered(&ctx, http::fetch(&request, &agree))
    };
    let fetch_all = |ctx: Ctx<'js>, all: Vec<JsRequest>| {
        let requests = all.into_iter().map(request).collect::<Result<Vec<_>>>()?;
        answered(&ctx, http::fetch_all(&requests))
    };
    let eth_call = |ctx: Ctx<'js>, one: JsCall| answered(&ctx, evm::eth_call(&call(one)));
    let eth_call_all = |ctx: Ctx<'js>, calls: Vec<JsCall>| {
        let calls: Vec<evm::Call> = calls.into_iter().map(call).collect();
        answered(&ctx, evm::eth_call_all(&calls))
    };
    let balance = |ctx: Ctx<'js>, chain: Count, account: Bytes| {
        answered(&ctx, evm::balance(chain.0, &account.0).map(Bytes))
    };
    let nonce = |ctx: Ctx<'js>, chain: Count, account: Bytes| {
        answered(&ctx, evm::nonce(chain.0, &account.0).map(Count))
    };
    let code_hash = |ctx: Ctx<'js>, chain: Count, account: Bytes| {
        answered(&ctx, evm::code_hash(chain.0, &account.0).map(Bytes))
    };
    let storage_at = |ctx: Ctx<'js>, chain: Count, contract: Bytes, slot: Bytes| {
        answered(&ctx, evm::storage_at(chain.0, &contract.0, &slot.0).map(Bytes))
    };
    let receipt = |ctx: Ctx<'js>, chain: Count, hash: Bytes| {
        // null, not undefined, where there is none
        let null = Value::new_null(ctx.clone());
        match evm::transaction_receipt(chain.0, &hash.0) {
            Ok(None) => Ok(null),
            Ok(Some(receipt)) => receipt.into_js(&ctx),
            Err(error) => denial(&ctx, error),
        }
    };
    native.set("fetch", Function::new(ctx.clone(), fetch)?)?;
    native.set("fetchAll", Function::new(ctx.clone(), fetch_all)?)?;
    native.set("ethCall", Function::new(ctx.clone(), eth_call)?)?;
    native.set("ethCallAll", Function::new(ctx.clone(), eth_call_all)?)?;
    native.set("balance", Function::new(ctx.clone(), balance)?)?;
    native.set("nonce", Function::new(ctx.clone(), nonce)?)?;
    native.set("codeHash", Function::new(ctx.clone(), code_hash)?)?;
    native.set("storageAt", Function::new(ctx.clone(), storage_at)?)?;
    native.set("logs", Function::new(ctx.clone(), logs)?)?;
    native.set("receipt", Function::new(ctx.clone(), receipt)?)
}

fn logs<'js>(
    ctx: Ctx<'js>,
    chain: Count,
    addresses: Vec<Bytes>,
    topics: Vec<Vec<Bytes>>,
    from_block: Count,
    to_block: Count,
) -> Result<Value<'js>> {
    let plain = |list: Vec<Bytes>| list.into_iter().map(|bytes| bytes.0).collect();
    let filter = evm::Filter {
        chain_id: chain.0,
        addresses: plain(addresses),
        topics: topics.into_iter().map(plain).collect(),
        from_block: from_block.0,
        to_block: to_block.0,
    };
    answered(&ctx, evm::logs(&filter))
}

fn hashes<'js>(ctx: &Ctx<'js>, native: &Object<'js>) -> Result<()> {
    let keccak = |data: Bytes| Bytes(crypto::keccak256(&data.0));
    let sha = |data: Bytes| Bytes(crypto::sha256(&data.0));
    // Bytes, or the text that says why not.
    let typed_data = |ctx: Ctx<'js>, json: String| match crypto::typed_data_digest(&json) {
        Ok(digest) => Bytes(digest).into_js(&ctx),
        Err(why) => why.into_js(&ctx),
    };
    native.set("keccak256", Function::new(ctx.clone(), keccak)?)?;
    native.set("sha256", Function::new(ctx.clone(), sha)?)?;
    native.set("typedDataDigest", Function::new(ctx.clone(), typed_data)?)
}

fn signatures<'js>(ctx: &Ctx<'js>, native: &Object<'js>) -> Result<()> {
    let recover =
        |digest: Bytes, signature: Bytes| crypto::secp256k1_recover(&digest.0, &signature.0).map(Bytes);
    native.set("secp256k1Recover", Function::new(ctx.clone(), recover)?)?;
    let verifiers: [(&str, Verifier); 4] = [
        ("secp256k1Verify", crypto::secp256k1_verify),
        ("bip340Verify", crypto::bip340_verify),
        ("p256Verify", crypto::p256_verify),
        ("ed25519Verify", crypto::ed25519_verify),
    ];
    for (name, verify) in verifiers {
        let verify =
            move |key: Bytes, signed: Bytes, signature: Bytes| verify(&key.0, &signed.0, &signature.0);
        native.set(name, Function::new(ctx.clone(), verify)?)?;
    }
    Ok(())
}

fn level_of(name: &str) -> log::Level {
    match name {
        "debug" => log::Level::Debug,
        "warn" => log::Level::Warn,
        "error" => log::Level::Error,
        _ => log::Level::Info,
    }
}

/// The answer, or an object of kind and text for the bindings to throw: they know where the author's call is.
fn answered<'js, T: IntoJs<'js>>(
    ctx: &Ctx<'js>,
    answer: std::result::Result<T, types::Error>,
) -> Result<Value<'js>> {
    match answer {
        Ok(answer) => answer.into_js(ctx),
        Err(error) => denial(ctx, error),
    }
}

fn denial<'js>(ctx: &Ctx<'js>, error: types::Error) -> Result<Value<'js>> {
    let (kind, text) = match error {
        types::Error::Denied(text) => ("denied", text),
        types::Error::Limit(text) => ("limit", text),
        types::Error::Invalid(text) => ("invalid", text),
    };
    let denial = Object::new(ctx.clone())?;
    denial.set("kind", kind)?;
    denial.set("text", text)?;
    Ok(denial.into_value())
}

/// Checks a signature: public key, what was signed, signature.
type Verifier = fn(&[u8], &[u8], &[u8]) -> bool;
