//! What agreement on a number adds to a session: `cargo test -p countersign-session -- --ignored --nocapture cost`.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "it measures, and decides nothing")]
#![allow(clippy::disallowed_macros, reason = "it shows what it measured")]

use std::{collections::BTreeMap, hint::black_box, time::Instant};

use countersign_agreement::{agree, check_own, choose};
use countersign_types::{Identifier, Record, SessionId};

use crate::{
    committee::{NETWORK, id, identity},
    table::number_record,
};

const ROUNDS: u32 = 2_000;

fn measure(what: &str, mut step: impl FnMut()) {
    let start = Instant::now();
    (0..ROUNDS).for_each(|_| step());
    println!("{what}: {:?}", start.elapsed() / ROUNDS);
}

#[test]
#[ignore = "a measurement"]
fn what_agreement_costs() {
    let records = [100, 101, 102].map(number_record);
    let set: BTreeMap<Identifier, &Record> = (1..).map(id).zip(&records).collect();
    let session = SessionId::from([1; 32]);
    let key = identity(id(1));
    let (signature, public) = (records[0].sign(NETWORK, session, &key), key.public_key());
    let agreed = agree(&set);
    let listed: Vec<&Record> = records.iter().collect();
    measure("agree, three records of one field", || {
        black_box(agree(black_box(&set)));
    });
    measure("check_own, one record", || {
        black_box(check_own(black_box(&agreed), &records[0])).expect("accepted");
    });
    measure("choose three of three", || {
        black_box(choose(black_box(&listed), 3)).expect("they can sign");
    });
    measure("sign one record", || {
        black_box(records[0].sign(NETWORK, session, &key));
    });
    measure("hash one record", || {
        black_box(records[0].hash());
    });
    measure("verify one record's signature", || {
        records[0].verify(NETWORK, session, &public, black_box(&signature)).expect("signed");
    });
}
