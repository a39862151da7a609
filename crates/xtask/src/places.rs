//! Where things are: the repository, and what is cached outside of it.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// The repository and the cache folder.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    /// The repository's root.
    pub(crate) root: PathBuf,
    /// What may be deleted at any time: tools, built guests, the dev chain's program.
    pub(crate) cache: PathBuf,
}

impl Places {
    /// Finds the repository above the current folder; the cache is `countersign` in the user's cache folder.
    pub(crate) fn find() -> Result<Self> {
        let here = env::current_dir().context("the current folder cannot be read")?;
        let root = here
            .ancestors()
            .find(|folder| folder.join("crates/xtask/Cargo.toml").is_file())
            .context("this is not in the repository: no folder above has crates/xtask")?;
        let caches = match env::var_os("XDG_CACHE_HOME").filter(|path| Path::new(path).is_absolute()) {
            Some(path) => PathBuf::from(path),
            None => home()?.join(".cache"),
        };
        Ok(Self { root: root.to_owned(), cache: caches.join("countersign") })
    }

    /// The guests' workspace.
    pub(crate) fn actions(&self) -> PathBuf {
        self.root.join("actions")
    }

    /// Where tools from the package registry are installed.
    pub(crate) fn tools(&self) -> PathBuf {
        self.cache.join("tools")
    }

    /// Where the dev chain's npm package is installed.
    pub(crate) fn anvil(&self) -> PathBuf {
        self.cache.join("anvil")
    }

    /// Where the npm package of wizer is installed.
    pub(crate) fn wizer(&self) -> PathBuf {
        self.cache.join("wizer")
    }

    /// Where the npm package of TypeScript is installed.
    pub(crate) fn typescript(&self) -> PathBuf {
        self.cache.join("typescript")
    }

    /// The programs of the fuzz targets, and what they find.
    pub(crate) fn fuzz(&self) -> PathBuf {
        self.root.join("fuzz")
    }

    /// Where the programs of the fuzz targets are built.
    pub(crate) fn fuzz_build(&self) -> PathBuf {
        self.cache.join("fuzz")
    }

    /// The corpora of the fuzz targets, a folder for each.
    pub(crate) fn corpora(&self) -> PathBuf {
        self.root.join("crates/fuzzing/corpora")
    }

    /// Where guests are built.
    pub(crate) fn guests(&self) -> PathBuf {
        self.cache.join("guests")
    }
}

/// The user's home folder.
pub(crate) fn home() -> Result<PathBuf> {
    env::var_os("HOME").map(PathBuf::from).context("HOME is not set")
}
