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
        let workspace = workspace(&read_table(&root.join("Cargo.toml"))?, &actions, &sdk, &names)?;
        files.insert(format!("{SDK}/Cargo.toml"), render(sdk)?);
        files.insert("Cargo.toml".into(), render(workspace)?);
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

    /// Writes the files into an empty folder.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        for (path, bytes) in &self.files {
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

/// The manifest of a workspace that holds guests and SDK: the guests' profiles, and what the SDK inherits.
fn workspace(root: &Table, actions: &Table, sdk: &Table, names: &[String]) -> Result<Table> {
    let inherited = root.get("workspace").and_then(Value::as_table).context("the root has no workspace")?;
    let listed = inherited.get("dependencies").and_then(Value::as_table).cloned().unwrap_or_default();
    let used = sdk.get("dependencies").and_then(Value::as_table).cloned().unwrap_or_default();
    let dependencies: Table = listed.into_iter().filter(|(name, _)| used.contains_key(name)).collect();
    let members = names.iter().map(|name| format!("actions/{name}")).chain([SDK.to_owned()]);

    let mut workspace = Table::new();
    workspace.insert("resolver".into(), "3".into());
    workspace.insert("members".into(), Value::Array(members.map(Value::String).collect()));
    workspace.insert("dependencies".into(), dependencies.into());
    for key in ["package", "lints"] {
        if let Some(value) = inherited.get(key) {
            workspace.insert(key.into(), value.clone());
        }
    }
    let mut manifest = Table::from_iter([("workspace".to_owned(), Value::Table(workspace))]);
    if let Some(profiles) = actions.get("profile") {
        manifest.insert("profile".into(), profiles.clone());
    }
    Ok(manifest)
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
            (
                "Cargo.toml",
                "[workspace]\nmembers = [\"crates/*\"]\n[workspace.package]\nversion = \"1.0.0\"\n\
                 [workspace.dependencies]\nhex = \"0.4\"\ntokio = \"1\"\n",
            ),
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
                "[package]\nname = \"sdk\"\n[dependencies]\nhex.workspace = true\n\
                 [dev-dependencies]\ntempfile.workspace = true\n",
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
        assert!(workspace["dependencies"].get("hex").is_some());
        assert!(workspace["dependencies"].get("tokio").is_none(), "only what the SDK uses");
        assert_eq!(manifest["profile"]["release"]["lto"].as_str(), Some("fat"));
        let sdk = read_table(&folder.path().join("crates/action-sdk/Cargo.toml")).expect("a manifest");
        assert!(sdk.get("dev-dependencies").is_none());
    }

    #[test]
    fn what_is_built_is_in_the_digest_and_nothing_else_is() {
        let repository = repository();
        let before = digest(&repository);
        let write = |path: &str, text: &str| fs::write(repository.path().join(path), text).expect("written");
        write("actions/a/README.md", "Another.\n");
        write(
            "Cargo.toml",
            "[workspace]\nmembers = [\"crates/*\", \"x\"]\n[workspace.package]\nversion = \"1.0.0\"\n\
             [workspace.dependencies]\ntokio = \"2\"\nhex = \"0.4\"\n",
        );
        assert_eq!(digest(&repository), before);
        for path in ["actions/a/src/lib.rs", "crates/action-sdk/wit/action.wit", "actions/Cargo.lock"] {
            let before = digest(&repository);
            write(path, "other");
            assert_ne!(digest(&repository), before, "{path}");
        }
    }
}
