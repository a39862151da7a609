//! Reads over HTTP: admitted before anything is fetched, agreed by rule, replayed over what was agreed.

mod guest;

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use countersign_action::{Abort, ReadFailure, Reader};
use countersign_types::{
    FieldRead, Pin, RecordEntry, Rule,
    evm::{EvmRead, EvmValue},
    http::{FieldValue, HttpRead, HttpResponse},
    read::{Read, ReadValue, RecordedRead},
    record::MAX_RECORD_BYTES,
};
use guest::{Answers, Guest, nobody, prices, refusal, response, signs};

fn fields(read: &RecordedRead) -> Vec<FieldRead> {
    let RecordEntry::Fields { fields, .. } = read.entry() else { panic!("fields: {read:?}") };
    fields.clone()
}

/// The read with another number in its first field.
fn with_price(read: &RecordedRead, price: &str) -> RecordedRead {
    let mut agreed = fields(read);
    agreed[0].value = FieldValue::Number(price.parse().expect("a number"));
    read.with_agreed(&agreed).expect("it fits")
}

#[tokio::test]
async fn a_replay_ends_as_the_live_run_did_and_costs_the_same() {
    for name in ["price", "page", "mixed", "ten-fetches"] {
        let guest = Guest::named(name).await;
        let live = guest.live(Answers::web(prices)).await;
        assert!(live.end.is_ok(), "{name}: {:?}", live.end);
        let record = live.record();
        assert!(record.is_bounded() && record.entries.len() == live.reads.len(), "{name}");
        for _ in 0..2 {
            let replay = guest.replay(&live.reads).await;
            assert_eq!(replay.end, live.end, "{name}");
            assert_eq!(replay.fuel, live.fuel, "{name}: fuel");
            assert_eq!(replay.consumed, live.reads.len(), "{name}: reads");
        }
    }
}

#[tokio::test]
async fn of_fields_the_guest_sees_what_was_agreed_and_nothing_else() {
    let guest = Guest::named("price").await;
    let live = guest.live(Answers::web(prices)).await;
    assert_eq!(live.end, Ok(signs(br#"{"/price":"1.5","/name":"gold"}"#.to_vec())));
    assert_eq!(live.reads[0].read().to_string(), "GET https://a.example/price");
    let recorded = fields(&live.reads[0]);
    assert_eq!((recorded[0].pointer.as_str(), recorded[0].rule.name()), ("/price", "median"));
    assert_eq!((recorded[1].pointer.as_str(), recorded[1].rule), ("/name", Rule::Identical));

    let replay = guest.replay(&[with_price(&live.reads[0], "1.507")]).await;
    assert_eq!(replay.end, Ok(signs(br#"{"/price":"1.507","/name":"gold"}"#.to_vec())));
}

#[tokio::test]
async fn an_identical_response_is_replayed_over_the_nodes_own_bytes() {
    let guest = Guest::named("page").await;
    let live = guest.live(Answers::web(|_| Ok(response("a page")))).await;
    assert_eq!(live.end, Ok(signs(b"a page".to_vec())));
    let (digest, bytes) = response("a page").digest();
    let RecordEntry::Identical { value, length, .. } = live.reads[0].entry() else { panic!("identical") };
    assert_eq!((*value, *length), (digest, bytes));
    assert_eq!(guest.replay(&live.reads).await.end, live.end);
}

#[tokio::test]
async fn status_and_content_type_reach_the_guest() {
    let guest = Guest::named("content-type").await;
    let live = guest.live(Answers::web(|_| Ok(HttpResponse { status: 404, ..response("") }))).await;
    assert_eq!(live.end, Ok(signs(b"application/json".to_vec())));
    let without = HttpResponse { content_type: None, status: 404, body: Default::default() };
    let live = guest.live(OneAnswer(without)).await;
    assert!(matches!(live.end, Err(Abort::Trap { .. })), "it insists on a header: {:?}", live.end);
}

#[tokio::test]
async fn reads_of_every_sort_share_one_order() {
    let guest = Guest::named("mixed").await;
    let live = guest.live(Answers::web(prices)).await;
    assert_eq!(live.end, Ok(signs(br#"{"/price":"1.5"}"#.to_vec())));
    let words: Vec<String> = live.reads.iter().map(|read| read.read().to_string()).collect();
    assert_eq!(
        words,
        [
            "balance of 0x0000000000000000000000000000000000000000 on chain 1",
            "GET https://b.example/page",
            "GET https://a.example/price",
            "balance of 0x0100000000000000000000000000000000000000 on chain 1",
        ]
    );
    let mut swapped = live.reads.clone();
    swapped.swap(0, 1);
    assert_eq!(guest.replay(&swapped).await.end, Err(Abort::Diverged { position: 0 }), "another sort");
    let mut swapped = live.reads.clone();
    swapped.swap(1, 2);
    assert_eq!(guest.replay(&swapped).await.end, Err(Abort::Diverged { position: 1 }), "another URL");
    for position in 0..4 {
        let end = guest.replay(&live.reads[..position]).await.end;
        assert_eq!(end, Err(Abort::NotAgreed { position }));
    }
}

#[tokio::test]
async fn a_failure_names_the_read_among_all_of_the_run() {
    let guest = Guest::named("mixed").await;
    let live = guest
        .live(Answers::web(|read| {
            if read.host() == "a.example" {
                return Err(ReadFailure::unreached("no answer within 10000 ms"));
            }
            prices(read)
        }))
        .await;
    let abort = live.end.expect_err("no verdict");
    let failure = ReadFailure::unreached("no answer within 10000 ms");
    assert_eq!(abort, Abort::Read { position: 2, failure });
    assert!(abort.is_local());
    assert_eq!(live.reads.len(), 1, "the fetches are one call: none of them is recorded");
}

#[tokio::test]
async fn a_response_without_the_fields_ends_the_run_here_with_the_reason() {
    type Wrong = fn() -> HttpResponse;
    let cases: [(Wrong, &str); 6] = [
        (|| HttpResponse { status: 503, ..prices_response() }, "the status is 503, expected 200 to 299"),
        (|| response("<html>"), "the body is not JSON"),
        (|| response("{}"), r#"the body has nothing at "/price""#),
        (|| response(r#"{"price":[1],"name":"a"}"#), r#""/price" is a list"#),
        (|| response(r#"{"price":"high","name":"a"}"#), "the rule median needs a number"),
        (|| HttpResponse { body: vec![0xff].into(), ..prices_response() }, "the body is not UTF-8"),
    ];
    let guest = Guest::named("price").await;
    for (answer, expected) in cases {
        let live = guest.live(OneAnswer(answer())).await;
        let Err(Abort::Read { position: 0, failure }) = &live.end else { panic!("{:?}", live.end) };
        assert!(failure.reason.contains(expected), "{}", failure.reason);
        assert!(failure.reason.starts_with("a.example: "), "it says whose answer: {}", failure.reason);
        assert!(live.reads.is_empty());
    }
}

fn prices_response() -> HttpResponse {
    response(r#"{"price": 1.50, "name": "gold"}"#)
}

#[tokio::test]
async fn a_response_that_no_reader_may_give_ends_the_run_here() {
    let responses = [
        HttpResponse { status: 0, ..response("x") },
        HttpResponse { status: u16::MAX, ..response("x") },
        HttpResponse { content_type: Some("x".repeat(100_000)), ..response("x") },
        response(&"x".repeat((128 << 10) + 1)),
    ];
    for name in ["page", "price"] {
        let guest = Guest::named(name).await;
        for answer in &responses {
            let live = guest.live(OneAnswer(answer.clone())).await;
            let Err(Abort::Read { failure, .. }) = &live.end else { panic!("{name}: {:?}", live.end) };
            assert!(failure.reason.contains(".example: the reader answered with"), "{}", failure.reason);
        }
    }
    let largest = "x".repeat(64 << 10);
    let guest = Guest::named("page").await;
    assert_eq!(guest.live(OneAnswer(response(&largest))).await.end, Ok(signs(largest.into_bytes())));
}

/// Answers every fetch with the same response.
struct OneAnswer(HttpResponse);

#[async_trait]
impl Reader for OneAnswer {
    async fn evm(&self, _pin: &Pin, read: &EvmRead) -> Result<EvmValue, ReadFailure> {
        guest::world(read)
    }

    async fn http(&self, _hosts: &[String], _read: &HttpRead) -> Result<HttpResponse, ReadFailure> {
        Ok(self.0.clone())
    }
}

#[tokio::test]
async fn a_host_that_is_not_in_the_manifest_is_denied_without_fetching() {
    let mut guest = Guest::named("mixed").await;
    guest.manifest.hosts = vec!["b.example".into()];
    let live = guest.live(Answers::new(guest::world)).await;
    assert_eq!(live.end.as_ref().map(refusal), Ok("the host a.example is not in the manifest"));
    assert_eq!(live.reads.len(), 2, "of the two fetches none is made: {:?}", live.reads);
}

#[tokio::test]
async fn malformed_arguments_are_told_to_the_guest_before_any_other_check() {
    let cases = [
        ("http://c.example/page.", "is not one of https"),
        ("https://b.example:8443", "names a port"),
        ("https://u@b.example/pa", "holds a user name"),
        ("https://10.0.0.1/page.", "names an address"),
        ("b.example/page        ", "does not parse"),
    ];
    for (url, expected) in cases {
        let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/guests/page.wat"));
        let text = text.expect("a guest").replace("https://b.example/page", url);
        let mut guest =
            Guest::of(&guest::from_functions(&text)).await.limited(|limits| limits.http_reads = 0);
        guest.manifest.hosts.clear();
        let live = guest.live(nobody()).await;
        let reason = live.end.as_ref().map(refusal).expect("a verdict");
        assert!(reason.contains(expected), "{url}: {reason}");
        assert_eq!(guest.replay(&[]).await.end, live.end);
    }
}

#[tokio::test]
async fn fetches_are_counted_apart_from_reads_of_chains() {
    let guest = Guest::named("ten-fetches").await;
    let answers = Answers::web(prices);
    let asked = answers.counter();
    let live = guest.live(answers).await;
    assert_eq!(live.end.as_ref().map(refusal), Ok("0 HTTP reads are left, 1 were asked for"));
    assert_eq!((live.reads.len(), asked.load(Ordering::Relaxed)), (8, 8));
    let guest = Guest::named("ten-fetches").await.limited(|limits| limits.http_reads = u32::MAX);
    assert_eq!(guest.live(Answers::web(prices)).await.reads.len(), 8, "never more than the largest");
    let guest = Guest::named("mixed").await.limited(|limits| limits.http_reads = 1);
    let live = guest.live(Answers::web(prices)).await;
    assert_eq!(live.end.as_ref().map(refusal), Ok("1 HTTP reads are left, 2 were asked for"));
    assert_eq!(live.reads.len(), 2, "all or nothing; the chain's reads go on");
    let guest =
        Guest::named("mixed").await.limited(|limits| (limits.http_reads, limits.chain_reads) = (2, 2));
    assert_eq!(guest.live(Answers::web(prices)).await.reads.len(), 4);
}

/// Fetches so often, each time a field whose pointer is the empty one and whose text is what the reader gives.
fn texts(times: u32) -> Vec<u8> {
    guest::from_functions(&format!(
        r#"(data (i32.const 1024) "https://b.example/page")
           (func $decide (result i32)
             (local $left i32)
             (local.set $left (i32.const {times}))
             (loop $more
               (call $fetch
                 (i32.const 1024) (i32.const 22) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
                 (i32.const 1) (i32.const 1200) (i32.const 1) (i32.const 128))
               (local.set $left (i32.sub (local.get $left) (i32.const 1)))
               (br_if $more (local.get $left)))
             (call $allow (i32.const 1024) (i32.const 22)))"#
    ))
}

fn long(_read: &HttpRead) -> Result<HttpResponse, ReadFailure> {
    Ok(response(&format!("{:?}", "x".repeat(1_000))))
}

#[tokio::test]
async fn a_record_never_grows_beyond_its_bound() {
    // An entry of 72 bytes, a field of 24, a text of 1,000: seven of them fit.
    let seven = Guest::of(&texts(7)).await.live(Answers::web(long)).await;
    assert!(seven.end.is_ok(), "{:?}", seven.end);
    assert_eq!(seven.record().size(), 7 * 1_096);
    let guest = Guest::of(&texts(8)).await;
    let eight = guest.live(Answers::web(long)).await;
    let limit = MAX_RECORD_BYTES;
    assert_eq!(eight.end, Err(Abort::Limit { what: "bytes of a record", got: 8 * 1_096, limit }));
    assert!(eight.record().is_bounded(), "what is handed over is within the bound");
    assert_eq!(guest.replay(&eight.reads).await.end, Err(Abort::NotAgreed { position: 7 }));
    // One byte below and at the bound, one above.
    for (last, fits) in [(535, true), (536, true), (537, false)] {
        let guest = Guest::of(&texts(8)).await;
        let live = guest.live(Lengths::new(last)).await;
        assert_eq!(live.end.is_ok(), fits, "{last}: {:?}", live.end);
        assert!(live.record().size() <= MAX_RECORD_BYTES);
    }
}

/// Texts of 984 bytes, seven times, then one of another length.
struct Lengths {
    asked: AtomicUsize,
    last: usize,
}

impl Lengths {
    fn new(last: usize) -> Self {
        Self { asked: Default::default(), last }
    }
}

#[async_trait]
impl Reader for Lengths {
    async fn evm(&self, _pin: &Pin, _read: &EvmRead) -> Result<EvmValue, ReadFailure> {
        Err(ReadFailure::unreached("no chains"))
    }

    async fn http(&self, _hosts: &[String], _read: &HttpRead) -> Result<HttpResponse, ReadFailure> {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        let length = if asked < 7 { 984 } else { self.last };
        Ok(response(&format!("{:?}", "x".repeat(length))))
    }
}

#[tokio::test]
async fn agreed_values_that_do_not_fit_are_never_replayed() {
    let guest = Guest::named("price").await;
    let live = guest.live(Answers::web(prices)).await;
    let mut agreed = fields(&live.reads[0]);
    agreed[0].value = FieldValue::Text("1.5".into());
    let error = live.reads[0].with_agreed(&agreed).expect_err("a text where the rule is about numbers");
    assert!(error.to_string().contains("https://a.example/price"), "{error}");
    let ReadValue::Http(_) = live.reads[0].value() else { panic!("a response") };
    let Read::Http(read) = live.reads[0].read() else { panic!("a fetch") };
    let other = RecordedRead::http(read.clone(), prices_response()).expect("the same read");
    assert_eq!(other, live.reads[0], "only the fields are kept");
}
