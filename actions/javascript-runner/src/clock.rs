//! Time and randomness: what the session agreed on, the same on every node and known to everybody.

use std::cell::Cell;

thread_local! {
    static NOW_MS: Cell<u64> = const { Cell::new(0) };
    static STATE: Cell<u64> = const { Cell::new(1) };
}

/// Sets the clock to the session's time and seeds `Math.random` with the session's seed.
pub(crate) fn set(time_ms: u64, seed: &[u8]) {
    NOW_MS.set(time_ms);
    let words = seed.chunks(8).map(|chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_le_bytes(word)
    });
    // each word moves the others' bits, so that equal words do not cancel each other out
    let mix = |state: u64, word: u64| (state.rotate_left(29) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    // the generator stands still at zero
    STATE.set(words.fold(0, mix).max(1));
}

/// The next number of `Math.random`, in [0, 1): xorshift64*, as QuickJS has it. Everybody can predict it.
#[allow(clippy::cast_precision_loss, reason = "53 bits are what a number holds")]
pub(crate) fn random() -> f64 {
    let mut state = STATE.get();
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    STATE.set(state);
    let number = state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11;
    number as f64 / (1_u64 << 53) as f64
}

/// What QuickJS asks for the time, in microseconds since 1970. `Date` reads nothing else, and its zone is UTC.
#[cfg(target_arch = "wasm32")]
#[allow(
    unsafe_code,
    clippy::cast_precision_loss,
    reason = "the name and the type that QuickJS's port asks for"
)]
#[unsafe(no_mangle)]
extern "C" fn __rquickjs_host_now_us() -> f64 {
    NOW_MS.get() as f64 * 1_000.0
}
