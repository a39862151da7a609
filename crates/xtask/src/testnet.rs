//! The scripts `testnet/up` and `testnet/down`, run as somebody runs them.

use std::{
    process::{self, Command},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{
    command::{output, run, shown},
    places::Places,
    report::Went,
    test::target,
};

/// Shows a network with `testnet/up --once`, says how long that took, and removes it with `testnet/down --purge`.
///
/// It lies in a folder of its own: what somebody has left running in this checkout is not touched. Where anything fails, the folder stays,
/// with its logs.
pub(crate) fn run_scripts(places: &Places) -> Result<Went> {
    let folder = target(places).join(format!("testnet-{}", process::id()));
    let script = |name: &str, arguments: &[&str]| {
        let mut script = Command::new(places.root.join("testnet").join(name));
        script.args(arguments).arg("--folder").arg(&folder);
        script.current_dir(&places.root).env("CARGO_TARGET_DIR", target(places));
        script
    };
    let mut up = script("up", &["--once", "--json", "--yes"]);
    eprintln!("$ {}", shown(&up));
    let started = Instant::now();
    let printed = output(&mut up)?;
    let took = started.elapsed();
    is_one_document(&printed)?;
    run(&mut script("down", &["--purge"]))?;
    ensure!(!folder.exists(), "`testnet/down --purge` leaves {}", folder.display());
    Ok(Went::Well(format!("testnet/up --once took {:.1} s", took.as_secs_f64())))
}

/// Whether all that was printed is one document, of a network on which all was as it must be.
fn is_one_document(printed: &str) -> Result<()> {
    let document: Value = serde_json::from_str(printed)
        .with_context(|| format!("`testnet/up --json` prints something else than one document: {printed}"))?;
    ensure!(document["ok"] == true, "not all was as it must be: {document:#}");
    let shown = document["demonstrations"].as_array().map_or(0, Vec::len);
    ensure!(shown > 0, "nothing was shown: {document:#}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_document_is_taken_and_nothing_beside_it() {
        let well = r#"{ "ok": true, "demonstrations": [{}] }"#;
        is_one_document(&format!("{well}\n")).expect("one document");
        for printed in [
            String::new(),
            format!("{well}{well}"),
            format!("   Compiling something\n{well}"),
            format!("{well}\nstopped"),
            well.replace("true", "false"),
            well.replace("[{}]", "[]"),
        ] {
            assert!(is_one_document(&printed).is_err(), "{printed}");
        }
    }
}
