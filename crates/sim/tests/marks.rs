//! Defects of the core are in no program but one that is built for them.

use countersign_types::mutant::Mutant;

#[test]
fn a_program_holds_the_marks_of_all_mutants_or_of_none() {
    let program = std::fs::read(env!("CARGO_BIN_EXE_countersign-sim")).expect("the program is there");
    for mutant in Mutant::ALL {
        let mark = format!("countersign-mutant:{mutant:?}").into_bytes();
        let found = program.windows(mark.len()).any(|bytes| bytes == mark);
        assert_eq!(found, cfg!(countersign_mutants), "{mutant:?}");
    }
}
