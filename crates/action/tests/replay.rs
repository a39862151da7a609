//! Record and replay: the same end for the same reads, another for others, none for reads nobody agreed on.

mod guest;

use std::sync::atomic::Ordering;

use countersign_action::{Abort, ReadFailure};
use countersign_types::{
    Verdict,
    evm::EvmRead,
    read::{Read, RecordedRead},
};
use guest::{Answers, Guest, balance, nobody, refusal, signs, wei, world};

#[tokio::test]
async fn a_replay_ends_as_the_live_run_did_and_costs_the_same() {
    for name in ["empty", "balance", "three-reads", "calls", "context", "params", "forty-reads", "some-logs"]
    {
        let guest = Guest::named(name).await;
        let live = guest.live(Answers::new(world)).await;
        assert!(live.end.is_ok(), "{name}: {:?}", live.end);
        for _ in 0..2 {
            let replay = guest.replay(&live.reads).await;
            assert_eq!(replay.end, live.end, "{name}");
            assert_eq!(replay.fuel, live.fuel, "{name}: fuel");
            assert_eq!(replay.logs, live.logs, "{name}: logs");
            assert_eq!(replay.consumed, live.reads.len(), "{name}: reads");
        }
    }
}

#[tokio::test]
async fn every_read_stands_in_the_record_in_its_order() {
    let guest = Guest::named("three-reads").await;
    let live = guest.live(Answers::new(world)).await;
    assert_eq!(live.end, Ok(signs(wei(1002))));
    let first_bytes: Vec<u8> = live
        .reads
        .iter()
        .map(|read| {
            let Read::Evm(EvmRead::Balance { address, .. }) = read.read() else { panic!("a balance") };
            address[0]
        })
        .collect();
    assert_eq!(first_bytes, [0, 1, 2]);
    let record = live.record();
    assert_eq!(record.entries.len(), 3);
    assert_eq!(record.entries[1].read(), live.reads[1].read().id());
}

#[tokio::test]
async fn calls_at_once_are_recorded_in_the_order_of_the_list() {
    let guest = Guest::named("calls").await;
    let live = guest.live(Answers::new(world)).await;
    assert_eq!(live.end, Ok(signs(vec![1, 1])));
    let calldata: Vec<u8> = live
        .reads
        .iter()
        .map(|read| {
            let Read::Evm(EvmRead::Call { data, .. }) = read.read() else { panic!("a call") };
            data[0]
        })
        .collect();
    assert_eq!(calldata, [0, 1, 2]);
}

/// The same read of a balance with another value.
fn with_balance(read: &RecordedRead, wei: u64) -> RecordedRead {
    let Read::Evm(read) = read.read() else { panic!("a balance") };
    RecordedRead::evm(read.clone(), balance(wei)).expect("a balance")
}

#[tokio::test]
async fn another_agreed_value_gives_another_verdict() {
    let guest = Guest::named("three-reads").await;
    let mut reads = guest.live(Answers::new(world)).await.reads;
    reads[2] = with_balance(&reads[2], 5);
    assert_eq!(guest.replay(&reads).await.end, Ok(signs(wei(5))));
    reads[0] = with_balance(&reads[0], 256);
    let replay = guest.replay(&reads).await;
    assert_eq!(replay.end.as_ref().map(refusal), Ok("three reads"));
}

#[tokio::test]
async fn a_read_beyond_the_agreed_ones_ends_the_replay() {
    let guest = Guest::named("three-reads").await;
    let reads = guest.live(Answers::new(world)).await.reads;
    for agreed in 0..3 {
        let replay = guest.replay(&reads[..agreed]).await;
        assert_eq!(replay.end, Err(Abort::NotAgreed { position: agreed }));
        assert_eq!(replay.consumed, agreed);
    }
}

#[tokio::test]
async fn another_read_than_the_agreed_one_ends_the_replay() {
    let guest = Guest::named("three-reads").await;
    let mut reads = guest.live(Answers::new(world)).await.reads;
    reads.swap(1, 2);
    let replay = guest.replay(&reads).await;
    assert_eq!(replay.end, Err(Abort::Diverged { position: 1 }));
    assert_eq!(replay.consumed, 1);
}

#[tokio::test]
async fn a_replay_takes_no_more_than_it_reads() {
    let guest = Guest::named("balance").await;
    let mut reads = guest.live(Answers::new(world)).await.reads;
    reads.push(reads[0].clone());
    let replay = guest.replay(&reads).await;
    assert_eq!((replay.end, replay.consumed), (Ok(signs(wei(1000))), 1));
}

#[tokio::test]
async fn what_the_world_does_not_answer_ends_the_run_here_and_never_reaches_the_guest() {
    let guest = Guest::named("three-reads").await;
    let live = guest
        .live(Answers::new(|read| {
            if matches!(read, EvmRead::Balance { address, .. } if address[0] == 1) {
                return Err(ReadFailure::unreached("provider down"));
            }
            world(read)
        }))
        .await;
    let abort = live.end.expect_err("no verdict");
    assert_eq!(abort, Abort::Read { position: 1, failure: ReadFailure::unreached("provider down") });
    assert!(abort.is_local());
    assert_eq!(live.reads.len(), 1, "what was read before stands in the record");
}

#[tokio::test]
async fn an_answer_to_another_question_ends_the_run() {
    let guest = Guest::named("balance").await;
    let live = guest.live(Answers::new(|_| Ok(countersign_types::evm::EvmValue::Nonce(1)))).await;
    assert!(matches!(live.end, Err(Abort::Read { position: 0, .. })), "{:?}", live.end);
}

#[tokio::test]
async fn a_chain_that_is_not_in_the_manifest_is_denied_without_reading() {
    let guest = Guest::named("other-chain").await;
    let live = guest.live(nobody()).await;
    assert_eq!(live.end.as_ref().map(refusal), Ok("chain 999 is not in the manifest"));
    assert!(live.reads.is_empty());
}

#[tokio::test]
async fn a_chain_of_the_manifest_without_a_pin_ends_the_run() {
    let mut guest = Guest::named("balance").await;
    guest.context.pins.clear();
    assert_eq!(guest.live(nobody()).await.end, Err(Abort::NoPin { chain_id: 1 }));
}

#[tokio::test]
async fn malformed_arguments_are_told_to_the_guest() {
    let guest = Guest::named("short-address").await;
    let live = guest.live(nobody()).await;
    assert_eq!(live.end.as_ref().map(refusal), Ok("an address has 20 bytes, got 19"));
}

#[tokio::test]
async fn reads_are_counted() {
    let guest = Guest::named("forty-reads").await.limited(|limits| limits.chain_reads = 5);
    let answers = Answers::new(world);
    let asked = answers.counter();
    let live = guest.live(answers).await;
    assert_eq!(live.end.as_ref().map(refusal), Ok("0 chain reads are left, 1 were asked for"));
    assert_eq!((live.reads.len(), asked.load(Ordering::Relaxed)), (5, 5));
    let beyond = Guest::named("forty-reads").await.limited(|limits| limits.chain_reads = u32::MAX);
    assert_eq!(beyond.live(Answers::new(world)).await.reads.len(), 32, "never more than the largest");
    let calls = Guest::named("calls").await.limited(|limits| limits.chain_reads = 2);
    let live = calls.live(nobody()).await;
    assert_eq!(live.end.as_ref().map(refusal), Ok("2 chain reads are left, 3 were asked for"));
}

#[tokio::test]
async fn a_value_that_is_too_large_is_an_error_and_the_same_in_the_replay() {
    let guest = Guest::named("calls").await;
    let live = guest
        .live(Answers::new(|_| {
            let data = vec![1; 33 << 10].into();
            Ok(countersign_types::evm::EvmValue::Call { reverted: false, data })
        }))
        .await;
    let reason = live.end.as_ref().map(refusal).expect("a verdict");
    assert!(reason.starts_with("a value has at most 32768 bytes"), "{reason}");
    assert_eq!(live.reads.len(), 3, "the reads stand in the record");
    let replay = guest.replay(&live.reads).await;
    assert_eq!((replay.end, replay.fuel), (live.end, live.fuel));
}

#[tokio::test]
async fn the_guest_sees_the_session() {
    let guest = Guest::named("context").await;
    assert_eq!(guest.live(nobody()).await.end, Ok(signs(vec![2; 32])));
    let guest = Guest::named("params").await;
    let expected = countersign_types::ComponentDigest::of(&[6; 20]);
    assert_eq!(guest.live(nobody()).await.end, Ok(signs(expected.as_bytes().to_vec())));
}

#[tokio::test]
async fn a_run_leaves_nothing_to_the_next() {
    let counting = guest::from_functions(
        "(global $runs (mut i32) (i32.const 0))
         (func $decide (result i32)
           (global.set $runs (i32.add (global.get $runs) (i32.const 1)))
           (i32.store (i32.const 1024) (i32.add (i32.load (i32.const 1024)) (global.get $runs)))
           (call $allow (i32.const 1024) (i32.const 4)))",
    );
    let guest = Guest::of(&counting).await;
    for _ in 0..20 {
        assert_eq!(guest.live(nobody()).await.end, Ok(signs(vec![1, 0, 0, 0])));
    }
}

/// A table of one page, one of which all is kept from run to run, and one of which a part is.
#[tokio::test]
async fn a_run_leaves_nothing_in_the_tables_of_the_next() {
    for elements in [500_u32, 8_000, 20_000] {
        let more = elements - 1;
        let filling = guest::from_functions(&format!(
            "(table $t 1 funcref)
             (elem declare func $decide)
             (func $decide (result i32) (local $at i32)
               (drop (table.grow $t (ref.null func) (i32.const {more})))
               (loop $next
                 (if (i32.eqz (ref.is_null (table.get $t (local.get $at))))
                   (then (return (call $refuse (i32.const 1024) (i32.const 0)))))
                 (table.set $t (local.get $at) (ref.func $decide))
                 (local.set $at (i32.add (local.get $at) (i32.const 1)))
                 (br_if $next (i32.lt_u (local.get $at) (table.size $t))))
               (i32.store (i32.const 1024) (table.size $t))
               (call $allow (i32.const 1024) (i32.const 4)))"
        ));
        let guest = Guest::of(&filling).await;
        for _ in 0..20 {
            assert_eq!(guest.live(nobody()).await.end, Ok(signs(u32::to_le_bytes(elements).to_vec())));
        }
    }
}

#[tokio::test]
async fn an_action_runs_only_under_its_own_manifest() {
    let mut guest = Guest::named("empty").await;
    guest.manifest.component = [9; 32].into();
    assert!(matches!(guest.live(nobody()).await.end, Err(Abort::Host { .. })));
    let mut guest = Guest::named("empty").await;
    guest.host = guest::host(&guest::small());
    assert!(matches!(guest.live(nobody()).await.end, Err(Abort::Host { .. })), "another engine");
}

#[tokio::test]
async fn lines_beyond_the_limit_are_dropped_with_one_mark() {
    let guest = Guest::named("some-logs").await.limited(|limits| limits.log_bytes = 1_160);
    let live = guest.live(nobody()).await;
    assert!(matches!(live.end, Ok(Verdict::Allow { .. })));
    assert_eq!(live.logs.len(), 11, "ten lines and the mark");
}
