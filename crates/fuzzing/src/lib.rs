//! Fuzz targets: everything that turns bytes of a peer, a guest, a file or a caller into values, and the session machines'
//! inputs.
//!
//! A target is a function of bytes that panics where something that is promised does not hold. libFuzzer drives them from
//! `fuzz/`, outside the workspace; the tests here run each over its corpus, so that corpora do not rot. The seeds in the corpora
//! are encodings of real values ([`seeds`]) and are made again by `cargo run -p countersign-fuzzing --bin seed`.

mod agreement;
pub mod backups;
mod bodies;
mod choices;
mod keys;
mod reads;
pub mod receipts;
pub mod seeds;
mod session;
mod stored;
mod wire;
mod world;

/// One fuzz target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name: that of its folder in `corpora`, and of its program in `fuzz/`.
    pub name: &'static str,
    /// Runs it once. Says whether the input got past what refuses most inputs: it decoded, or was signed.
    pub run: fn(&[u8]) -> bool,
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "frames", run: wire::frames },
    Target { name: "hello", run: wire::hello },
    Target { name: "signing_frames", run: wire::signing_frames },
    Target { name: "background_frames", run: wire::background_frames },
    Target { name: "messages", run: wire::messages },
    Target { name: "keygen_messages", run: wire::keygen_messages },
    Target { name: "requests", run: bodies::requests },
    Target { name: "key_specs", run: bodies::key_specs },
    Target { name: "manifests", run: bodies::manifests },
    Target { name: "networks", run: bodies::networks },
    Target { name: "typed_data", run: bodies::typed_data },
    Target { name: "decimals", run: bodies::decimals },
    Target { name: "http_reads", run: reads::http_reads },
    Target { name: "projections", run: reads::projections },
    Target { name: "evm_reads", run: reads::evm_reads },
    Target { name: "receipts", run: receipts::receipts },
    Target { name: "backups", run: backups::backups },
    Target { name: "store_files", run: stored::files },
    Target { name: "store_records", run: stored::records },
    Target { name: "share_records", run: keys::share_records },
    Target { name: "root_keys", run: keys::root_keys },
    Target { name: "signatures", run: keys::signatures },
    Target { name: "signing", run: keys::signing },
    Target { name: "key_generation", run: keys::key_generation },
    Target { name: "agreement", run: agreement::agreement },
    Target { name: "participant", run: session::participant },
    Target { name: "coordinator", run: session::coordinator },
    Target { name: "keygen", run: session::keygen },
];

/// Runs the target of this name once. The programs of `fuzz/` are nothing but this.
///
/// # Panics
///
/// Where there is no such target, and where the target finds something.
pub fn run(name: &str, input: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    (target.expect("a target of this name").run)(input);
}
