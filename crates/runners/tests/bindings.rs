//! Every binding: what a script writes, what the host is asked, and what the script gets.

mod world;

use std::collections::BTreeSet;

use world::{Agree, CallResult, Ended, Error, Payload, Receipt, Response, World, entry, response, word};

const ACCOUNT: &str = "0x1111111111111111111111111111111111111111";

/// Runs an expression, whose value is answered as JSON, and gives the imports that it called.
fn value(world: World, expression: &str) -> (String, Vec<String>) {
    let ended = world.body(&format!(
        "const A = '{ACCOUNT}';\nconst plain = (_, v) => typeof v === 'bigint' ? `${{v}}n` : v instanceof Uint8Array ? \
         cs.hex(v) : v;\nreturn {{ sign: cs.sign.raw('0x00'), response: JSON.stringify({expression}, plain) }};"
    ));
    (ended.response().to_owned(), ended.world.asked)
}

fn check(expression: &str, expected: &str, asked: &[&str]) {
    let (got, calls) = value(World::default(), expression);
    assert_eq!(got, expected, "{expression}");
    assert_eq!(calls, asked, "{expression}");
}

/// What scripts for browsers and Node.js use, and is not there. `actions/README.md` says what is instead.
const NOT_THERE: [&str; 18] = [
    "Atomics",
    "Buffer",
    "Intl",
    "TextDecoder",
    "TextEncoder",
    "URL",
    "URLSearchParams",
    "WebAssembly",
    "WebSocket",
    "XMLHttpRequest",
    "crypto",
    "fetch",
    "performance",
    "process",
    "require",
    "setInterval",
    "setTimeout",
    "structuredClone",
];
/// What is there beside the language.
const THERE: [&str; 4] = ["atob", "btoa", "console", "queueMicrotask"];

/// Those of the names that a script finds something under, as a JSON array.
fn defined(names: &[&str]) -> String {
    let types: Vec<String> = names.iter().map(|name| format!("{name}: typeof {name}")).collect();
    let is_there = "([, type]) => type !== 'undefined'";
    let expression =
        format!("Object.entries({{ {} }}).filter({is_there}).map(([name]) => name)", types.join(", "));
    value(World::default(), &expression).0
}

#[test]
fn there_is_of_browsers_and_node_what_the_document_says() {
    assert_eq!(defined(&NOT_THERE), "[]");
    assert_eq!(defined(&THERE), r#"["atob","btoa","console","queueMicrotask"]"#);
    let document = include_str!("../../../actions/README.md");
    for name in NOT_THERE.iter().chain(&THERE) {
        assert!(document.contains(&format!("`{name}`")), "{name} is not in actions/README.md");
    }
}

#[test]
fn chains_are_read() {
    check("cs.evm.balance(31337, A)", r#""1000n""#, &[&format!("balance 31337 {}", &ACCOUNT[2..])]);
    check(
        "cs.evm.balance(31337n, cs.fromHex(A))",
        r#""1000n""#,
        &[&format!("balance 31337 {}", &ACCOUNT[2..])],
    );
    check("cs.evm.nonce(31337, A)", "42", &[&format!("nonce 31337 {}", &ACCOUNT[2..])]);
    let code = format!("\"0x{}\"", "cc".repeat(32));
    check("cs.evm.codeHash(31337, A)", &code, &[&format!("code-hash 31337 {}", &ACCOUNT[2..])]);
    let slot = format!("\"0x{:064x}\"", 99);
    check(
        "cs.evm.storageAt(31337, A, 7n)",
        &slot,
        &[&format!("storage-at 31337 {} {:064x}", &ACCOUNT[2..], 7)],
    );
}

#[test]
fn contracts_are_called() {
    let asked = format!("eth-call 31337 {} 1234 None", &ACCOUNT[2..]);
    let five = format!(r#"{{"reverted":false,"data":"0x{:064x}"}}"#, 5);
    check("cs.evm.call({ chainId: 31337, to: A, data: '0x1234' })", &five, &[&asked]);
    let asked = format!("eth-call 31337 {0}  Some(\"{0}\")", &ACCOUNT[2..]);
    check("cs.evm.call({ chainId: 31337, to: A, from: A })", &five, &[&asked]);
    check("cs.evm.callAll([{ chainId: 1, to: A }, { chainId: 1, to: A }]).length", "2", &["eth-call-all 2"]);
    let reverted = World { call: Ok(CallResult::Reverted(vec![1])), ..World::default() };
    let (got, _) = value(reverted, "cs.evm.call({ chainId: 31337, to: A })");
    assert_eq!(got, r#"{"reverted":true,"data":"0x01"}"#);
}

#[test]
fn tokens_have_balances_or_are_none() {
    let (got, asked) = value(World::default(), "cs.erc20.balanceOf(31337, '0x' + '22'.repeat(20), A)");
    assert_eq!(got, r#""5n""#);
    assert!(asked[1].ends_with(&format!("70a08231{:0>64} None", &ACCOUNT[2..])), "{asked:?}");
    let nothing = World { call: Ok(CallResult::Ok(vec![])), ..World::default() };
    let ended = nothing.body("cs.erc20.balanceOf(31337, '0x' + 'AB'.repeat(20), cs.context.firstCaller())");
    let expected = format!(
        "0x{} on chain 31337 is no ERC-20 token: asked for a balance, it returns 0 bytes",
        "ab".repeat(20)
    );
    assert!(ended.failed().contains(&expected), "{}", ended.failed());
}

#[test]
fn logs_and_receipts_are_read() {
    let filter = "{ chainId: 31337, addresses: [A], topics: [null, '0x' + '05'.repeat(32), ['0x' + '06'.repeat(32)]], \
                  fromBlock: 1, toBlock: 7n }";
    let (got, asked) = value(World::default(), &format!("cs.evm.logs({filter})"));
    assert!(got.starts_with(&format!(r#"[{{"address":"0x{}","topics":["0x01"#, "aa".repeat(20))), "{got}");
    assert!(got.contains(r#""data":"0x03","blockNumber":6,"#) && got.ends_with(r#""index":5}]"#), "{got}");
    assert_eq!(asked, [format!("logs 31337 [\"{}\"] [[], [5], [6]] 1..7", &ACCOUNT[2..])]);

    let hash = "'0x' + '04'.repeat(32)";
    let (got, _) = value(World::default(), &format!("cs.evm.transactionReceipt(31337, {hash})"));
    assert_eq!(got, "null");
    let receipt = Receipt { success: true, block_number: 6, block_hash: vec![8; 32], logs: vec![entry()] };
    let world = World { receipt: Some(receipt), ..World::default() };
    let (got, _) = value(world, &format!("cs.evm.transactionReceipt(31337, {hash})"));
    assert!(got.starts_with(r#"{"success":true,"blockNumber":6,"blockHash":"0x08"#), "{got}");
}

#[test]
fn a_fetch_by_fields_gives_the_fields() {
    let world = World { response: Ok(response(r#"{"/a":"101.5","/b":true}"#)), ..World::default() };
    let options = "{ fields: { '/a': cs.median({ bps: 50, abs: '0.5' }), '/b': cs.identical }, \
                   headers: { accept: 'application/json' }, timeoutMs: 500, maxBody: 1000 }";
    let (got, asked) = value(world, &format!("cs.http.fetch('https://a.test/x', {options})"));
    assert_eq!(got, r#"{"status":200,"fields":{"/a":"101.5","/b":true}}"#);
    let [asked] = &asked[..] else { panic!("{asked:?}") };
    for part in
        ["https://a.test/x", "accept", "max-body: 1000", "timeout-ms: 500", "bps: 50", "\"0.5\"", "Identical"]
    {
        assert!(asked.contains(part), "{part}: {asked}");
    }
}

#[test]
fn a_whole_fetch_gives_the_body() {
    let fetch = "(() => { const r = cs.http.fetch('https://a.test'); return [r.status, r.headers, r.body.length, r.text(), r.json().a]; })()";
    let (got, asked) = value(World::default(), fetch);
    assert_eq!(got, r#"[200,{"content-type":"application/json"},7,"{\"a\":1}",1]"#);
    assert!(asked[0].ends_with(&format!("{:?}", Agree::Identical)), "{asked:?}");
    let (got, _) =
        value(World::default(), "cs.http.fetchAll(['https://a.test', { url: 'https://b.test' }]).length");
    assert_eq!(got, "2");
}

#[test]
fn a_body_that_is_no_text_is_bytes_all_the_same() {
    let body = || Response { status: 200, headers: vec![], body: vec![0xff, 0xfe] };
    let world = World { response: Ok(body()), ..World::default() };
    assert_eq!(value(world, "cs.http.fetch('https://a.test').body").0, r#""0xfffe""#);
    let world = World { response: Ok(body()), ..World::default() };
    let ended = world.body("cs.http.fetch('https://a.test').text()");
    assert!(ended.failed().contains("these bytes are not UTF-8"), "{}", ended.failed());
}

#[test]
fn all_rules_reach_the_host() {
    let rules = "{ '/a': cs.min({ bps: 1 }), '/b': cs.max(), '/c': cs.mode, '/d': cs.median() }";
    let (_, asked) =
        value(World::default(), &format!("cs.http.fetch('https://a.test', {{ fields: {rules} }})"));
    let order: Vec<usize> = ["Rule::Min", "Rule::Max", "Rule::Mode", "Rule::Median"]
        .iter()
        .filter_map(|rule| asked[0].find(rule))
        .collect();
    assert!(order.len() == 4 && order.is_sorted(), "{}", asked[0]);
}

#[test]
fn an_error_of_the_host_has_a_kind() {
    for (error, kind) in [
        (Error::Denied("d".into()), "denied"),
        (Error::Limit("l".into()), "limit"),
        (Error::Invalid("i".into()), "invalid"),
    ] {
        let world = World { response: Err(error), ..World::default() };
        let caught = "(() => { try { cs.http.fetch('https://a.test') } catch (e) { return [e.kind, e instanceof cs.HostError] } })()";
        assert_eq!(value(world, caught).0, format!(r#"["{kind}",true]"#));
    }
}

#[test]
fn hashes_and_signatures_are_the_hosts() {
    check("cs.crypto.sha256(cs.utf8('a'))", &format!("\"0x{}\"", "22".repeat(32)), &["sha256 61"]);
    check("cs.crypto.keccak256('0x01').length", "32", &["keccak256 01"]);
    check(
        "cs.crypto.secp256k1Recover(cs.context.seed, new Uint8Array(65))",
        &format!("\"0x{}\"", "ab".repeat(20)),
        &["secp256k1-recover 32 65"],
    );
    check("cs.crypto.secp256k1Recover(cs.context.seed, '0x01')", "null", &["secp256k1-recover 32 1"]);
    for (name, import, valid) in [
        ("secp256k1Verify", "secp256k1-verify", true),
        ("bip340Verify", "bip340-verify", true),
        ("p256Verify", "p256-verify", false),
        ("ed25519Verify", "ed25519-verify", true),
    ] {
        check(
            &format!("cs.crypto.{name}('0x01', '0x02', '0x03')"),
            &valid.to_string(),
            &[&format!("{import} 1 2 3")],
        );
    }
    check(
        "cs.crypto.typedDataDigest({ types: {}, message: { value: 10n ** 18n, data: new Uint8Array(2) } }).length",
        "32",
        &[r#"typed-data-digest {"types":{},"message":{"value":"1000000000000000000","data":"0x0000"}}"#],
    );
}

#[test]
fn the_context_is_the_requests() {
    let fields = "[cs.context.requestDigest[0], cs.context.sessionId[0], cs.context.actionId[0], cs.context.keyId[0], \
                  cs.context.scheme, cs.context.publicKey.length, cs.context.configJson(), cs.fromUtf8(cs.context.params), \
                  cs.context.callers, cs.context.timeMs, cs.context.seed.length, cs.context.pin(31337).number, \
                  cs.context.firstCaller() === A]";
    let callers = format!(r#"[{{"kind":"eip191","id":"{ACCOUNT}","address":"{ACCOUNT}"}}]"#);
    let expected = format!(
        r#"[1,2,3,4,"schnorr-secp256k1",33,{{"minimum":"5"}},"hello",{callers},1700000000000,32,7,true]"#
    );
    check(fields, &expected, &[]);
    let refused = |body: &str, world: World| world.body(body).refused().to_owned();
    assert!(
        refused("cs.context.pin(1)", World::default()).starts_with("chain 1 is not among the chains [31337]")
    );
    assert!(
        refused("cs.context.paramsJson()", World::default())
            .starts_with("the request's params cannot be used: ")
    );
    let mut bare = World::default();
    bare.request.config = vec![];
    assert_eq!(
        refused("cs.context.configJson()", bare),
        "the key's config cannot be used: there is none, and this action needs one in JSON"
    );
    let mut nobody = World::default();
    nobody.request.callers[0].kind = "passkey".into();
    assert!(refused("cs.context.firstCaller()", nobody).starts_with("no account has signed the request"));
}

#[test]
fn bytes_decimals_and_words_are_exact() {
    for (expression, expected) in [
        (
            "[cs.hex(cs.utf8('hé')), cs.fromUtf8('0x68c3a9'), cs.concat('0x01', cs.fromHex('0x0203'))]",
            r#"["0x68c3a9","hé","0x010203"]"#,
        ),
        (
            "[cs.decimal.add('0.1', '0.2'), cs.decimal.sub(1n, '1.5'), cs.decimal.mul('1.5', '1e3')]",
            r#"["0.3","-0.5","1500"]"#,
        ),
        (
            "[cs.decimal.scale('1.5', 18), cs.decimal.unscale(15n, 1), cs.decimal.canonical('-0.0')]",
            r#"["1500000000000000000n","1.5","0"]"#,
        ),
        (
            "['eq', 'lt', 'lte', 'gt', 'gte'].map((is) => cs.decimal[is]('1.50', '15e-1'))",
            "[true,false,true,false,true]",
        ),
        ("['2', '10', '-1'].sort(cs.decimal.compare)", r#"["-1","2","10"]"#),
        (
            "cs.abi.decode(['uint256', 'int8', 'bool', 'address', 'bytes2'], cs.abi.encode(['uint256', 'int8', 'bool', 'address', 'bytes2'], [5n, -1, true, A, '0x1234']))",
            &format!(r#"["5n","-1n",true,"{ACCOUNT}","0x1234"]"#),
        ),
    ] {
        check(expression, expected, &[]);
    }
}

#[test]
fn all_kinds_of_payloads_and_responses_are_returned() {
    let ended = World::default().body(
        "return { sign: [cs.sign.bytes('0x01'), cs.sign.personalMessage(cs.utf8('m')), cs.sign.typedData({ a: 1n }), \
         cs.sign.raw('0x02')], response: new Uint8Array([3]) }",
    );
    let expected = [
        Payload::Bytes(vec![1]),
        Payload::PersonalMessage(b"m".to_vec()),
        Payload::TypedData(r#"{"a":"1"}"#.into()),
        Payload::Raw(vec![2]),
    ];
    assert_eq!(format!("{:?}", ended.signs()), format!("{expected:?}"));
    assert_eq!(ended.response(), "\u{3}");
    let one = |body: &str| -> Ended { World::default().body(body) };
    assert_eq!(one("return cs.sign.bytes(cs.context.params)").signs().len(), 1);
    assert_eq!(one("return [cs.sign.raw('0x01'), cs.sign.raw('0x02')]").signs().len(), 2);
    assert_eq!(one("return { sign: cs.sign.raw('0x01'), response: { a: [1] } }").response(), r#"{"a":[1]}"#);
    assert_eq!(word(1).len(), 32);
}

#[test]
fn lines_are_logged() {
    let ended = World::default().body(
        "cs.log.debug('d'); cs.log.warn('w', 5n); console.log({ a: 1n }, new Uint8Array(1)); cs.log.error(new Error('e')); \
         cs.log.info(1); return cs.sign.raw('0x00')",
    );
    let expected = [
        "Level::Debug d",
        "Level::Warn w 5",
        r#"Level::Info {"a":"1"} 0x00"#,
        "Level::Error Error: e",
        "Level::Info 1",
    ];
    assert_eq!(ended.world.logs, expected);
}

/// The names that `countersign.d.ts` declares as values, and those that the module has, are the same.
#[test]
fn what_is_declared_is_there_and_the_other_way_round() {
    let declarations = include_str!("../../../actions/countersign.d.ts");
    let mut declared = BTreeSet::new();
    let mut within: Option<String> = None;
    for line in declarations.lines() {
        let text = line.trim_start();
        let name = |rest: &str| rest.chars().take_while(|c| c.is_alphanumeric()).collect::<String>();
        if let Some(rest) = ["export function ", "export class ", "export const "]
            .iter()
            .find_map(|start| text.strip_prefix(start))
        {
            declared.insert(name(rest));
            within = (text.starts_with("export const") && text.ends_with('{')).then(|| name(rest));
        } else if line == "  };" || line == "  }" {
            within = None;
        } else if let (Some(object), true) = (&within, line.starts_with("    ") && !line.starts_with("     "))
        {
            let member = name(text.strip_prefix("readonly ").unwrap_or(text));
            if !member.is_empty() {
                declared.insert(format!("{object}.{member}"));
            }
        }
    }
    let names = "Object.entries(cs).flatMap(([name, value]) => value !== null && typeof value === 'object' && \
                 !['identical', 'mode'].includes(name) ? [name, ...Object.keys(value).map((key) => `${name}.${key}`)] : [name])";
    let (there, _) = value(World::default(), names);
    let there: BTreeSet<String> =
        there.trim_matches(['[', ']']).split(',').map(|name| name.trim_matches('"').to_owned()).collect();
    assert_eq!(declared, there);
}
