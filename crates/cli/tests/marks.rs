//! Nothing of the simulator's deliberate defects is in the program that is shipped.

use countersign_types::mutant::Mutant;

#[test]
fn the_program_holds_no_mutant() {
    let program = std::fs::read(env!("CARGO_BIN_EXE_countersign")).expect("the program is there");
    for mutant in Mutant::ALL {
        let mark = format!("countersign-mutant:{mutant:?}").into_bytes();
        assert!(!program.windows(mark.len()).any(|bytes| bytes == mark), "{mutant:?}");
    }
}
