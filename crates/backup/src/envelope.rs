//! The envelope: the document sealed in the format of age (v1), which the program `age` opens as well.
//!
//! A passphrase is stretched by scrypt; recipients are X25519 keys. Errors are told in words of our own: those of the
//! crate are for people at a terminal, and one of them computes with what a file says.

use std::{
    fmt,
    io::{ErrorKind, Read, Write},
    iter,
    str::FromStr,
};

use age::{DecryptError, Decryptor, Encryptor, scrypt, x25519};
use countersign_types::B256;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{Backup, DocumentError, MAX_DOCUMENT_BYTES};

/// The most recipients of one backup.
pub const MAX_RECIPIENTS: usize = 16;
/// The longest sealed backup, in bytes: the longest document, with the tags of its chunks, and a header.
pub const MAX_SEALED_BYTES: usize = MAX_DOCUMENT_BYTES + (64 << 10);

/// What every file of age begins with, whatever its version.
const MAGIC: &[u8] = b"age-encryption.org/";
/// The first line of the version that is read.
const FIRST_LINE: &[u8] = b"age-encryption.org/v1\n";
/// The work of stretching a passphrase, as a power of two: 256 MiB of memory and about a second.
const WORK: u8 = 18;
/// The most work that a file may ask for: 1 GiB.
const MAX_WORK: u8 = 20;

/// Who can open a backup.
#[derive(Debug)]
pub enum Lock {
    /// Whoever knows a passphrase.
    Passphrase(SecretString),
    /// Whoever has the secret key of one of these.
    Recipients(Vec<Recipient>),
}

/// What opens a backup.
#[derive(Debug)]
pub enum Key {
    /// The passphrase.
    Passphrase(SecretString),
    /// Secret keys, of which one will do.
    Identities(Vec<Identity>),
}

/// A public key of age: `age1...`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient(x25519::Recipient);

/// Not a public key of age.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{got:?} is not a recipient: expected age1 and 58 more characters, as `age-keygen` prints it")]
pub struct RecipientError {
    /// The text, shortened.
    pub got: String,
}

/// A secret key of age: `AGE-SECRET-KEY-1...`.
#[derive(Clone)]
pub struct Identity(x25519::Identity);

/// Not a file of secret keys of age. What stands there is not shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// A line is no key.
    #[error(
        "line {line} is not a secret key: expected AGE-SECRET-KEY-1 and 58 more characters, as `age-keygen` writes it"
    )]
    Line {
        /// Which, from 1.
        line: usize,
    },
    /// There is none.
    #[error("there is no secret key in it: expected a line AGE-SECRET-KEY-1.., as `age-keygen` writes it")]
    None,
}

/// Why a backup was not sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// Nobody could open it, or too many could.
    #[error("a backup has 1 to {MAX_RECIPIENTS} recipients, got {got}")]
    Recipients {
        /// How many there are.
        got: usize,
    },
    /// The document is too long.
    #[error("a backup has at most {MAX_DOCUMENT_BYTES} bytes, got {got}")]
    TooLong {
        /// Its length, in bytes.
        got: usize,
    },
    /// age failed.
    #[error("the backup could not be sealed: {reason}")]
    Age {
        /// What it said.
        reason: String,
    },
}

/// Why a sealed backup was not opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It is no file of age.
    #[error("it is not a backup: it does not begin as a file of age does")]
    NotABackup,
    /// Longer than any.
    #[error("a backup has at most {MAX_SEALED_BYTES} bytes, got {got}")]
    TooLong {
        /// Its length, in bytes.
        got: usize,
    },
    /// A later version of age, or a damaged first line.
    #[error("the version of its age format is unknown: only v1 can be read, or its first line is damaged")]
    Format,
    /// Its end is missing.
    #[error("it is cut short: take another copy of it")]
    CutShort,
    /// Its bytes are not those that were written.
    #[error("it is damaged, or its end is missing: take another copy of it")]
    Damaged,
    /// The passphrase is another, or the few bytes that it opens are damaged.
    #[error(
        "the passphrase does not open it: it is another one, or the backup's first lines are damaged (compare its SHA-256)"
    )]
    Passphrase,
    /// No key is one of a recipient.
    #[error(
        "none of the secret keys opens it: they are others, or the backup's first lines are damaged (compare its SHA-256)"
    )]
    Identity,
    /// It has recipients.
    #[error(
        "it is sealed for recipients and not under a passphrase: give the file with the secret key of one. Or it is damaged in its first \
         lines (compare its SHA-256)"
    )]
    NeedsIdentity,
    /// It has a passphrase.
    #[error(
        "it is sealed under a passphrase and not for recipients: give the passphrase. Or it is damaged in its first lines (compare its \
         SHA-256)"
    )]
    NeedsPassphrase,
    /// Stretching its passphrase would take too much.
    #[error(
        "it asks for more work than any backup: 2^{required} steps to stretch the passphrase, at most 2^{MAX_WORK} are done"
    )]
    Work {
        /// The work, as a power of two.
        required: u8,
    },
    /// What it holds is no backup.
    #[error(transparent)]
    Document(#[from] DocumentError),
}

impl FromStr for Recipient {
    type Err = RecipientError;

    fn from_str(text: &str) -> Result<Self, RecipientError> {
        text.parse().map(Self).map_err(|_| RecipientError { got: text.chars().take(80).collect() })
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Identity {
    /// A fresh one.
    pub fn generate() -> Self {
        Self(x25519::Identity::generate())
    }

    /// Its public key.
    pub fn recipient(&self) -> Recipient {
        Recipient(self.0.to_public())
    }

    /// The file of this secret key, as `age-keygen` writes it. Secret.
    pub fn to_file(&self) -> Zeroizing<String> {
        let secret = self.0.to_string();
        Zeroizing::new(format!("# public key: {}\n{}\n", self.recipient(), secret.expose_secret()))
    }

    /// Reads a file of secret keys as `age-keygen` writes it: one in a line; empty lines and those with `#` do not
    /// count.
    pub fn parse_file(text: &str) -> Result<Vec<Self>, IdentityError> {
        let lines = (1..).zip(text.lines().map(str::trim));
        let keys = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let key =
            |(line, text): (usize, &str)| text.parse().map(Self).map_err(|_| IdentityError::Line { line });
        let keys = keys.map(key).collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() { Err(IdentityError::None) } else { Ok(keys) }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity(of {})", self.recipient())
    }
}

/// The SHA-256 of a sealed backup, by which copies of it are compared.
pub fn fingerprint(sealed: &[u8]) -> B256 {
    B256::from_slice(&Sha256::digest(sealed))
}

/// Seals a backup.
pub fn seal(backup: &Backup, lock: &Lock) -> Result<Vec<u8>, SealError> {
    seal_with(&backup.encode(), lock, WORK)
}

/// The same with another work: less than [`WORK`] is for tests.
pub(crate) fn seal_with(document: &[u8], lock: &Lock, work: u8) -> Result<Vec<u8>, SealError> {
    let failed = |reason: String| SealError::Age { reason };
    if document.len() > MAX_DOCUMENT_BYTES {
        return Err(SealError::TooLong { got: document.len() });
    }
    let encryptor = match lock {
        Lock::Passphrase(passphrase) => {
            let mut recipient = scrypt::Recipient::new(passphrase.clone());
            recipient.set_work_factor(work);
            Encryptor::with_recipients(iter::once(&recipient as &dyn age::Recipient))
        }
        Lock::Recipients(recipients) if (1..=MAX_RECIPIENTS).contains(&recipients.len()) => {
            Encryptor::with_recipients(recipients.iter().map(|recipient| &recipient.0 as &dyn age::Recipient))
        }
        Lock::Recipients(recipients) => return Err(SealError::Recipients { got: recipients.len() }),
    };
    let encryptor = encryptor.map_err(|error| failed(error.to_string()))?;
    let mut sealed = Vec::with_capacity(document.len() + 1024);
    encryptor
        .wrap_output(&mut sealed)
        .and_then(|mut writer| {
            writer.write_all(document)?;
            writer.finish().map(drop)
        })
        .map_err(|error| failed(error.to_string()))?;
    Ok(sealed)
}

/// Opens a sealed backup.
pub fn open(sealed: &[u8], key: &Key) -> Result<Backup, OpenError> {
    if sealed.len() > MAX_SEALED_BYTES {
        return Err(OpenError::TooLong { got: sealed.len() });
    }
    if !sealed.starts_with(MAGIC) {
        let begins = !sealed.is_empty() && MAGIC.starts_with(sealed);
        return Err(if begins { OpenError::CutShort } else { OpenError::NotABackup });
    }
    let decryptor = Decryptor::new_buffered(sealed).map_err(|error| {
        let error = told(error);
        // what it says of any header that does not parse
        let of_this_version = error == OpenError::Format && sealed.starts_with(FIRST_LINE);
        if of_this_version { OpenError::Damaged } else { error }
    })?;
    let opened = match (key, decryptor.is_scrypt()) {
        (Key::Passphrase(passphrase), true) => {
            let mut identity = scrypt::Identity::new(passphrase.clone());
            identity.set_max_work_factor(MAX_WORK);
            decryptor.decrypt(iter::once(&identity as &dyn age::Identity))
        }
        (Key::Identities(identities), false) => {
            decryptor.decrypt(identities.iter().map(|identity| &identity.0 as &dyn age::Identity))
        }
        (Key::Passphrase(_), false) => return Err(OpenError::NeedsIdentity),
        (Key::Identities(_), true) => return Err(OpenError::NeedsPassphrase),
    };
    // As long as it gets: a buffer that grows leaves copies behind.
    let mut document = Zeroizing::new(Vec::with_capacity(sealed.len()));
    opened.map_err(told)?.read_to_end(&mut document).map_err(|error| told(error.into()))?;
    Ok(Backup::decode(&document)?)
}

/// What went wrong, in our words.
fn told(error: DecryptError) -> OpenError {
    match error {
        // of a passphrase: what it should open does not open
        DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => OpenError::Passphrase,
        DecryptError::NoMatchingKeys => OpenError::Identity,
        DecryptError::ExcessiveWork { required, .. } => OpenError::Work { required },
        DecryptError::UnknownFormat => OpenError::Format,
        DecryptError::Io(error) if error.kind() == ErrorKind::UnexpectedEof => OpenError::CutShort,
        DecryptError::Io(_) | DecryptError::InvalidHeader | DecryptError::InvalidMac => OpenError::Damaged,
        // the crate's enum may grow
        _ => OpenError::Damaged,
    }
}
