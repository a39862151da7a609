//! Nothing of the simulator's deliberate defects is in the program that is shipped.

/// What the mark of every mutant begins with.
const MARK: &[u8] = b"countersign-mutant:";

#[test]
fn the_program_holds_no_mutant() {
    let program = std::fs::read(env!("CARGO_BIN_EXE_countersign")).expect("the program is there");
    assert!(!program.windows(MARK.len()).any(|bytes| bytes[0] == MARK[0] && bytes == MARK));
}
