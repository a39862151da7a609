//! Guests that mean harm: each ends its own run, within its bounds, and nobody else's.

mod guest;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use countersign_action::{Abort, Config, Host};
use guest::{Answers, Guest, Sleeper, nobody, prices, refusal, world};

/// More than any bounded run takes on a slow machine.
const LONG: Duration = Duration::from_secs(60);

async fn end_of(name: &str) -> Abort {
    let guest = Guest::named(name).await.limited(|limits| limits.fuel = 200_000_000);
    let live = guest.live(Answers::web(prices)).await;
    let Err(abort) = live.end else { panic!("{name}: {:?}", live.end) };
    let replay = guest.replay(&live.reads).await;
    assert_eq!(replay.end, Err(abort.clone()), "{name}: the replay");
    assert_eq!(replay.fuel, live.fuel, "{name}: the replay's fuel");
    abort
}

#[tokio::test]
async fn what_does_not_end_uses_up_its_fuel() {
    for name in [
        "loop",
        "start-loop",
        "call-storm",
        "log-storm",
        "fetch-storm",
        "malformed-storm",
        "many-fetches",
        "table-giant",
    ] {
        assert_eq!(end_of(name).await, Abort::Fuel { limit: 200_000_000 }, "{name}");
    }
}

/// How deep calls may be nested depends on the processor: that is no verdict on anybody.
#[tokio::test]
async fn calls_that_are_nested_too_deeply_are_told_apart_from_traps() {
    let end = end_of("recursion").await;
    assert_eq!(end, Abort::Stack);
    assert!(end.is_local());
}

#[tokio::test]
async fn traps_are_told_apart_from_fuel() {
    let traps = [
        ("unreachable", "unreachable"),
        ("divide", "divide by zero"),
        ("not-utf8", "utf-8"),
        ("negative-length", ""),
        ("beyond-memory", ""),
        ("result-beyond-memory", ""),
        ("unaligned-result", ""),
        ("bad-variant", ""),
        ("many-payloads", ""),
        ("argument-beyond-memory", ""),
        ("bad-level", ""),
        ("giant-payload", "exhausted"),
        ("many-calls", "exhausted"),
        ("million-fetches", "exhausted"),
    ];
    for (name, expected) in traps {
        let abort = end_of(name).await;
        let Abort::Trap { text } = &abort else { panic!("{name}: {abort:?}") };
        assert!(text.contains(expected), "{name}: {text}");
        assert!(text.len() < 600, "{name}: {text}");
    }
}

/// A guest that logs a line at a level and comes to code that is unreachable, as a panic in Rust does.
fn panicking(level: u32, line: &str) -> Vec<u8> {
    let (length, line) = (line.len(), line.replace('\n', "\\n"));
    guest::from_functions(&format!(
        r#"(data (i32.const 1024) "{line}")
           (func $decide (result i32)
             (call $emit (i32.const {level}) (i32.const 1024) (i32.const {length})) (unreachable))"#
    ))
}

#[tokio::test]
async fn a_panic_is_told_as_it_was_logged() {
    let (info, error) = (1, 3);
    for (level, line, told) in [
        (
            error,
            "panicked at src/lib.rs:3:5:\nboom",
            "the action trapped: it panicked at src/lib.rs:3:5: boom",
        ),
        (error, "the price is odd", "refuse with a reason"),
        (info, "panicked at src/lib.rs:3:5:\nboom", "refuse with a reason"),
    ] {
        for log_bytes in [0, 1000] {
            let guest =
                Guest::of(&panicking(level, line)).await.limited(|limits| limits.log_bytes = log_bytes);
            let live = guest.live(nobody()).await;
            let Err(abort) = &live.end else { panic!("{line}: {:?}", live.end) };
            assert!(matches!(abort, Abort::Trap { .. }) && abort.to_string().contains(told), "{abort}");
            assert_eq!(guest.replay(&live.reads).await.end, live.end);
        }
    }
    let long = format!("panicked at src/lib.rs:3:5:\n{}", "x".repeat(2000));
    let live = Guest::of(&panicking(error, &long)).await.live(nobody()).await;
    assert!(live.end.is_err_and(|abort| abort.to_string().len() < 600));
}

#[tokio::test]
async fn memory_and_tables_are_bounded() {
    let memory = Abort::Memory { asked: 0, limit: 64 << 20, unit: "bytes of memory" };
    for name in ["memory-growth", "memory-leap"] {
        let end = end_of(name).await;
        let Abort::Memory { asked, limit, unit } = end else { panic!("{name}: {end:?}") };
        assert!(asked > limit, "{name}: {asked}");
        assert_eq!(Abort::Memory { asked: 0, limit, unit }, memory, "{name}");
    }
    for name in ["table-growth", "table-leap"] {
        let end = end_of(name).await;
        let Abort::Memory { limit, unit, .. } = end else { panic!("{name}: {end:?}") };
        assert_eq!((limit, unit), (20_000, "elements of a table"), "{name}");
    }
}

#[tokio::test]
async fn the_manifests_own_memory_limit_holds() {
    let guest = Guest::named("empty").await.limited(|limits| limits.memory_bytes = 65_535);
    assert!(matches!(guest.live(nobody()).await.end, Err(Abort::Memory { limit: 65_535, .. })));
    let guest = Guest::named("empty").await.limited(|limits| limits.memory_bytes = 65_536);
    assert!(guest.live(nobody()).await.end.is_ok());
}

#[tokio::test]
async fn results_beyond_a_bound_are_no_verdicts() {
    assert!(matches!(end_of("large-payload").await, Abort::Limit { what: "bytes of a payload", .. }));
    assert_eq!(end_of("nine-payloads").await, Abort::Limit { what: "payloads", got: 9, limit: 8 });
    assert!(matches!(end_of("no-payload").await, Abort::InvalidResult { .. }));
    assert!(matches!(end_of("bad-typed-data").await, Abort::InvalidResult { .. }));
}

#[tokio::test]
async fn a_giant_reason_is_cut() {
    let guest = Guest::named("giant-reason").await;
    let live = guest.live(nobody()).await;
    let reason = live.end.as_ref().map(refusal).expect("a refusal");
    assert!(reason.len() <= countersign_types::outcome::MAX_REASON_BYTES);
}

#[tokio::test]
async fn a_storm_of_fetches_asks_the_world_no_more_often_than_its_budget_says() {
    for (name, most) in [("fetch-storm", 8), ("malformed-storm", 0), ("many-fetches", 0)] {
        let guest = Guest::named(name).await.limited(|limits| limits.fuel = 2_000_000_000);
        let answers = Answers::web(prices);
        let asked = answers.counter();
        let live = guest.live(answers).await;
        assert_eq!((asked.load(Ordering::SeqCst), live.reads.len()), (most, most), "{name}");
        if name == "many-fetches" {
            let reason = live.end.as_ref().map(refusal);
            assert_eq!(reason, Ok("8 HTTP reads are left, 10000 were asked for"));
        } else {
            assert_eq!(live.end, Err(Abort::Fuel { limit: 2_000_000_000 }), "{name}");
        }
    }
}

/// A guest that fetches with one argument of `length` zero bytes, and refuses with what the host says.
fn giant_argument(which: &str, length: u32) -> Vec<u8> {
    let zeros = format!("(i32.const 65536) (i32.const {length})");
    let url = "(i32.const 1024) (i32.const 22)";
    let none = "(i32.const 0) (i32.const 0)";
    // A header's name and value, and a field's pointer and tolerance, all lie at 1200.
    let (url, headers, fields, stores) = match which {
        "url" => (zeros.as_str(), none, none, String::new()),
        "header" => (url, "(i32.const 1200) (i32.const 1)", none, at(1200, length)),
        "pointer" => (url, none, "(i32.const 1200) (i32.const 1)", at(1200, length)),
        "tolerance" => (
            url,
            none,
            "(i32.const 1200) (i32.const 1)",
            format!("(i32.store8 (i32.const 1208) (i32.const 1)) {}", at(1216, length)),
        ),
        _ => panic!("{which}"),
    };
    let case = i32::from(fields != none);
    guest::from_functions(&format!(
        r#"(data (i32.const 1024) "https://b.example/page")
           (func $decide (result i32)
             (drop (memory.grow (i32.const 100)))
             {stores}
             (call $fetch {url} {headers} {none} (i32.const {case}) {fields} (i32.const 128))
             (call $refuse (i32.load (i32.const 136)) (i32.load (i32.const 140))))"#
    ))
}

/// Stores the address and the length of zero bytes.
fn at(address: u32, length: u32) -> String {
    format!(
        "(i32.store (i32.const {address}) (i32.const 65536))
         (i32.store (i32.const {}) (i32.const {length}))",
        address + 4
    )
}

#[tokio::test]
async fn giant_arguments_of_a_fetch_are_refused_in_few_words() {
    for (which, expected) in [
        ("url", "a URL has at most 2048 bytes, got 1900000"),
        ("header", "4096 bytes together, got 1 of 1900000"),
        ("pointer", "has more than 256 bytes"),
        ("tolerance", "is not a decimal number"),
    ] {
        let guest = Guest::of(&giant_argument(which, 1_900_000)).await;
        let live = guest.live(nobody()).await;
        let reason = live.end.as_ref().map(refusal).expect("a verdict");
        assert!(reason.contains(expected) && reason.len() < 1_000, "{which}: {reason}");
        assert_eq!(guest.replay(&[]).await.end, live.end, "{which}");
        let guest = Guest::of(&giant_argument(which, 3_000_000)).await;
        let live = guest.live(nobody()).await;
        let Err(Abort::Trap { text }) = &live.end else { panic!("{which}: {:?}", live.end) };
        assert!(text.contains("exhausted"), "{which}: {text}");
    }
}

#[tokio::test]
async fn time_ends_a_loop_that_has_fuel_left() {
    for name in ["loop", "call-storm"] {
        let guest = Guest::named(name).await.limited(|limits| limits.wall_ms = 20);
        let started = Instant::now();
        let live = guest.live(nobody()).await;
        assert_eq!(live.end, Err(Abort::Time { limit_ms: 20 }), "{name}");
        assert!(started.elapsed() < Duration::from_secs(5), "{name}: {:?}", started.elapsed());
    }
}

#[tokio::test]
async fn time_ends_a_read_that_does_not() {
    for name in ["balance", "page"] {
        let (started, dropped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let guest = Guest::named(name).await.limited(|limits| limits.wall_ms = 20);
        let live = guest.live(Sleeper { started: started.clone(), dropped: dropped.clone() }).await;
        assert_eq!(live.end, Err(Abort::Time { limit_ms: 20 }));
        assert_eq!((started.load(Ordering::SeqCst), dropped.load(Ordering::SeqCst)), (1, 1));
    }
}

#[tokio::test]
async fn a_run_that_is_dropped_in_the_middle_of_a_read_gives_its_slot_back() {
    let config = Config { concurrent_runs: 1, concurrent_replays: 1, queued_runs: 0, ..Config::default() };
    let host = guest::host(&config);
    for round in 1..=20 {
        let name = if round % 2 == 0 { "balance" } else { "page" };
        let guest = Arc::new(Guest::on(host.clone(), &guest::component(name)).await);
        let (started, dropped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let reader = Sleeper { started: started.clone(), dropped: dropped.clone() };
        let running = tokio::spawn({
            let guest = guest.clone();
            async move { guest.live(reader).await }
        });
        let waited = Instant::now();
        while started.load(Ordering::SeqCst) == 0 {
            assert!(waited.elapsed() < LONG, "the read never starts");
            tokio::task::yield_now().await;
        }
        assert_eq!(guest.live(nobody()).await.end, Err(Abort::Busy), "round {round}: the slot is taken");
        running.abort();
        assert!(running.await.is_err_and(|error| error.is_cancelled()));
        assert_eq!(dropped.load(Ordering::SeqCst), 1, "the read is dropped with its run");
        assert!(guest.live(Answers::web(prices)).await.end.is_ok(), "round {round}: the slot is free");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_sleepers_are_bounded_and_replays_go_on() {
    for name in ["balance", "page"] {
        a_thousand_sleepers(name).await;
    }
}

async fn a_thousand_sleepers(name: &str) {
    let config = Config {
        concurrent_runs: 8,
        concurrent_replays: 2,
        queued_runs: 100,
        queue_ms: 50,
        ..Config::default()
    };
    let guest = Arc::new(
        Guest::on(guest::host(&config), &guest::component(name)).await.limited(|limits| limits.wall_ms = 500),
    );
    let reads = guest.live(Answers::web(prices)).await.reads;
    let (started, dropped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let sleepers: Vec<_> = (0..1000)
        .map(|_| {
            let (guest, started, dropped) = (guest.clone(), started.clone(), dropped.clone());
            tokio::spawn(async move { guest.live(Sleeper { started, dropped }).await.end })
        })
        .collect();
    for _ in 0..50 {
        assert!(guest.replay(&reads).await.end.is_ok(), "replays have slots of their own");
    }
    let (mut busy, mut timed_out) = (0, 0);
    for sleeper in sleepers {
        match sleeper.await.expect("no panic") {
            Err(Abort::Busy) => busy += 1,
            Err(Abort::Time { .. }) => timed_out += 1,
            end => panic!("{end:?}"),
        }
    }
    assert_eq!(busy + timed_out, 1000);
    assert_eq!(timed_out, started.load(Ordering::SeqCst), "who was not turned away ran");
    assert_eq!(timed_out, dropped.load(Ordering::SeqCst), "no read outlives its run");
    assert!(timed_out >= 8, "{timed_out}");
}

#[tokio::test]
async fn others_get_their_turn_while_hostile_guests_run() {
    // One thread: an honest run can only go on if the hostile ones let it.
    let config = Config { concurrent_runs: 8, concurrent_replays: 1, ..Config::default() };
    let host = guest::host(&config);
    let honest = Guest::on(host.clone(), &guest::component("three-reads")).await;
    let mut hostile = Vec::new();
    for name in ["loop", "call-storm", "log-storm", "memory-growth"] {
        let guest = Guest::on(host.clone(), &guest::component(name)).await;
        hostile.push(tokio::spawn(async move { guest.live(nobody()).await.end }));
    }
    tokio::task::yield_now().await;
    let started = Instant::now();
    assert!(honest.live(Answers::new(world)).await.end.is_ok());
    let took = started.elapsed();
    let unfinished = hostile.iter().filter(|run| !run.is_finished()).count();
    assert!(unfinished >= 2, "the honest run of {took:?} ended before the storms did");
    for run in hostile {
        assert!(run.await.expect("no panic").is_err());
    }
}

#[tokio::test]
async fn a_host_outlives_a_thousand_hostile_runs() {
    let host: Host = guest::host(&guest::small());
    let honest = Guest::on(host.clone(), &guest::component("three-reads")).await;
    let mut guests = Vec::new();
    for name in ["unreachable", "recursion", "memory-leap", "table-leap", "negative-length"] {
        guests.push(Guest::on(host.clone(), &guest::component(name)).await);
    }
    for _ in 0..200 {
        for guest in &guests {
            assert!(guest.live(nobody()).await.end.is_err());
        }
    }
    assert!(honest.live(Answers::new(world)).await.end.is_ok());
}
