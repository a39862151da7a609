//! Where the nodes' processor time goes, by sampling them with Linux's perf.

use std::{
    fmt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use countersign_testnet::Network;
use serde::Serialize;

/// How often each processor is sampled in a second: prime, so that it keeps no step with anything.
const HERTZ: &str = "997";

/// What a sample is of, by the function in which it was taken. The first that fits counts.
const PARTS: [(&str, &[&str]); 8] = [
    (
        "curves",
        &[
            "k256",
            "frost",
            "curve25519",
            "ed25519",
            "secp256k1",
            "elliptic_curve",
            "crypto_bigint",
            "primeorder",
            "subtle",
        ],
    ),
    ("hashes", &["eccak", "sha2", "sha3", "sha256", "sha512", "blake"]),
    ("encoding", &["serde", "postcard", "hex::", "const_hex", "itoa", "ryu", "alloy_sol_types"]),
    ("wasm", &["wasmtime", "cranelift", "wasm[", "countersign_action", "[JIT]", "memfd"]),
    (
        "transport",
        &[
            "quinn",
            "libp2p",
            "rustls",
            "chacha20",
            "aes_",
            "aesni",
            "gcm",
            "hyper",
            "axum",
            "tower",
            "h2::",
            "http::",
            "mio::",
            "countersign_network",
            "countersign_api",
            "poly1305",
        ],
    ),
    ("storage", &["rocksdb", "LZ4", "crc32c", "countersign_store"]),
    (
        "memory",
        &[
            "malloc",
            "free",
            "realloc",
            "calloc",
            "memmove",
            "memcpy",
            "memset",
            "memcmp",
            "sysmalloc",
            "unlink_chunk",
        ],
    ),
    ("scheduling", &["tokio", "futures", "pthread", "park", "epoll", "std::sync", "std::thread"]),
];
/// The kernel: sockets, wake-ups, pages.
const KERNEL: &str = "kernel";
const REST: &str = "rest";
const NEEDS_PERF: &str = "this needs Linux's perf (Debian's package linux-perf)";

/// A sampling that runs.
pub(super) struct Sampling {
    perf: Child,
    data: PathBuf,
}

/// How much of all samples was of a part, in descending order.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Profile(Vec<Share>);

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Share {
    part: &'static str,
    /// Of all samples, from 0 to 1.
    share: f64,
}

/// Whether there is something to sample with, before anything is measured.
pub(super) fn check() -> Result<()> {
    let version = Command::new("perf").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    ensure!(version.is_ok_and(|status| status.success()), NEEDS_PERF);
    Ok(())
}

impl Sampling {
    /// Samples all nodes that run, into a file of this folder.
    pub(super) fn start(network: &Network, folder: &Path) -> Result<Self> {
        let data = folder.join("perf.data");
        let processes: Vec<String> = network
            .nodes
            .iter()
            .filter_map(|node| node.process.as_ref())
            .map(|process| process.record().pid.to_string())
            .collect();
        let perf = Command::new("perf")
            .args(["record", "--quiet", "--event", "cpu-clock", "--freq", HERTZ])
            .args(["--pid", &processes.join(","), "--output"])
            .arg(&data)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context(NEEDS_PERF)?;
        Ok(Self { perf, data })
    }

    /// Stops, and says where the time went.
    pub(super) fn end(mut self) -> Result<Profile> {
        let pid = rustix::process::Pid::from_child(&self.perf);
        rustix::process::kill_process(pid, rustix::process::Signal::INT)
            .context("perf has ended before its time")?;
        self.perf.wait()?;
        let report = Command::new("perf")
            .args(["report", "--stdio", "--sort", "symbol", "--percent-limit", "0", "--input"])
            .arg(&self.data)
            .stderr(Stdio::null())
            .output()?;
        ensure!(report.status.success(), "perf report: {}", report.status);
        Profile::of(&String::from_utf8_lossy(&report.stdout))
    }
}

impl Profile {
    /// Reads what `perf report` prints: percentages, `[.]` or `[k]`, symbols.
    fn of(report: &str) -> Result<Self> {
        let mut shares: Vec<Share> = Vec::new();
        for line in report.lines() {
            let Some((percent, rest)) = line.trim().split_once('%') else { continue };
            let (Ok(percent), Some((place, symbol))) = (percent.parse::<f64>(), rest.trim().split_once(' '))
            else {
                continue;
            };
            let part = part(place, symbol);
            match shares.iter_mut().find(|share| share.part == part) {
                Some(share) => share.share += percent,
                None => shares.push(Share { part, share: percent }),
            }
        }
        if shares.is_empty() {
            bail!("perf has seen nothing: may this user sample processes (kernel.perf_event_paranoid)?");
        }
        // perf rounds the percentage of each of thousands of functions
        let all: f64 = shares.iter().map(|share| share.share).sum();
        shares.iter_mut().for_each(|share| share.share /= all);
        shares.sort_by(|one, other| other.share.total_cmp(&one.share));
        Ok(Self(shares))
    }

    /// The parts and their shares of all samples, from 0 to 1.
    pub(super) fn shares(&self) -> impl Iterator<Item = (&'static str, f64)> + '_ {
        self.0.iter().map(|Share { part, share }| (*part, *share))
    }
}

fn part(place: &str, symbol: &str) -> &'static str {
    if place == "[k]" {
        return KERNEL;
    }
    let fits = |(_, words): &&(&str, &[&str])| words.iter().any(|word| symbol.contains(word));
    PARTS.iter().find(fits).map_or(REST, |(part, _)| part)
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shares: Vec<String> =
            self.0.iter().map(|Share { part, share }| format!("{part} {:.0} %", share * 100.0)).collect();
        f.write_str(&shares.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_told_apart_by_their_functions() {
        let report = "# Samples: 2K of event 'cpu-clock'\n#\n\
                      \u{20}   30.50%  [.] k256::arithmetic::projective::ProjectivePoint::add      -      -\n\
                      \u{20}    9.50%  [.] <k256::Scalar as serde::Serialize>::serialize\n\
                      \u{20}   20.00%  [k] finish_task_switch.isra.0\n\
                      \u{20}   10.00%  [.] __KeccakF1600\n\
                      \u{20}   10.00%  [.] __memmove_avx512_unaligned_erms\n\
                      \u{20}   20.00%  [.] something_else\n\n";
        let profile = Profile::of(report).expect("samples");
        assert_eq!(profile.to_string(), "curves 40 %, kernel 20 %, rest 20 %, hashes 10 %, memory 10 %");
        // however perf rounds, the parts are parts of a whole
        let report = "  30.00%  [.] k256::a\n  60.00%  [k] b\n  30.00%  [.] k256::c\n";
        let shares: Vec<(&str, f64)> = Profile::of(report).expect("samples").shares().collect();
        assert_eq!(shares, [("curves", 0.5), (KERNEL, 0.5)]);
        assert!(Profile::of("# nothing\n").is_err());
    }
}
