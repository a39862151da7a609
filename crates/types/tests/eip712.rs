//! Every hash and id of the vectors again, computed from what the vectors say, and by none of our own code.
//!
//! EIP-712 is done by alloy's dynamic typed data here, over `vectors/eip712-types.json`, and the ABI by its dynamic
//! types: another implementation can do the same with the library that it has.

use alloy_dyn_abi::{DynSolType, TypedData};
use alloy_primitives::{B256, Bytes, keccak256};
use k256::elliptic_curve::sec1::ToEncodedPoint;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

const TYPES: &str = include_str!("../vectors/eip712-types.json");
const VECTORS: &str = include_str!("../vectors/hashes.json");

#[test]
fn ids_are_hashes_of_structs() {
    let vectors = vectors();
    let genesis = &vectors["genesis"];
    let mut sorted = genesis["value"].clone();
    sorted["members"].as_array_mut().expect("a list").sort_by_key(|key| text(key).to_owned());
    sorted["chains"].as_array_mut().expect("a list").sort_by_key(Value::as_u64);
    assert_eq!(hash(&genesis["network_id"]), struct_hash("Genesis", sorted));
    for case in list(&vectors["key_specs"]) {
        assert_eq!(hash(&case["key_id"]), struct_hash("KeySpec", in_solidity(&case["value"])));
        let derivation = json!({ "root": case["derivation_root"], "key": case["key_id"] });
        assert_eq!(hash(&case["derivation_digest"]), struct_hash("Derivation", derivation));
    }
    for case in list(&vectors["manifests"]) {
        assert_eq!(hash(&case["action_id"]), struct_hash("Manifest", in_solidity(&case["value"])));
    }
    let manifests = list(&vectors["manifests"]);
    assert_eq!(hash(&manifests[0]["value"]["script"]), B256::ZERO, "a component that runs no script");
    assert_eq!(manifests[1]["value"]["script"], vectors["script"]["digest"]);
    let (component, script) = (&vectors["component"], &vectors["script"]);
    assert_eq!(hash(&component["digest"]), keccak256(bytes(&component["value"])));
    assert_eq!(hash(&script["digest"]), keccak256(text(&script["value"])));
}

#[test]
fn the_domain_is_name_version_and_network() {
    let domain = &vectors()["domain"];
    let parts = [
        keccak256("EIP712Domain(string name,string version,bytes32 salt)"),
        keccak256("Countersign"),
        keccak256("1"),
        hash(&domain["network"]),
    ];
    assert_eq!(hash(&domain["separator"]), keccak256(parts.concat()));
}

#[test]
fn identities_are_named_as_ethereum_and_libp2p_name_them() {
    for identity in list(&vectors()["identities"]) {
        let compressed = bytes(&identity["public_key"]);
        let point = k256::PublicKey::from_sec1_bytes(&compressed).expect("a point").to_encoded_point(false);
        let address = Bytes::copy_from_slice(&keccak256(&point.as_bytes()[1..])[12..]);
        assert_eq!(bytes(&identity["address"]), address);
        // a multihash that holds the key itself: its type secp256k1, and its 33 bytes
        let multihash = [[0x00, 0x25, 0x08, 0x02, 0x12, 0x21].as_slice(), compressed.as_ref()].concat();
        assert_eq!(text(&identity["peer_id"]), bs58::encode(multihash).into_string());
    }
}

#[test]
fn what_is_signed_is_typed_data() {
    let vectors = vectors();
    let same = |case: &Value, expected: &str, primary: &str, message: Value| {
        assert_eq!(hash(&case[expected]), digest(primary, &case["network"], message), "{primary}");
    };

    let publication = &vectors["publication"];
    same(publication, "digest", "PublishAction", in_solidity(&publication["value"]));

    let request = &vectors["request"];
    let expected = digest("Request", &request["value"]["network"], in_solidity(&request["value"]));
    assert_eq!(hash(&request["digest"]), expected);

    let session = &vectors["session"];
    assert_eq!(session["value"]["request"], request["digest"]);
    let mut terms = in_solidity(&session["value"]);
    terms["time"] = terms["timeMs"].take();
    same(session, "session_id", "Session", terms);
    let seed = [b"countersign/seed/v1".as_slice(), hash(&session["session_id"]).as_slice()].concat();
    assert_eq!(hash(&session["seed"]), keccak256(seed));

    let observed = &vectors["observed"];
    let message = json!({ "session": observed["session"], "record": vectors["record"]["hash"] });
    same(observed, "digest", "Observed", message);

    let vote = &vectors["vote"];
    let terms = &vote["value"]["vote"];
    assert_eq!(terms["session"], session["session_id"]);
    assert_eq!(terms["record"], vectors["record"]["hash"]);
    assert_eq!(terms["outcome"], vectors["outcomes"][0]["hash"]);
    same(vote, "digest", "Vote", terms.clone());

    let read_receipt = &vectors["read_receipt"];
    same(read_receipt, "digest", "ReadReceipt", in_solidity(read_receipt));
}

#[test]
fn root_keys_follow_from_their_ceremony() {
    let vectors = vectors();
    let case = &vectors["key_generation"];
    let network = &case["root_keys"]["network"];
    let mut terms = case["terms"].clone();
    terms["attempt"] = terms["number"].take();
    assert_eq!(hash(&case["attempt_id"]), digest("KeyGeneration", network, terms));

    let roots = in_solidity(&case["root_keys"]["ceremonies"][0]["roots"]);
    let hashes: Vec<B256> = list(&roots).iter().map(|root| struct_hash("RootKey", root.clone())).collect();
    assert_eq!(hash(&case["roots_hash"]), keccak256(hashes.concat()));
    let activate = json!({ "epoch": case["terms"]["epoch"], "attempt": case["attempt_id"], "roots": roots });
    assert_eq!(hash(&case["activation_digest"]), digest("Activate", network, activate));
}

#[test]
fn reads_and_values_are_hashes_of_their_abi_encoding() {
    for case in list(&vectors()["reads"]) {
        let (name, read) = only(&case["read"]);
        let (import, types, order): (_, _, &[&str]) = match name {
            "call" => ("evm.eth-call", "(uint64,address,bytes,address)", &["chain_id", "to", "data", "from"]),
            "balance" => ("evm.balance", "(uint64,address)", &["chain_id", "address"]),
            "nonce" => ("evm.nonce", "(uint64,address)", &["chain_id", "address"]),
            "code-hash" => ("evm.code-hash", "(uint64,address)", &["chain_id", "address"]),
            "storage" => ("evm.storage-at", "(uint64,address,bytes32)", &["chain_id", "address", "slot"]),
            "logs" => (
                "evm.logs",
                "(uint64,address[],bytes32[][],uint64,uint64)",
                &["chain_id", "addresses", "topics", "from_block", "to_block"],
            ),
            "receipt" => ("evm.transaction-receipt", "(uint64,bytes32)", &["chain_id", "tx_hash"]),
            other => panic!("a read of an unknown kind: {other}"),
        };
        assert_eq!(text(&case["import"]), import);
        let arguments = abi(types, fields(read, order));
        same_read(case, import, &arguments);

        let (kind, result) = only(&case["result"]);
        assert_eq!(kind, name, "a read of one kind brings a value of it");
        let value = evm_value(kind, result);
        assert_eq!(bytes(&case["value"]), value);
        assert_eq!(hash(&case["value_digest"]), keccak256(&value));
        assert_eq!(case["value_length"], value.len());
    }
}

#[test]
fn http_reads_and_responses_are_hashes_of_their_abi_encoding() {
    let vectors = vectors();
    let http = &vectors["http"];
    for case in list(&http["reads"]) {
        let read = &case["read"];
        let headers = list(&read["headers"]).iter().map(|header| json!([header["name"], header["value"]]));
        let agreed = read["agree"].get("fields").map(list).unwrap_or_default();
        let agreed: Vec<Value> = agreed
            .iter()
            .map(|field| {
                let rule = rule(&field["rule"]);
                json!([field["pointer"], rule["name"], rule["bps"], rule["abs"]])
            })
            .collect();
        let arguments = json!([
            read["url"],
            headers.collect::<Vec<_>>(),
            read["max_body"],
            read["timeout_ms"],
            read["agree"] == "identical",
            agreed,
        ]);
        let types = "(string,(string,string)[],uint32,uint32,bool,(string,string,uint32,string)[])";
        same_read(case, "http.fetch", &abi(types, arguments));
    }
    let response = &http["response"];
    let result = &response["result"];
    let value = json!([result["status"], true, result["content_type"], result["body"]]);
    let value = abi("(uint16,bool,string,bytes)", value);
    assert_eq!(bytes(&response["value"]), value);
    assert_eq!(hash(&response["digest"]), keccak256(&value));
    assert_eq!(response["length"], value.len());
}

#[test]
fn a_record_is_the_hash_of_its_reads() {
    let case = &vectors()["record"];
    let reads: Vec<Value> = list(&case["value"]).iter().map(recorded).collect();
    assert_eq!(hash(&case["hash"]), struct_hash("Record", json!({ "reads": reads })));
}

#[test]
fn outcomes_are_hashes_of_what_is_signed() {
    let vectors = vectors();
    let [allowed, refused] = list(&vectors["outcomes"]) else { panic!("two outcomes") };
    assert_eq!(allowed["payloads"], vectors["payloads"]);
    assert_eq!(hash(&allowed["hash"]), struct_hash("AllowedOutcome", allowed.clone()));
    assert_eq!(hash(&refused["hash"]), struct_hash("RefusedOutcome", refused.clone()));

    for payload in list(&vectors["payloads"]) {
        let content = bytes(&payload["content"]);
        let expected: Bytes = match text(&payload["kind"]) {
            "bytes" => {
                let tag = Sha256::digest("countersign/bytes/v1");
                let key = hash(&payload["key_id"]);
                let tagged = [tag.as_slice(), tag.as_slice(), key.as_slice(), content.as_ref()].concat();
                Bytes::copy_from_slice(&Sha256::digest(tagged))
            }
            "personal-message" => {
                let prefix = format!("\x19Ethereum Signed Message:\n{}", content.len());
                keccak256([prefix.as_bytes(), content.as_ref()].concat()).into()
            }
            "typed-data" => {
                let data: TypedData = serde_json::from_slice(&content).expect("typed data");
                data.eip712_signing_hash().expect("a digest").into()
            }
            "raw" => content,
            other => panic!("a payload of an unknown kind: {other}"),
        };
        assert_eq!(bytes(&payload["message"]), expected, "{}", payload["kind"]);
    }
}

fn vectors() -> Value {
    serde_json::from_str(VECTORS).expect("JSON")
}

fn typed_data(primary: &str, network: &Value, message: Value) -> TypedData {
    let types: Value = serde_json::from_str(TYPES).expect("JSON");
    let domain = json!({ "name": "Countersign", "version": "1", "salt": network });
    let data = json!({ "types": types, "primaryType": primary, "domain": domain, "message": message });
    serde_json::from_value(data).expect("typed data")
}

/// The digest that is signed in a network's domain.
fn digest(primary: &str, network: &Value, message: Value) -> B256 {
    typed_data(primary, network, message).eip712_signing_hash().expect("a message of this type")
}

/// `hashStruct`, in which there is no domain.
fn struct_hash(primary: &str, message: Value) -> B256 {
    typed_data(primary, &json!(B256::ZERO), message).hash_struct().expect("a message of this type")
}

fn same_read(case: &Value, import: &str, arguments: &Bytes) {
    assert_eq!(bytes(&case["arguments"]), *arguments);
    let read = json!({ "import": import, "arguments": arguments });
    assert_eq!(hash(&case["read_id"]), struct_hash("Read", read));
}

/// The values of a tuple, encoded as a function's parameters are.
fn abi(types: &str, values: Value) -> Bytes {
    let types = DynSolType::parse(types).expect("types");
    types.coerce_json(&values).expect("values of these types").abi_encode_params().into()
}

fn evm_value(kind: &str, result: &Value) -> Bytes {
    match kind {
        "call" => abi("(bool,bytes)", fields(result, &["reverted", "data"])),
        "balance" => abi("(uint256)", json!([result])),
        "nonce" => abi("(uint64)", json!([result])),
        "code-hash" | "storage" => abi("(bytes32)", json!([result])),
        "logs" => abi("((address,bytes32[],bytes,uint64,bytes32,uint32)[])", json!([logs(result)])),
        "receipt" => {
            let types = "(bool,bytes32,bool,uint64,(address,bytes32[],bytes,uint64,bytes32,uint32)[])";
            if result.is_null() {
                return abi(types, json!([false, B256::ZERO, false, 0, []]));
            }
            let logs = logs(&result["logs"]);
            let (hash, success, number) =
                (&result["block_hash"], &result["success"], &result["block_number"]);
            abi(types, json!([true, hash, success, number, logs]))
        }
        other => panic!("a value of an unknown kind: {other}"),
    }
}

fn logs(logs: &Value) -> Value {
    let order = ["address", "topics", "data", "block_number", "tx_hash", "index"];
    list(logs).iter().map(|log| fields(log, &order)).collect()
}

/// An entry of a record, as its struct has it.
fn recorded(entry: &Value) -> Value {
    match only(entry) {
        ("identical", read) => {
            json!({ "read": read["read"], "value": read["value"], "length": read["length"], "fields": [] })
        }
        ("fields", read) => {
            let fields: Vec<Value> = list(&read["fields"]).iter().map(field).collect();
            json!({ "read": read["read"], "value": B256::ZERO, "length": 0, "fields": fields })
        }
        (other, _) => panic!("an entry of an unknown kind: {other}"),
    }
}

fn field(field: &Value) -> Value {
    let (kind, value) = match field["value"].as_str() {
        Some(null) => (null, String::new()),
        None => match only(&field["value"]) {
            ("bool", value) => ("bool", value.to_string()),
            (kind, value) => (kind, text(value).to_owned()),
        },
    };
    json!({ "pointer": field["pointer"], "rule": rule(&field["rule"]), "kind": kind, "value": value })
}

fn rule(rule: &Value) -> Value {
    if rule.is_string() {
        return json!({ "name": rule, "bps": 0, "abs": "0" });
    }
    let (name, tolerance) = only(rule);
    json!({ "name": name, "bps": tolerance["bps"], "abs": tolerance["abs"] })
}

/// The same value with the names that Solidity gives its fields.
fn in_solidity(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let renamed = |(name, value): (&String, &Value)| (camel_case(name), in_solidity(value));
            Value::Object(fields.iter().map(renamed).collect::<Map<_, _>>())
        }
        Value::Array(values) => values.iter().map(in_solidity).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| name + &word[..1].to_uppercase() + &word[1..])
}

/// The one name in an object, and its value.
fn only(value: &Value) -> (&str, &Value) {
    let mut fields = value.as_object().expect("an object").iter();
    let (name, value) = fields.next().expect("a name");
    assert!(fields.next().is_none(), "another name");
    (name, value)
}

/// Some fields of an object, in this order.
fn fields(value: &Value, order: &[&str]) -> Value {
    order.iter().map(|name| value[*name].clone()).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn bytes(value: &Value) -> Bytes {
    text(value).parse().expect("bytes in hex")
}

fn hash(value: &Value) -> B256 {
    text(value).parse().expect("a hash")
}
