//! Defects of the core are in no program but one that is built for them.

use countersign_types::mutant::Mutant;

#[test]
fn a_program_holds_the_marks_of_all_mutants_or_of_none() {
    let program = std::fs::read(env!("CARGO_BIN_EXE_countersign-sim")).expect("the program is there");
    let holds = |mark: &[u8]| program.windows(mark.len()).any(|bytes| bytes[0] == mark[0] && bytes == mark);
    let begins = b"countersign-mutant:";
    assert_eq!(holds(begins), cfg!(countersign_mutants));
    let missing = |mutant: &&Mutant| !holds(format!("countersign-mutant:{mutant:?}").as_bytes());
    if cfg!(countersign_mutants) {
        assert_eq!(Mutant::ALL.iter().find(missing), None);
    }
}
