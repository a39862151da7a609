//! What corpora begin with: encodings of real values, and sequences that get to a signature.

mod bodies;
mod stored;
mod wire;

use std::path::{Path, PathBuf};

use countersign_types::Scheme;

use crate::{backups, choices::STEP_BYTES, receipts::Case, world::world};

/// The name with which the files of seeds begin; all others in a corpus were found by fuzzing.
pub const PREFIX: &str = "seed-";

/// One file of a corpus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seed {
    /// The target.
    pub target: &'static str,
    /// What it is an example of.
    pub name: String,
    /// The input.
    pub input: Vec<u8>,
}

impl Seed {
    fn new(target: &'static str, name: impl Into<String>, input: impl Into<Vec<u8>>) -> Self {
        Self { target, name: name.into(), input: input.into() }
    }

    /// An input whose first byte says what the rest is.
    fn tagged(target: &'static str, name: impl Into<String>, tag: u8, rest: impl AsRef<[u8]>) -> Self {
        Self::new(target, name, [&[tag], rest.as_ref()].concat())
    }

    /// Where it lies in the folder of all corpora.
    pub fn path(&self, corpora: &Path) -> PathBuf {
        corpora.join(self.target).join(format!("{PREFIX}{}", self.name))
    }
}

/// The folder of all corpora.
pub fn corpora() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpora")
}

/// All seeds: the same ones each time. Every one gets past what refuses most inputs.
pub fn all() -> Vec<Seed> {
    let mut seeds = wire::seeds();
    seeds.extend(bodies::seeds());
    seeds.extend(stored::seeds());
    for (number, scheme) in (0..).zip(Scheme::ALL) {
        seeds.extend(keys(number, scheme));
        let honest = serde_json::to_vec(&Case::honest(scheme).receipt).expect("strings, numbers and lists");
        seeds.push(Seed::new("receipts", scheme.name(), honest));
        seeds.extend(sequences(number, scheme));
    }
    let ceremonies: [(&str, &[&[Scheme]]); 2] =
        [("one-ceremony", &[&Scheme::ALL]), ("two-ceremonies", &backups::TWO_CEREMONIES)];
    for (name, ceremonies) in ceremonies {
        seeds.push(Seed::new("backups", name, backups::backup(ceremonies).encode().to_vec()));
    }
    // one read of one number, by the median within one per cent, near 100; three of five are asked for
    let mut agreed = vec![1, 1, 0, 1, 0, 1, 3, 0, 0, 0, 100, 5, 3];
    (98..102).for_each(|number| agreed.extend([0, 0, 1, 0, number]));
    seeds.push(Seed::new("agreement", "median", agreed));
    seeds.push(Seed::new("agreement", "nothing-read", [0, 5, 3]));
    seeds
}

fn keys(number: u8, scheme: Scheme) -> Vec<Seed> {
    let record = world().share_record(scheme, world().members()[0]);
    vec![
        Seed::tagged("share_records", scheme.name(), number, record),
        // a threshold of three, the real key, and four real shares
        Seed::tagged("root_keys", scheme.name(), number, [3, 0, 4, 0, 0, 0, 0]),
        Seed::tagged("signatures", scheme.name(), number, [0, 0, 0]),
        Seed::tagged("signing", scheme.name(), number, [0, 0, 0]),
        Seed::tagged("key_generation", scheme.name(), number, [0, 0, 0]),
    ]
}

/// Sequences for the session machines: a header, and steps that begin with what is done.
fn sequences(number: u8, scheme: Scheme) -> Vec<Seed> {
    let steps = |header: &[u8], steps: &[&[u8]]| -> Vec<u8> {
        let padded = |step: &[u8]| {
            let mut step = step.to_vec();
            step.resize(STEP_BYTES, 0);
            step
        };
        std::iter::once(header).chain(steps.iter().copied()).flat_map(padded).collect()
    };
    let [propose, run, package, replay]: [&[u8]; 4] = [&[0], &[1], &[2], &[3]];
    let name = |what: &str| format!("{what}-{}", scheme.name());
    let participant = |what, all: &[&[u8]]| Seed::new("participant", name(what), steps(&[number], all));
    // two commitments for the first coordinator, then a proposal with a package of the first one
    let one_round: [&[u8]; 4] = [&[5, 0, 1], &[0, 0, 0, 0, 0, 1], run, replay];
    // all of it, a further attempt, and everything again
    let again: [&[u8]; 9] = [propose, run, package, replay, &[4, 0, 0], &[2, 0, 1], replay, &[9, 1], &[9, 3]];
    let quotes: [&[u8]; 4] = [propose, &[1, 0, 0, 0, 1], package, replay];
    let answers: Vec<&[u8]> = vec![&[0]; 9];
    let deliveries: Vec<&[u8]> = vec![&[0, 6]; 4];
    let restarts: [&[u8]; 6] = [&[0, 4], &[6, 1], &[4, 2], &[0, 6], &[4, 1], &[0, 6]];
    vec![
        participant("two-rounds", &[propose, run, package, replay]),
        participant("one-round", &one_round),
        participant("again", &again),
        participant("quotes", &quotes),
        Seed::new("coordinator", name("two-rounds"), steps(&[number], &answers)),
        Seed::new("coordinator", name("one-round"), steps(&[number, 0, 0, 1], &answers)),
        Seed::new("keygen", name("honest"), steps(&[number], &deliveries)),
        Seed::new("keygen", name("restarts"), steps(&[number, 1], &restarts)),
    ]
}
