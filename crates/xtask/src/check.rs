//! `cargo xtask check`: everything that is asked of the code besides that it works.

use std::{path::PathBuf, process::Command, time::Duration};

use anyhow::Result;

use crate::{
    command::{on_path, run, run_within},
    guests, light,
    places::Places,
    purity,
    report::{Report, Went},
    scripts,
    setup::{self, Consent, Scope},
    toolchain::cargo,
    tools::{DENY, MACHETE},
};

/// How long the database of advisories may take to fetch.
const ADVISORIES_BOUND: Duration = Duration::from_secs(120);

/// Set-up and all checks.
pub(crate) fn run_checks(places: &Places, consent: Consent) -> Result<()> {
    let mut report = Report::default();
    if report.step("set-up", || setup::run(places, Scope::Check, consent).map(|()| Went::well())) {
        report.step("format", || format(places));
        report.step("purity", || purity::check(places).map(|()| Went::well()));
        report.step("what clients link", || light::check(places).map(|()| Went::well()));
        report.step("actions", || guests::check(places).map(Went::Well));
        report.step("types of scripts", || scripts::check_types(places).map(|()| Went::well()));
        report.step("unused dependencies", || unused(places));
        report.step("spelling", || spelling(places));
        report.step("licences, sources, bans", || licences(places));
        report.step("advisories", || advisories(places));
        report.step("lints", || lints(places));
        report.step("documentation", || documentation(places));
    }
    report.finish()
}

/// The workspace's manifest, the guests', and that of the programs of the fuzz targets.
fn manifests(places: &Places) -> [PathBuf; 3] {
    [&places.root, &places.actions(), &places.fuzz()].map(|folder| folder.join("Cargo.toml"))
}

fn format(places: &Places) -> Result<Went> {
    for manifest in manifests(places) {
        run(cargo().args(["fmt", "--all", "--check", "--manifest-path"]).arg(manifest))?;
    }
    Ok(Went::well())
}

fn lints(places: &Places) -> Result<Went> {
    let arguments = ["clippy", "--workspace", "--locked", "--all-targets", "--", "-D", "warnings"];
    run(cargo().args(arguments).current_dir(&places.root))?;
    run(guests::cargo_natively(places)?.args(arguments))?;
    Ok(Went::well())
}

fn documentation(places: &Places) -> Result<Went> {
    let arguments = ["doc", "--workspace", "--locked", "--no-deps"];
    run(cargo().args(arguments).current_dir(&places.root).env("RUSTDOCFLAGS", "-D warnings"))?;
    run(guests::cargo_natively(places)?.args(arguments).env("RUSTDOCFLAGS", "-D warnings"))?;
    Ok(Went::well())
}

fn licences(places: &Places) -> Result<Went> {
    for manifest in manifests(places) {
        run(deny(places, &manifest)?.args(["check", "bans", "licenses", "sources"]))?;
    }
    Ok(Went::well())
}

/// The advisories change without us, and their database is not everywhere within reach.
fn advisories(places: &Places) -> Result<Went> {
    let manifests = manifests(places);
    if let Err(error) = run_within(ADVISORIES_BOUND, deny(places, &manifests[0])?.args(["fetch", "db"])) {
        return Ok(Went::Skipped(format!("the database of advisories cannot be fetched: {error:#}")));
    }
    for manifest in manifests {
        run(deny(places, &manifest)?.args(["check", "advisories"]))?;
    }
    Ok(Went::well())
}

fn deny(places: &Places, manifest: &PathBuf) -> Result<Command> {
    let mut command = DENY.command(places)?;
    command.arg("--manifest-path").arg(manifest).arg("--locked");
    command.arg("--config").arg(places.root.join("deny.toml"));
    Ok(command)
}

fn unused(places: &Places) -> Result<Went> {
    run(MACHETE
        .command(places)?
        .args(["crates", "examples", "testnet", "actions"])
        .current_dir(&places.root))?;
    Ok(Went::well())
}

fn spelling(places: &Places) -> Result<Went> {
    if on_path("typos").is_none() {
        return Ok(Went::Skipped("typos is not installed".into()));
    }
    run(Command::new("typos").current_dir(&places.root))?;
    Ok(Went::well())
}
