//! Defects of the core, and curves that are toys, are in no program but one that is built for them.

use countersign_types::mutant::Mutant;

fn holds(mark: &str) -> bool {
    let program = std::fs::read(env!("CARGO_BIN_EXE_countersign-sim")).expect("the program is there");
    let mark = mark.as_bytes();
    program.windows(mark.len()).any(|bytes| bytes[0] == mark[0] && bytes == mark)
}

#[test]
fn a_program_holds_the_marks_of_all_mutants_or_of_none() {
    assert_eq!(holds("countersign-mutant:"), cfg!(countersign_mutants));
    let missing = |mutant: &&Mutant| !holds(&format!("countersign-mutant:{mutant:?}"));
    if cfg!(countersign_mutants) {
        assert_eq!(Mutant::ALL.iter().find(missing), None);
    }
}

#[test]
fn a_program_holds_the_mark_of_toy_curves_where_it_has_them_only() {
    assert_eq!(holds("countersign-toy-curves"), cfg!(countersign_toy_curves));
}
