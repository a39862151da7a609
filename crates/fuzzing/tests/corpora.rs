//! Every file of every corpus, once, through the function that is fuzzed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use countersign_fuzzing::{
    TARGETS, Target,
    seeds::{self, PREFIX},
};
use countersign_network::Lane;

/// The longest input that is tried where nothing is said of the target, in bytes.
const USUAL_BYTES: usize = 4096;
/// The most bytes of all corpora together.
const MAX_BYTES: usize = 512 << 10;

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let read = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().expect("a name in UTF-8");
        (name, fs::read(entry.path()).expect("a file"))
    };
    entries.map(|entry| read(entry.expect("an entry"))).collect()
}

/// The manifest of the programs that libFuzzer drives.
fn programs() -> toml::Table {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/Cargo.toml");
    fs::read_to_string(path).expect("the manifest").parse().expect("TOML")
}

/// The longest input of each target of which more is tried than usual, in bytes.
fn longest_inputs() -> BTreeMap<String, usize> {
    let manifest = programs();
    let said = manifest["package"]["metadata"]["longest-inputs"].as_table().expect("a table").iter();
    let bytes = |bytes: &toml::Value| usize::try_from(bytes.as_integer().expect("bytes")).expect("bytes");
    said.map(|(name, longest)| (name.clone(), bytes(longest))).collect()
}

fn runs(target: &Target) {
    let files = files(&seeds::corpora().join(target.name));
    assert!(!files.is_empty(), "{} has no corpus", target.name);
    for (name, input) in files {
        // seen where it fails
        println!("{}/{name}", target.name);
        (target.run)(&input);
    }
    // what any fuzzer tries first
    for input in [&[][..], &[0], &[0xff; 64]] {
        (target.run)(input);
    }
}

#[test]
fn every_file_of_every_corpus_is_run() {
    TARGETS.iter().for_each(runs);
}

#[test]
fn every_seed_gets_past_what_refuses_most_inputs() {
    let seeds = seeds::all();
    for seed in &seeds {
        let target = TARGETS.iter().find(|target| target.name == seed.target).expect("a target");
        assert!((target.run)(&seed.input), "{}/{PREFIX}{} is refused", seed.target, seed.name);
    }
    let seeded: BTreeSet<&str> = seeds.iter().map(|seed| seed.target).collect();
    assert_eq!(seeded.len(), TARGETS.len(), "every target has a seed");
}

#[test]
fn the_seeds_are_those_of_todays_formats() {
    let corpora = seeds::corpora();
    let again = "make them again: cargo run -p countersign-fuzzing --bin seed";
    let mut wanted = BTreeSet::new();
    for seed in seeds::all() {
        let path = seed.path(&corpora);
        assert!(wanted.insert(path.clone()), "two seeds are called {}", path.display());
        assert!(fs::read(&path).ok() == Some(seed.input), "{} is not up to date: {again}", path.display());
    }
    for target in TARGETS {
        for (name, _) in files(&corpora.join(target.name)) {
            let path = corpora.join(target.name).join(&name);
            assert!(!name.starts_with(PREFIX) || wanted.contains(&path), "{}: {again}", path.display());
        }
    }
}

#[test]
fn corpora_are_small_and_belong_to_a_target() {
    let mut bytes = 0;
    for (name, _) in TARGETS.iter().map(|target| (target.name, ())) {
        bytes += files(&seeds::corpora().join(name)).iter().map(|(_, input)| input.len()).sum::<usize>();
    }
    assert!(bytes <= MAX_BYTES, "{bytes} bytes: minimise them with cargo fuzz cmin");
    let entries = fs::read_dir(seeds::corpora()).expect("the corpora");
    for entry in entries {
        let name = entry.expect("an entry").file_name();
        assert!(TARGETS.iter().any(|target| name.to_str() == Some(target.name)), "{name:?} is no target");
    }
}

#[test]
fn every_target_is_a_program() {
    let manifest = programs();
    let bins = manifest["bin"].as_array().expect("programs").iter();
    let bins: Vec<&str> = bins.map(|bin| bin["name"].as_str().expect("a name")).collect();
    let targets: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(bins, targets);
    for target in targets {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../fuzz/fuzz_targets/{target}.rs"));
        let program = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(program.contains(&format!("countersign_fuzzing::run(\"{target}\", input)")), "{program}");
    }
}

#[test]
fn no_seed_is_longer_than_what_is_tried() {
    let longest = longest_inputs();
    for (name, bytes) in &longest {
        assert!(TARGETS.iter().any(|target| target.name == name), "{name} is no target");
        assert!(*bytes > USUAL_BYTES, "{name}: {bytes} bytes");
    }
    for seed in seeds::all() {
        let most = longest.get(seed.target).copied().unwrap_or(USUAL_BYTES);
        let got = seed.input.len();
        assert!(got <= most, "{}/{}: {got} bytes, {most} are tried", seed.target, seed.name);
    }
}

/// What is tried of the signing lane is all that it gives: nothing that a peer may send there is out of reach.
#[test]
fn as_much_is_tried_as_a_frame_of_the_signing_lane_has() {
    let longest = longest_inputs();
    for target in ["signing_frames", "background_frames", "messages", "keygen_messages"] {
        assert_eq!(longest.get(target), Some(&Lane::Signing.max_frame_bytes()), "{target}");
    }
}
