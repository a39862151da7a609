//! The actions in JavaScript that come with this repository, on the runner that comes with nodes.

mod guest;

use countersign_action::{Abort, LiveRun, ReadFailure};
use countersign_types::{
    Payload, Verdict,
    http::{HttpRead, HttpResponse},
};
use guest::{Answers, Guest, nobody, refusal, response, world};

async fn replayed(guest: &Guest, live: &LiveRun) {
    let replay = guest.replay(&live.reads).await;
    assert_eq!((&replay.end, replay.fuel), (&live.end, live.fuel));
}

fn response_of(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Allow { payloads, response } => {
            assert_eq!(payloads, &[Payload::Bytes(b"hello".to_vec().into())]);
            String::from_utf8(response.to_vec()).expect("a text")
        }
        Verdict::Refuse { reason } => panic!("refused: {reason}"),
    }
}

#[tokio::test]
async fn the_balance_gates_in_rust_and_javascript_are_twins() {
    let token = r#""0x2222222222222222222222222222222222222222""#;
    for config in [
        r#"{"chain_id":31337,"token":null,"minimum":"1000"}"#.to_owned(),
        r#"{"chain_id":31337,"minimum":"1007"}"#.to_owned(),
        r#"{"chain_id":31337,"minimum":"1008"}"#.to_owned(),
        r#"{"chain_id":1,"minimum":"1"}"#.to_owned(),
        // this world's contract answers with its calldata twice, which is no balance
        format!(r#"{{"chain_id":31337,"token":{token},"minimum":"1"}}"#),
    ] {
        let rust = Guest::action(guest::host(&guest::small()), "balance-gate", &config, "hello").await;
        let javascript = Guest::javascript("balance-gate-js", &config).await;
        let (rust, live) = (rust.live(Answers::new(world)).await, javascript.live(Answers::new(world)).await);
        assert!(live.end.is_ok(), "{:?}", live.end);
        assert_eq!((&live.end, &live.reads), (&rust.end, &rust.reads), "{config}");
        replayed(&javascript, &live).await;
    }
}

#[tokio::test]
async fn configs_that_are_none_are_refused_by_both() {
    for config in [
        "",
        "[]",
        "{}",
        r#"{"chain_id":1,"minimum":1}"#,
        r#"{"chain_id":1,"minimum":"01"}"#,
        r#"{"chain_id":1,"minimum":"1","x":1}"#,
    ] {
        let rust = Guest::action(guest::host(&guest::small()), "balance-gate", config, "hello").await;
        let javascript = Guest::javascript("balance-gate-js", config).await;
        for live in [rust.live(nobody()).await, javascript.live(nobody()).await] {
            let reason = live.end.as_ref().map(refusal).expect("a refusal");
            assert!(reason.starts_with("the key's config cannot be used: "), "{config}: {reason}");
        }
    }
}

const PRICES: &str =
    r#"{"endpoints":[{"url":"https://a.example/x","pointer":"/price"}],"tolerance":{"bps":50},"#;

#[tokio::test]
async fn a_price_gate_compares_exactly() {
    for (limits, allowed) in [
        (r#""above":"1.49"}"#, true),
        (r#""above":"1.5"}"#, false),
        (r#""below":"1.500000000000000001"}"#, true),
        (r#""above":"1","below":"1.50"}"#, false),
    ] {
        let gate = Guest::javascript("price-gate", &format!("{PRICES}{limits}")).await;
        let live = gate.live(Answers::web(guest::prices)).await;
        match live.end.as_ref().expect("a verdict") {
            verdict if allowed => assert_eq!(
                response_of(verdict),
                r#"{"price":"1.5","prices":["1.5"],"time_ms":1700000000000}"#
            ),
            verdict => assert!(
                refusal(verdict).starts_with("the price is 1.5, the key asks for one "),
                "{verdict:?}"
            ),
        }
        replayed(&gate, &live).await;
    }
    let gate = Guest::javascript("price-gate", &format!("{PRICES}\"abov\":\"1\"}}")).await;
    let live = gate.live(nobody()).await;
    assert!(
        live.end.as_ref().map(refusal).is_ok_and(|reason| reason.contains("unknown field `abov`")),
        "{:?}",
        live.end
    );
}

fn approved(_read: &HttpRead) -> Result<HttpResponse, ReadFailure> {
    Ok(response(r#"{"approved": true, "reason": "within the limit"}"#))
}

fn denied(_read: &HttpRead) -> Result<HttpResponse, ReadFailure> {
    Ok(response(r#"{"approved": "true", "reason": "too much"}"#))
}

#[tokio::test]
async fn a_webhook_approves_or_not() {
    let gate = Guest::javascript("webhook-approval", r#"{"url":"https://a.example/{digest}"}"#).await;
    let live = gate.live(Answers::web(approved)).await;
    let said = response_of(live.end.as_ref().expect("a verdict"));
    assert_eq!(said, r#"{"approved":true,"reason":"within the limit"}"#);
    replayed(&gate, &live).await;
    let live = gate.live(Answers::web(denied)).await;
    let reason = live.end.as_ref().map(refusal).expect("only true itself approves");
    assert!(reason.ends_with(": too much"), "{reason}");
}

#[tokio::test]
async fn a_mistake_ends_the_run_with_its_place() {
    let runner = countersign_runners::javascript();
    let guest = Guest::script(runner.component, "export default function run() {\n  nothing();\n}").await;
    let live = guest.live(nobody()).await;
    let Err(Abort::Script { text }) = &live.end else { panic!("{:?}", live.end) };
    assert!(text.starts_with("action.js:2:"), "{text}");
    let source = "export default function run() {\n  return new TextEncoder().encode(\"a\");\n}";
    let live = Guest::script(runner.component, source).await.live(nobody()).await;
    let Err(Abort::Script { text }) = &live.end else { panic!("{:?}", live.end) };
    assert!(text.starts_with("action.js:2:"), "{text}");
    assert!(text.ends_with("TextEncoder is not defined; \"countersign\" has utf8(text)"), "{text}");
}

#[tokio::test]
async fn a_mistake_that_the_interpreter_does_not_name_is_told_with_what_there_is() {
    for (mistake, expected) in [
        ("JSON.parse(context.params)", "SyntaxError: unexpected data at the end; context.params and "),
        (
            "http.get(\"https://a.example/\")",
            "TypeError: not a function; is the name right? http has fetch, ",
        ),
        ("sign.message(context.params)", "sign has bytes, personalMessage, typedData, raw; "),
    ] {
        let source = format!(
            "import {{ context, http, sign }} from \"countersign\";\nexport default function run() {{\n  \
             return [http, sign, {mistake}];\n}}"
        );
        let script = Guest::script(countersign_runners::javascript().component, &source).await;
        let live = script.live(nobody()).await;
        let Err(Abort::Script { text }) = &live.end else { panic!("{mistake}: {:?}", live.end) };
        assert!(text.starts_with("action.js:3:") && text.contains(expected), "{text}");
        replayed(&script, &live).await;
    }
}
