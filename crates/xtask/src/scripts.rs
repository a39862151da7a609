//! Actions that are scripts: pinned in the lock, and checked against the declarations that authors use.

use std::{collections::BTreeMap, fs, path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::{command::run, lock::LockedScript, places::Places};

/// The npm package of TypeScript, with its version.
pub(crate) const TYPESCRIPT_PACKAGE: &str = "typescript@7.0.2";

/// What the lock says of the scripts: the files `<name>/<name>.js` of `actions/`.
pub(crate) fn locked(places: &Places) -> Result<BTreeMap<String, LockedScript>> {
    let mut scripts = BTreeMap::new();
    for (name, path) in all(places)? {
        let source = fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        scripts.insert(name, LockedScript::of(&source));
    }
    Ok(scripts)
}

/// Checks that the scripts fit `actions/countersign.d.ts`.
pub(crate) fn check_types(places: &Places) -> Result<()> {
    let compiler = compiler(places).context("TypeScript is not installed")?;
    let mut command = Command::new(compiler);
    command.args([
        "--noEmit",
        "--allowJs",
        "--checkJs",
        "--strict",
        "--target",
        "es2023",
        "--lib",
        "es2023",
        "--module",
        "esnext",
    ]);
    command.args(["--types", ""]).arg("countersign.d.ts");
    command.args(all(places)?.into_values());
    run(command.current_dir(places.actions()))
}

/// TypeScript's compiler, where set-up installed it.
pub(crate) fn compiler(places: &Places) -> Option<PathBuf> {
    Some(places.typescript().join("node_modules/.bin/tsc")).filter(|path| path.is_file())
}

fn all(places: &Places) -> Result<BTreeMap<String, PathBuf>> {
    let mut scripts = BTreeMap::new();
    let folders = fs::read_dir(places.actions()).context("actions/ cannot be read")?;
    for folder in folders {
        let folder = folder?;
        let name = folder.file_name().to_string_lossy().into_owned();
        let path = folder.path().join(format!("{name}.js"));
        if path.is_file() {
            scripts.insert(name, path);
        }
    }
    Ok(scripts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_has_its_folders_name() {
        let root = tempfile::tempdir().expect("a folder");
        for path in ["gate/gate.js", "gate/other.js", "lock/src/lib.rs"] {
            let path = root.path().join("actions").join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("created");
            fs::write(path, "one").expect("written");
        }
        let places = Places { root: root.path().to_owned(), cache: root.path().join("cache") };
        let expected = BTreeMap::from([("gate".to_owned(), LockedScript::of(b"one"))]);
        assert_eq!(locked(&places).expect("read"), expected);
    }
}
