//! Compiled artefacts on disk: native code, and so loaded only if this node made it.

use std::{
    fmt, fs, io,
    io::Write,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::SystemTime,
};

use alloy_primitives::keccak256;
use countersign_types::ComponentDigest;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use wasmtime::component::Component;
use zeroize::ZeroizeOnDrop;

use crate::{compile::MAX_ARTEFACT_BYTES, engine::Engine};

/// The length of a file's authentication code, which precedes the code.
const MAC_BYTES: usize = 32;
/// How a file's name ends.
const EXTENSION: &str = "cwasm";
/// What separates these authentication codes from others under the same key.
const DOMAIN: &[u8] = b"countersign/artefact/v1";

/// The secret under which artefacts are authenticated: known to this node only.
#[derive(Clone, ZeroizeOnDrop)]
pub struct ArtefactKey([u8; 32]);

impl ArtefactKey {
    /// A key from 32 secret bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for ArtefactKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ArtefactKey(redacted)")
    }
}

/// Why artefacts cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum ArtefactError {
    /// The directory or a file in it cannot be used.
    #[error("{} cannot be used for compiled artefacts", path.display())]
    Io {
        /// Which directory or file.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// The directory is somebody else's.
    #[error("{} belongs to user {got}, compiled artefacts must be this user's ({expected})", path.display())]
    Owner {
        /// The directory.
        path: PathBuf,
        /// This user.
        expected: u32,
        /// Its owner.
        got: u32,
    },
    /// An artefact that is larger than the whole directory may be.
    #[error("a compiled artefact of {got} bytes does not fit in {limit}")]
    TooLarge {
        /// Its size.
        got: u64,
        /// The bound.
        limit: u64,
    },
}

/// A directory of mode 0700 with one authenticated file for each component, of this engine and processor.
pub struct Artefacts {
    directory: PathBuf,
    key: ArtefactKey,
    /// What the code is for: engine and processor.
    tag: [u8; 32],
    most_bytes: u64,
}

impl Artefacts {
    /// Opens or makes the directory, takes other users' access away, and deletes what is of another engine.
    pub fn open(
        directory: impl Into<PathBuf>,
        key: ArtefactKey,
        engine: &Engine,
        most_bytes: u64,
    ) -> Result<Self, ArtefactError> {
        let directory = directory.into();
        let at = |source| ArtefactError::Io { path: directory.clone(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory).map_err(at)?;
        let owner = fs::metadata(&directory).map_err(at)?.uid();
        let user = rustix::process::geteuid().as_raw();
        if owner != user {
            return Err(ArtefactError::Owner { path: directory, expected: user, got: owner });
        }
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).map_err(at)?;
        let compatibility = engine.code_compatibility().to_be_bytes();
        let tag = keccak256([engine.engine_id().as_bytes().as_slice(), &compatibility].concat()).0;
        let artefacts = Self { directory, key, tag, most_bytes };
        artefacts.delete_foreign()?;
        Ok(artefacts)
    }

    /// The component of a digest, if this node compiled it. A file that is corrupt or not this node's is
    /// deleted, never loaded.
    pub(crate) fn load(&self, engine: &Engine, digest: ComponentDigest) -> Option<Component> {
        let path = self.path(digest);
        let file = read_bounded(&path)?;
        let loaded = self.authentic(digest, &file).and_then(|code| deserialize(engine, code));
        if loaded.is_none() {
            tracing::warn!(path = %path.display(), "a compiled artefact is not this node's or is damaged: deleted");
            if let Err(error) = fs::remove_file(&path) {
                tracing::warn!(path = %path.display(), %error, "a compiled artefact cannot be deleted");
            }
        }
        loaded
    }

    /// Keeps an artefact, at the cost of the oldest where space is short.
    pub(crate) fn save(&self, digest: ComponentDigest, code: &[u8]) -> Result<(), ArtefactError> {
        let size = u64::try_from(code.len() + MAC_BYTES).unwrap_or(u64::MAX);
        if size > self.most_bytes {
            return Err(ArtefactError::TooLarge { got: size, limit: self.most_bytes });
        }
        self.make_room(size)?;
        let path = self.path(digest);
        let unfinished = path.with_extension("tmp");
        let write = || {
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&unfinished)?;
            file.write_all(&self.mac(digest, code).finalize().into_bytes())?;
            file.write_all(code)?;
            fs::rename(&unfinished, &path)
        };
        write().map_err(|source| {
            let _ = fs::remove_file(&unfinished);
            ArtefactError::Io { path, source }
        })
    }

    /// The code of a file whose authentication code is right for this digest, engine and processor.
    fn authentic<'a>(&self, digest: ComponentDigest, file: &'a [u8]) -> Option<&'a [u8]> {
        let (mac, code) = file.split_first_chunk::<MAC_BYTES>()?;
        self.mac(digest, code).verify_slice(mac).ok()?;
        Some(code)
    }

    fn mac(&self, digest: ComponentDigest, code: &[u8]) -> Hmac<Sha256> {
        let mut mac =
            <Hmac<Sha256> as KeyInit>::new_from_slice(&self.key.0).expect("HMAC takes keys of any length");
        for part in [DOMAIN, &self.tag, digest.as_bytes(), code] {
            mac.update(part);
        }
        mac
    }

    fn path(&self, digest: ComponentDigest) -> PathBuf {
        self.directory.join(format!("{digest}{}", self.suffix()))
    }

    fn suffix(&self) -> String {
        let [a, b, c, d, ..] = self.tag;
        format!("-{a:02x}{b:02x}{c:02x}{d:02x}.{EXTENSION}")
    }

    fn delete_foreign(&self) -> Result<(), ArtefactError> {
        let suffix = self.suffix();
        for file in self.files()? {
            let ours = file.path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(&suffix));
            if !ours {
                self.delete(&file.path)?;
            }
        }
        Ok(())
    }

    fn make_room(&self, size: u64) -> Result<(), ArtefactError> {
        let mut files = self.files()?;
        files.sort_by_key(|file| file.modified);
        let mut total = files.iter().map(|file| file.size).sum::<u64>().saturating_add(size);
        for file in files {
            if total <= self.most_bytes {
                break;
            }
            self.delete(&file.path)?;
            total = total.saturating_sub(file.size);
        }
        Ok(())
    }

    fn delete(&self, path: &Path) -> Result<(), ArtefactError> {
        fs::remove_file(path).map_err(|source| ArtefactError::Io { path: path.into(), source })
    }

    /// Artefacts, also unfinished ones and those of other engines; other files are left alone.
    fn files(&self) -> Result<Vec<File>, ArtefactError> {
        let list = || {
            let mut files = Vec::new();
            for entry in fs::read_dir(&self.directory)? {
                let entry = entry?;
                let path = entry.path();
                let kind = path.extension().and_then(|extension| extension.to_str());
                if matches!(kind, Some(EXTENSION | "tmp")) {
                    let metadata = entry.metadata()?;
                    files.push(File { path, size: metadata.len(), modified: metadata.modified()? });
                }
            }
            Ok(files)
        };
        list().map_err(|source| ArtefactError::Io { path: self.directory.clone(), source })
    }
}

struct File {
    path: PathBuf,
    size: u64,
    modified: SystemTime,
}

/// A file's bytes; none where there is no file, or one that no artefact can be.
fn read_bounded(path: &Path) -> Option<Vec<u8>> {
    let size = fs::metadata(path).ok()?.len();
    let most = u64::try_from(MAX_ARTEFACT_BYTES + MAC_BYTES).unwrap_or(u64::MAX);
    if size > most {
        return Some(Vec::new());
    }
    fs::read(path).ok()
}

/// Loads native code. The caller has authenticated it, or made it in this process.
#[allow(
    unsafe_code,
    reason = "the code was compiled by this node: fresh from its compiler, or authenticated"
)]
pub(crate) fn deserialize(engine: &Engine, code: &[u8]) -> Option<Component> {
    // SAFETY: `code` is what `Component::serialize` gave for an engine of this node. It comes from the
    // node's own compiling process, or from a file whose MAC under the node's secret key is right.
    unsafe { Component::deserialize(engine.wasmtime(), code) }.ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const DIGEST: [u8; 32] = [7; 32];

    fn engine() -> Engine {
        Engine::new(&Config { concurrent_runs: 1, concurrent_replays: 1, ..Config::default() })
            .expect("an engine")
    }

    fn open(directory: &Path, engine: &Engine, key: u8, most: u64) -> Artefacts {
        Artefacts::open(directory, ArtefactKey::new([key; 32]), engine, most).expect("a directory")
    }

    fn code(engine: &Engine) -> Vec<u8> {
        let component = wat::parse_str("(component)").expect("a component");
        Component::new(engine.wasmtime(), component)
            .and_then(|component| component.serialize())
            .expect("code")
    }

    #[test]
    fn what_was_saved_is_loaded_again() {
        let (directory, engine) = (tempfile::tempdir().expect("a folder"), engine());
        let path = directory.path().join("artefacts");
        let artefacts = open(&path, &engine, 1, 1 << 30);
        assert!(artefacts.load(&engine, DIGEST.into()).is_none(), "nothing yet");
        artefacts.save(DIGEST.into(), &code(&engine)).expect("saved");
        assert!(artefacts.load(&engine, DIGEST.into()).is_some());
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        assert_eq!(mode(&artefacts.path(DIGEST.into())), 0o600);
    }

    #[test]
    fn every_flipped_byte_is_noticed_and_the_file_deleted() {
        let (directory, engine) = (tempfile::tempdir().expect("a folder"), engine());
        let artefacts = open(directory.path(), &engine, 1, 1 << 30);
        let code = code(&engine);
        for at in [0, MAC_BYTES - 1, MAC_BYTES, MAC_BYTES + code.len() / 2, MAC_BYTES + code.len() - 1] {
            artefacts.save(DIGEST.into(), &code).expect("saved");
            let path = artefacts.path(DIGEST.into());
            let mut file = fs::read(&path).expect("there");
            file[at] ^= 1;
            fs::write(&path, file).expect("written");
            assert!(artefacts.load(&engine, DIGEST.into()).is_none(), "byte {at}");
            assert!(!path.exists(), "deleted");
        }
    }

    #[test]
    fn a_file_under_another_key_or_digest_is_not_loaded() {
        let (directory, engine) = (tempfile::tempdir().expect("a folder"), engine());
        let artefacts = open(directory.path(), &engine, 1, 1 << 30);
        artefacts.save(DIGEST.into(), &code(&engine)).expect("saved");
        let other: ComponentDigest = [8; 32].into();
        fs::copy(artefacts.path(DIGEST.into()), artefacts.path(other)).expect("copied");
        assert!(artefacts.load(&engine, other).is_none(), "another digest");
        let stranger = open(directory.path(), &engine, 2, 1 << 30);
        assert!(stranger.load(&engine, DIGEST.into()).is_none(), "another key");
    }

    #[test]
    fn short_and_empty_files_are_not_loaded() {
        let (directory, engine) = (tempfile::tempdir().expect("a folder"), engine());
        let artefacts = open(directory.path(), &engine, 1, 1 << 30);
        for length in [0, 1, MAC_BYTES - 1, MAC_BYTES] {
            fs::write(artefacts.path(DIGEST.into()), vec![0; length]).expect("written");
            assert!(artefacts.load(&engine, DIGEST.into()).is_none(), "{length}");
        }
    }

    #[test]
    fn the_oldest_make_room_and_foreign_ones_go() {
        let (directory, engine) = (tempfile::tempdir().expect("a folder"), engine());
        let artefacts = open(directory.path(), &engine, 1, 250);
        for byte in [1u8, 2, 3] {
            artefacts.save([byte; 32].into(), &[0; 68]).expect("saved");
            let old = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(byte.into());
            let file = fs::File::options().write(true).open(artefacts.path([byte; 32].into())).expect("open");
            file.set_modified(old).expect("set");
        }
        assert!(!artefacts.path([1; 32].into()).exists(), "the oldest");
        assert!(artefacts.path([3; 32].into()).exists(), "the newest");
        assert!(matches!(artefacts.save(DIGEST.into(), &[0; 300]), Err(ArtefactError::TooLarge { .. })));
        let foreign = directory.path().join("0x00-00000000.cwasm");
        fs::write(&foreign, "x").expect("written");
        fs::write(directory.path().join("notes"), "x").expect("written");
        open(directory.path(), &engine, 1, 250);
        assert!(!foreign.exists());
        assert!(directory.path().join("notes").exists(), "not an artefact");
    }

    #[test]
    fn the_key_is_not_printed() {
        assert_eq!(format!("{:?}", ArtefactKey::new([1; 32])), "ArtefactKey(redacted)");
    }
}
