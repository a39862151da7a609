//! Where the passphrase comes from that opens the sealed keys.

use std::{
    env,
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

/// The environment variable that is read where no file is set.
const VARIABLE: &str = "COUNTERSIGN_PASSPHRASE";
/// The name of the systemd credential that is read where neither file nor variable is set.
const CREDENTIAL: &str = "countersign-passphrase";
/// The same of backups: not the node's, so that a backup does not fall with the machine.
const BACKUP_VARIABLE: &str = "COUNTERSIGN_BACKUP_PASSPHRASE";
const BACKUP_CREDENTIAL: &str = "countersign-backup-passphrase";
/// The longest passphrase, in bytes.
const MAX_BYTES: u64 = 4096;

/// The source: a file; else the environment; else a systemd credential.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PassphraseConfig {
    /// A file that holds the passphrase and nothing else; a line end behind it does not count.
    #[serde(default)]
    pub file: Option<PathBuf>,
}

/// Why there is no passphrase.
#[derive(Debug, thiserror::Error)]
pub enum PassphraseError {
    /// A file cannot be read.
    #[error("cannot read the passphrase from {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others may read the file.
    #[error("the passphrase file {} can be read by other users (mode {mode:o}): chmod 600 it", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Nothing is set.
    #[error(
        "no passphrase: give --passphrase-file, or passphrase.file in the configuration, {VARIABLE} in the environment, or the \
         systemd credential {CREDENTIAL}"
    )]
    Missing,
    /// Nothing is set for a backup.
    #[error(
        "nothing opens or seals the backup: give --passphrase-file, {BACKUP_VARIABLE} in the environment, or the systemd credential \
         {BACKUP_CREDENTIAL}; or, for age keys, --recipient to back up and --key-file to restore"
    )]
    MissingForBackup,
    /// The variable holds bytes that are no text.
    #[error("the variable {variable} is set, and not to UTF-8: set it to the passphrase, or unset it")]
    NotText {
        /// The variable.
        variable: String,
    },
    /// It is empty, or absurdly long.
    #[error("the passphrase from {from} is empty or longer than {MAX_BYTES} bytes")]
    Length {
        /// Where it came from.
        from: String,
    },
}

impl PassphraseConfig {
    pub(crate) fn resolve(&mut self, base: &Path) {
        if let Some(file) = &mut self.file {
            *file = base.join(&*file);
        }
    }

    /// Reads the passphrase that opens the node's sealed keys.
    pub fn read(&self) -> Result<SecretString, PassphraseError> {
        let found = self.find(VARIABLE, CREDENTIAL)?;
        found.ok_or(PassphraseError::Missing)
    }

    /// Reads the passphrase that opens a backup: from the file, or from a variable or credential of its own.
    pub fn read_for_backup(&self) -> Result<SecretString, PassphraseError> {
        let found = self.find(BACKUP_VARIABLE, BACKUP_CREDENTIAL)?;
        found.ok_or(PassphraseError::MissingForBackup)
    }

    fn find(&self, variable: &str, credential: &str) -> Result<Option<SecretString>, PassphraseError> {
        if let Some(file) = &self.file {
            return read_file(file, true).map(Some);
        }
        if let Some(passphrase) = from_variable(variable, env::var_os(variable))? {
            return Ok(Some(passphrase));
        }
        let folder = env::var_os("CREDENTIALS_DIRECTORY");
        folder.map_or(Ok(None), |folder| in_folder(Path::new(&folder), credential))
    }
}

/// What a variable of the environment holds, where it is set.
fn from_variable(variable: &str, value: Option<OsString>) -> Result<Option<SecretString>, PassphraseError> {
    match value.map(OsString::into_string) {
        None => Ok(None),
        Some(Ok(text)) => checked(text, &format!("the variable {variable}")).map(Some),
        Some(Err(bytes)) => {
            bytes.into_encoded_bytes().zeroize();
            Err(PassphraseError::NotText { variable: variable.into() })
        }
    }
}

/// A credential of the service, where it was given this one.
fn in_folder(folder: &Path, credential: &str) -> Result<Option<SecretString>, PassphraseError> {
    match read_file(&folder.join(credential), false) {
        Err(PassphraseError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

fn read_file(path: &Path, private: bool) -> Result<SecretString, PassphraseError> {
    use std::os::unix::fs::PermissionsExt;

    let failed = |source| PassphraseError::Read { path: path.into(), source };
    let metadata = fs::metadata(path).map_err(failed)?;
    let mode = metadata.permissions().mode() & 0o777;
    if private && mode & 0o077 != 0 {
        return Err(PassphraseError::Open { path: path.into(), mode });
    }
    if metadata.len() > MAX_BYTES {
        return Err(PassphraseError::Length { from: path.display().to_string() });
    }
    let text = fs::read_to_string(path).map_err(failed)?;
    checked(text, &path.display().to_string())
}

fn checked(text: String, from: &str) -> Result<SecretString, PassphraseError> {
    let text = Zeroizing::new(text);
    let trimmed = text.trim_end_matches(['\r', '\n']);
    if trimmed.is_empty() || trimmed.len() as u64 > MAX_BYTES {
        return Err(PassphraseError::Length { from: from.into() });
    }
    Ok(SecretString::from(trimmed))
}

#[cfg(test)]
mod tests {
    use std::{
        ffi::OsStr,
        os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    };

    use secrecy::ExposeSecret;

    use super::*;

    fn file(content: &str, mode: u32) -> (tempfile::TempDir, PassphraseConfig) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("passphrase");
        fs::write(&path, content).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
        (folder, PassphraseConfig { file: Some(path) })
    }

    #[test]
    fn the_line_end_does_not_count() {
        let (_folder, config) = file("correct horse\n", 0o600);
        assert_eq!(config.read().expect("readable").expose_secret(), "correct horse");
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        for open in [0o644, 0o640, 0o620, 0o604, 0o601] {
            let (_folder, config) = file("correct horse", open);
            let refused = config.read();
            assert!(matches!(refused, Err(PassphraseError::Open { mode, .. }) if mode == open), "{open:o}");
        }
    }

    #[test]
    fn a_variable_that_is_set_is_the_passphrase_or_an_error() {
        let of = |value: &[u8]| from_variable(VARIABLE, Some(OsStr::from_bytes(value).to_owned()));
        assert!(from_variable(VARIABLE, None).expect("nothing is wrong").is_none(), "it is not set");
        let longest = "x".repeat(MAX_BYTES as usize);
        for (value, passphrase) in [
            ("correct horse", "correct horse"),
            (" correct horse \r\n", " correct horse "),
            (longest.as_str(), longest.as_str()),
        ] {
            let found = of(value.as_bytes()).expect("a passphrase").expect("it is set");
            assert_eq!(found.expose_secret(), passphrase);
        }
        for wrong in [String::new(), "\r\n".into(), longest + "x"] {
            let refused = of(wrong.as_bytes());
            let named = matches!(&refused, Err(PassphraseError::Length { from }) if from.contains(VARIABLE));
            assert!(named, "{refused:?}");
        }
        let error = of(b"correct \xff horse").expect_err("it is no text");
        assert!(matches!(&error, PassphraseError::NotText { variable } if variable == VARIABLE), "{error:?}");
    }

    #[test]
    fn a_credential_that_was_not_given_is_none() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(in_folder(folder.path(), BACKUP_CREDENTIAL).expect("nothing is wrong").is_none());
        fs::write(folder.path().join(BACKUP_CREDENTIAL), "correct horse\n").expect("written");
        let found = in_folder(folder.path(), BACKUP_CREDENTIAL).expect("readable").expect("it is there");
        assert_eq!(found.expose_secret(), "correct horse");
        fs::create_dir(folder.path().join(CREDENTIAL)).expect("made");
        let unreadable = in_folder(folder.path(), CREDENTIAL);
        assert!(matches!(unreadable, Err(PassphraseError::Read { .. })), "it is there and no file");
    }

    #[test]
    fn an_empty_file_is_refused() {
        let (_folder, config) = file("\n", 0o600);
        assert!(matches!(config.read(), Err(PassphraseError::Length { .. })));
    }
}
