//! How many seeds a test plays.

/// How many seeds: `COUNTERSIGN_SEEDS`, or so many.
pub(crate) fn seeds(usually: u64) -> u64 {
    std::env::var("COUNTERSIGN_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(usually)
}
