//! Builds of the actions: components in the repository, their lock, and rebuilds that show that they belong
//! together.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::{self, Command},
};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::{
    command::run,
    interpreter::{Interpreter, RUNNER},
    lock::{Lock, Locked},
    places::{Places, home},
    scripts,
    stage::Stage,
    toolchain::{TARGET, Toolchain, cargo},
};

/// Components by the name of their action.
type Components = BTreeMap<String, Vec<u8>>;

/// Builds the actions, and writes components and lock.
pub(crate) fn write(places: &Places) -> Result<()> {
    let stage = Stage::of(&places.root)?;
    let toolchain = Toolchain::find()?.with_context(|| {
        format!("nothing here builds for {TARGET}: run `cargo xtask setup --for actions`")
    })?;
    let interpreter = Interpreter::find(places)?.context(
        "the runner of scripts cannot be built without clang and wizer: run `cargo xtask setup --for actions`",
    )?;
    let components = build(places, &stage, &toolchain, Some(&interpreter))?;
    let mut action = BTreeMap::new();
    for (name, bytes) in &components {
        fs::write(component(places, name), bytes)?;
        let locked = Locked::of(bytes);
        println!("{name:16} {:>7} bytes  {}", locked.size, locked.component);
        action.insert(name.clone(), locked);
    }
    let lock = Lock {
        toolchain: toolchain.name().to_owned(),
        interpreter: interpreter.name().to_owned(),
        sources: stage.digest(),
        action,
        script: scripts::locked(places)?,
    };
    lock.write(&lock_path(places))
}

/// Checks that components, lock and sources belong together, by a rebuild where the toolchain is the lock's.
/// Returns what was found.
pub(crate) fn check(places: &Places) -> Result<String> {
    let lock = Lock::read(&lock_path(places))?;
    let stage = Stage::of(&places.root)?;
    if lock.sources != stage.digest() {
        bail!("the actions' sources are not those of actions.lock: run `cargo xtask actions` and commit");
    }
    let committed = read_each(stage.names().iter(), |name| component(places, name))?;
    lock.check(&committed)?;
    if lock.script != scripts::locked(places)? {
        bail!("the scripts are not those of actions.lock: run `cargo xtask actions` and commit");
    }
    match Toolchain::find()? {
        Some(toolchain) if toolchain.name() == lock.toolchain => {
            let interpreter = Interpreter::find(places)?.filter(|found| found.name() == lock.interpreter);
            let built = build(places, &stage, &toolchain, interpreter.as_ref())?;
            lock.check_bytes(&built).context("a rebuild gives something else")?;
            let rebuilt = format!("{} components rebuilt, byte for byte", built.len());
            Ok(match interpreter {
                Some(_) => rebuilt,
                None => format!("{rebuilt}; {RUNNER} not rebuilt: that needs {}", lock.interpreter),
            })
        }
        Some(toolchain) => Ok(format!(
            "{} components as locked; not rebuilt: locked with {}, here is {}",
            committed.len(),
            lock.toolchain,
            toolchain.name()
        )),
        None => {
            Ok(format!("{} components as locked; not rebuilt: no toolchain for {TARGET}", committed.len()))
        }
    }
}

/// Cargo among the guests and their library as programs of this machine: staged, where they are one workspace.
pub(crate) fn cargo_natively(places: &Places) -> Result<Command> {
    let folder = places.guests().join("natively");
    Stage::of(&places.root)?.write(&folder)?;
    let mut command = cargo();
    command.current_dir(folder).env("CARGO_TARGET_DIR", places.guests().join("native"));
    Ok(command)
}

/// Builds the stage, or takes what was built from the same stage by the same toolchain. Without an interpreter, the
/// runner is left out.
fn build(
    places: &Places,
    stage: &Stage,
    toolchain: &Toolchain,
    interpreter: Option<&Interpreter>,
) -> Result<Components> {
    let programs = [toolchain.name(), interpreter.map_or("none", Interpreter::name)].join("\n");
    let key = hex::encode(Sha256::digest(format!("{}\n{programs}", stage.digest())));
    let kept = places.guests().join("built").join(&key[..32]);
    let names = || stage.names().iter().filter(|name| interpreter.is_some() || *name != RUNNER);
    if let Ok(components) = read_each(names(), |name| kept.join(format!("{name}.wasm"))) {
        return Ok(components);
    }
    let folder = places.guests().join(format!("stage-{}", process::id()));
    let built = build_in(places, &folder, stage, toolchain, interpreter);
    fs::remove_dir_all(&folder).with_context(|| format!("{} cannot be removed", folder.display()))?;
    let built = built?;
    fs::create_dir_all(&kept)?;
    for (name, bytes) in &built {
        fs::write(kept.join(format!("{name}.wasm")), bytes)?;
    }
    Ok(built)
}

fn build_in(
    places: &Places,
    folder: &Path,
    stage: &Stage,
    toolchain: &Toolchain,
    interpreter: Option<&Interpreter>,
) -> Result<Components> {
    stage.write(folder)?;
    run(cargo().args(["fetch", "--locked"]).current_dir(folder))?;
    let target = places.guests().join("target");
    let remapped = remapped(folder)?;
    let here = |mut command: Command| run(command.current_dir(folder).env("CARGO_TARGET_DIR", &target));
    // Apart, as features are unified over all that one build selects: the runner moves nobody's bytes.
    let mut others = toolchain.cargo("build", &remapped)?;
    others.args(["--workspace", "--exclude", RUNNER]);
    here(others)?;
    if let Some(interpreter) = interpreter {
        here(interpreter.build(toolchain, folder, &remapped)?)?;
    }
    let names = stage.names().iter().filter(|name| interpreter.is_some() || *name != RUNNER);
    let release = target.join(TARGET).join("release");
    let components = read_each(names, |name| release.join(format!("{}.wasm", name.replace('-', "_"))))?;
    for (name, bytes) in &components {
        refuse_paths(name, bytes, &remapped)?;
    }
    Ok(components)
}

/// This machine's folders, and what stands for them in a component. Later ones win.
fn remapped(stage: &Path) -> Result<Vec<(PathBuf, String)>> {
    let cargo_home = match env::var_os("CARGO_HOME") {
        Some(path) => PathBuf::from(path),
        None => home()?.join(".cargo"),
    };
    let registries = fs::read_dir(cargo_home.join("registry/src")).context("no crate was fetched")?;
    let mut remapped = vec![(cargo_home, "/cargo".to_owned())];
    for registry in registries {
        remapped.push((registry?.path(), "/registry".to_owned()));
    }
    remapped.push((stage.to_owned(), "/countersign".to_owned()));
    Ok(remapped)
}

/// A path of this machine in a component would give it other bytes elsewhere, and tell where it was built.
fn refuse_paths(name: &str, component: &[u8], remapped: &[(PathBuf, String)]) -> Result<()> {
    for (path, _) in remapped {
        let path = path.to_string_lossy();
        if component.windows(path.len()).any(|window| window == path.as_bytes()) {
            bail!("the component of {name} holds the path {path}");
        }
    }
    Ok(())
}

fn read_each<'a>(
    names: impl Iterator<Item = &'a String>,
    path: impl Fn(&str) -> PathBuf,
) -> Result<Components> {
    let mut components = Components::new();
    for name in names {
        let path = path(name);
        let bytes = fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        components.insert(name.clone(), bytes);
    }
    Ok(components)
}

fn component(places: &Places, name: &str) -> PathBuf {
    places.actions().join(name).join(format!("{name}.wasm"))
}

fn lock_path(places: &Places) -> PathBuf {
    places.actions().join("actions.lock")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_with_a_path_of_this_machine_is_refused() {
        let remapped = [(PathBuf::from("/elsewhere/somebody"), "/cargo".to_owned())];
        assert!(refuse_paths("a", b"at /cargo/x.rs", &remapped).is_ok());
        assert!(refuse_paths("a", b"at /elsewhere/somebody/x.rs", &remapped).is_err());
    }
}
