//! Nothing of what only the simulator's own builds have is in the program that is shipped.

/// What the mark of every deliberate defect of the core begins with, and the mark of curves that are toys.
const MARKS: [&str; 2] = ["countersign-mutant:", "countersign-toy-curves"];

#[test]
fn the_program_holds_no_mutant_and_no_toy() {
    let program = std::fs::read(env!("CARGO_BIN_EXE_countersign")).expect("the program is there");
    for mark in MARKS.map(str::as_bytes) {
        assert!(!program.windows(mark.len()).any(|bytes| bytes[0] == mark[0] && bytes == mark));
    }
}
