//! `cargo xtask test`: everything that shows that it works.

use std::{
    env, fs,
    io::{self, IsTerminal},
    path::PathBuf,
};

use anyhow::{Result, bail};

use crate::{
    command::{run, run_keeping},
    guests,
    places::Places,
    report::{Report, Went},
    setup::{self, Consent, Scope},
    testnet,
    toolchain::cargo,
    tools::{NEXTEST, with_anvil},
    variants::{MUTANTS, TOY_CURVES},
};

/// Set-up, the actions, all tests, the scripts of the test network, the core's deliberate defects, and all examples in the documentation.
pub(crate) fn run_tests(places: &Places, consent: Consent) -> Result<()> {
    let mut report = Report::default();
    if report.step("set-up", || setup::run(places, Scope::Test, consent).map(|()| Went::well())) {
        report.step("actions", || guests::check(places).map(Went::Well));
        report.step("tests", || tests(places));
        report.step("scripts of the test network", || testnet::run_scripts(places));
        report.step("defects of the core", || MUTANTS.test(places).map(|()| Went::well()));
        report.step("toy curves", || TOY_CURVES.test(places).map(|()| Went::well()));
        report.step("documentation's examples", || {
            run(cargo().args(["test", "--workspace", "--locked", "--doc"]).current_dir(&places.root))?;
            Ok(Went::well())
        });
        report.step("tests of the actions and their library", || {
            run(guests::cargo_natively(places)?.args(["test", "--workspace", "--locked"]))?;
            Ok(Went::well())
        });
    }
    report.finish()
}

/// Runs the tests. Where nobody watches, their summary is also left in `nextest-summary.txt` in the target
/// folder, for whoever reports it.
///
/// Everything is built first, with one set of features: tests of whole networks run the program `countersign`,
/// which belongs to another package.
fn tests(places: &Places) -> Result<Went> {
    build(places)?;
    let mut command = NEXTEST.command(places)?;
    command.args(["nextest", "run", "--workspace", "--locked", "--no-fail-fast"]).current_dir(&places.root);
    let command = with_anvil(places, &mut command)?;
    if io::stderr().is_terminal() {
        run(command)?;
        return Ok(Went::well());
    }
    let (status, summary) = run_keeping(command, |line| line.trim_start().starts_with("Summary ["))?;
    fs::write(target(places).join("nextest-summary.txt"), summary.join("\n") + "\n")?;
    let said = summary.first().map(|line| line.trim().to_owned()).unwrap_or_default();
    if status.success() { Ok(Went::Well(said)) } else { bail!("{status}; {said}") }
}

/// Builds everything that tests run, always of the whole workspace: another choice of packages has other features, and compiles
/// everything anew.
pub(crate) fn build(places: &Places) -> Result<()> {
    run(cargo().args(["build", "--workspace", "--all-targets", "--locked"]).current_dir(&places.root))
}

/// The target folder.
pub(crate) fn target(places: &Places) -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| places.root.join("target"), PathBuf::from)
}
