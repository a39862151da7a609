//! The sources of the guests, gathered as they are built.
//!
//! Cargo mixes the absolute path of a dependency outside of the workspace into the names of its symbols, and so
//! into the component's bytes. Staged, the SDK is a member of the guests' workspace: the bytes depend on
//! sources and toolchain only, and the digest of the stage says whether a component is up to date.

use std::{
    collections::BTreeMap,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use toml::{Table, Value};

const SDK: &str = "crates/action-sdk";
/// What a guest may be built from besides `src`: scripts that it embeds, and programs that link it.
const GUEST_FOLDERS: [&str; 2] = ["js", PROGRAMS];
const PROGRAMS: &str = "link";

/// All files of the guests' build, by their path in the stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stage {
    names: Vec<String>,
    files: BTreeMap<String, Vec<u8>>,
}

impl Stage {
    /// Gathers the sources below the repository's root.
    pub(crate) fn of(root: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        let actions = read_table(&root.join("actions/Cargo.toml"))?;
        let names = member_names(&actions)?;
        for name in &names {
            let folder = format!("actions/{name}");
            gather(root, &format!("{folder}/src"), &mut files)?;
            for more in GUEST_FOLDERS.iter().map(|more| format!("{folder}/{more}")) {
                if root.join(&more).is_dir() {
                    gather(root, &more, &mut files)?;
                }
            }
            files.insert(format!("{folder}/Cargo.toml"), read(&root.join(&folder).join("Cargo.toml"))?);
        }
        gather(root, &format!("{SDK}/src"), &mut files)?;
        gather(root, &format!("{SDK}/wit"), &mut files)?;
        let mut sdk = read_table(&root.join(SDK).join("Cargo.toml"))?;
        // staged, it is a member
        sdk.remove("workspace");
        sdk.remove("dev-dependencies");
        files.insert(format!("{SDK}/Cargo.toml"), render(sdk)?);
        files.insert("Cargo.toml".into(), render(workspace(&actions, &names))?);
        files.insert("Cargo.lock".into(), read(&root.join("actions/Cargo.lock"))?);
        Ok(Self { names, files })
    }

    /// The actions' names, sorted.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// The SHA-256 of all paths and contents.
    pub(crate) fn digest(&self) -> String {
        let mut hasher = Sha256::new();
        for (path, bytes) in &self.files {
            for part in [path.as_bytes(), bytes] {
                hasher.update((part.len() as u64).to_be_bytes());
                hasher.update(part);
            }
        }
        hex::encode(hasher.finalize())
    }

    /// Makes a folder hold these files. Those that it holds already stay untouched, so that cargo need not build them again.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        let mut there = BTreeMap::new();
        for part in ["actions", "crates"] {
            if folder.join(part).is_dir() {
                gather(folder, part, &mut there)?;
            }
        }
        for path in there.keys().filter(|path| !self.files.contains_key(*path)) {
            fs::remove_file(folder.join(path))?;
        }
        for (path, bytes) in self.files.iter().filter(|(path, bytes)| there.get(*path) != Some(*bytes)) {
            let path = folder.join(path);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(&path, bytes).with_context(|| format!("{} cannot be written", path.display()))?;
            if path.parent().is_some_and(|parent| parent.ends_with(PROGRAMS)) {
                fs::set_permissions(&path, Permissions::from_mode(0o755))?;
            }
        }
        Ok(())
    }
}

/// The manifest of a workspace that holds guests and SDK, with the guests' profiles. None of them inherits anything: what the nodes'
/// workspace says does not reach them.
fn workspace(actions: &Table, names: &[String]) -> Table {
    let members = names.iter().map(|name| format!("actions/{name}")).chain([SDK.to_owned()]);
    let mut workspace = Table::new();
    workspace.insert("resolver".into(), "3".into());
    workspace.insert("members".into(), Value::Array(members.map(Value::String).collect()));
    let mut manifest = Table::from_iter([("workspace".to_owned(), Value::Table(workspace))]);
    if let Some(profiles) = actions.get("profile") {
        manifest.insert("profile".into(), profiles.clone());
    }
    manifest
}

fn member_names(actions: &Table) -> Result<Vec<String>> {
    let members = actions.get("workspace").and_then(|workspace| workspace.get("members"));
    let members = members.and_then(Value::as_array).context("actions/Cargo.toml lists no members")?;
    let mut names: Vec<String> = members.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    names.sort();
    Ok(names)
}

/// Adds all files below `folder`, which is relative to `root`.
fn gather(root: &Path, folder: &str, files: &mut BTreeMap<String, Vec<u8>>) -> Result<()> {
    let path = root.join(folder);
    let entries = fs::read_dir(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().into_string().ok().context("a file's name is not UTF-8")?;
        let inner = format!("{folder}/{name}");
        if entry.file_type()?.is_dir() {
            gather(root, &inner, files)?;
        } else {
            files.insert(inner, read(&entry.path())?);
        }
    }
    Ok(())
}

fn read(path: &PathBuf) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("{} cannot be read", path.display()))
}

fn read_table(path: &PathBuf) -> Result<Table> {
    let text = String::from_utf8(read(path)?)?;
    text.parse().with_context(|| format!("{} is not TOML", path.display()))
}

/// Renders with sorted keys, whether or not the TOML library keeps their order.
fn render(table: Table) -> Result<Vec<u8>> {
    Ok(toml::to_string(&sorted(Value::Table(table)))?.into_bytes())
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Table(table) => {
            let entries: BTreeMap<String, Value> =
                table.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            Value::Table(entries.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        scalar @ (Value::String(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Boolean(_)
        | Value::Datetime(_)) => scalar,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (path, text) in [
            ("Cargo.toml", "[workspace]\nmembers = [\"crates/*\"]\n"),
            (
                "actions/Cargo.toml",
                "[workspace]\nmembers = [\"b\", \"a\"]\n[profile.release]\nlto = \"fat\"\n",
            ),
            ("actions/Cargo.lock", "version = 4\n"),
            ("actions/a/Cargo.toml", "[package]\nname = \"a\"\n"),
            ("actions/a/src/lib.rs", "//! A.\n"),
            ("actions/a/README.md", "A.\n"),
            ("actions/b/Cargo.toml", "[package]\nname = \"b\"\n"),
            ("actions/b/src/lib.rs", "//! B.\n"),
            (
                "crates/action-sdk/Cargo.toml",
                "[workspace]\n[package]\nname = \"sdk\"\n[dependencies]\nhex = \"0.4\"\n\
                 [dev-dependencies]\ntempfile = \"3\"\n",
            ),
            ("crates/action-sdk/src/lib.rs", "//! SDK.\n"),
            ("crates/action-sdk/wit/action.wit", "package a:b;\n"),
        ] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("created");
            fs::write(path, text).expect("written");
        }
        folder
    }

    fn digest(repository: &tempfile::TempDir) -> String {
        Stage::of(repository.path()).expect("a stage").digest()
    }

    #[test]
    fn the_stage_is_one_workspace_of_guests_and_sdk() {
        let repository = repository();
        let stage = Stage::of(repository.path()).expect("a stage");
        assert_eq!(stage.names(), ["a", "b"]);
        let folder = tempfile::tempdir().expect("a folder");
        stage.write(folder.path()).expect("written");
        let manifest = read_table(&folder.path().join("Cargo.toml")).expect("a manifest");
        let workspace = &manifest["workspace"];
        assert_eq!(workspace["members"].as_array().map(Vec::len), Some(3));
        assert_eq!(manifest["profile"]["release"]["lto"].as_str(), Some("fat"));
        let sdk = read_table(&folder.path().join("crates/action-sdk/Cargo.toml")).expect("a manifest");
        assert!(sdk.get("workspace").is_none() && sdk.get("dev-dependencies").is_none());
    }

    #[test]
    fn what_a_folder_holds_already_stays_as_it_is() {
        let repository = repository();
        let folder = tempfile::tempdir().expect("a folder");
        let write = || Stage::of(repository.path()).expect("a stage").write(folder.path()).expect("written");
        let changed =
            |path: &str| fs::metadata(folder.path().join(path)).expect("there").modified().expect("a time");
        write();
        let old = std::time::SystemTime::UNIX_EPOCH;
        let (same, other) = ("crates/action-sdk/src/lib.rs", "actions/a/src/lib.rs");
        for path in [same, other] {
            let file = fs::File::options().write(true).open(folder.path().join(path)).expect("there");
            file.set_modified(old).expect("set");
        }
        fs::write(repository.path().join(other), "//! Another A.\n").expect("written");
        fs::rename(
            repository.path().join("actions/b/src/lib.rs"),
            repository.path().join("actions/b/src/c.rs"),
        )
        .expect("renamed");
        write();
        assert_eq!(changed(same), old);
        assert_ne!(changed(other), old);
        let text = |path: &str| fs::read_to_string(folder.path().join(path)).ok();
        assert_eq!(text(other).as_deref(), Some("//! Another A.\n"));
        assert_eq!(text("actions/b/src/c.rs").as_deref(), Some("//! B.\n"));
        assert_eq!(text("actions/b/src/lib.rs"), None);
    }

    #[test]
    fn what_is_built_is_in_the_digest_and_nothing_else_is() {
        let repository = repository();
        let before = digest(&repository);
        let write = |path: &str, text: &str| fs::write(repository.path().join(path), text).expect("written");
        write("actions/a/README.md", "Another.\n");
        write(
            "Cargo.toml",
            "[workspace]\nmembers = [\"crates/*\"]\n[workspace.dependencies]\nhex = \"0.4\"\n\
             [workspace.lints.rust]\nmissing_docs = \"warn\"\n",
        );
        assert_eq!(digest(&repository), before);
        for path in ["actions/a/src/lib.rs", "crates/action-sdk/wit/action.wit", "actions/Cargo.lock"] {
            let before = digest(&repository);
            write(path, "other");
            assert_ne!(digest(&repository), before, "{path}");
        }
    }
}
