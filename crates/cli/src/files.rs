//! Files that commands read: genesis, root keys, specs, secret keys; and how a secret key is made.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use clap::Subcommand;
use countersign_client::{LocalSigner, RequestSigner};
use countersign_types::{B256, Bytes, NodeKey};
use rand_core::{OsRng, RngCore};
use serde::de::DeserializeOwned;
use serde_json::json;
use zeroize::Zeroizing;

use crate::{exit::Exit, output::Output};

/// The mode of a file that only its owner may read.
const PRIVATE: u32 = 0o600;

/// Keys of callers and publishers.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Draw a fresh secp256k1 key into a new file of mode 0600, and print its address.
    New {
        /// The file to write.
        #[arg(long)]
        out: PathBuf,
    },
    /// Print the address of a key file.
    Address {
        /// The key file.
        file: PathBuf,
    },
}

pub(crate) fn run(command: Command, output: &mut Output) -> Result<(), Exit> {
    let is_new = matches!(command, Command::New { .. });
    let (file, signer) = match command {
        Command::New { out } => {
            let signer = make_key(&out)?;
            (out, signer)
        }
        Command::Address { file } => {
            let signer = signer(&file)?;
            (file, signer)
        }
    };
    let address = signer.address();
    output.result(&json!({ "address": address, "file": file }), || address.to_string())?;
    if is_new {
        output.next(format!(
            "next: sign requests with --caller-key {0}, or publish with --publisher-key {0}: operators who restrict publishers \
             list the address in actions.publishers",
            file.display()
        ));
    }
    Ok(())
}

fn make_key(path: &Path) -> Result<LocalSigner, Exit> {
    let (key, secret) = loop {
        let mut bytes = Zeroizing::new([0; 32]);
        OsRng.fill_bytes(bytes.as_mut_slice());
        // as good as never refused: zero, or not below the group's order
        if let Ok(key) = NodeKey::from_bytes(*bytes) {
            break (key, bytes);
        }
    };
    let text = Zeroizing::new(format!("{}\n", Bytes::copy_from_slice(secret.as_slice())));
    write_new(path, &text, PRIVATE)?;
    LocalSigner::from_bytes(*key.to_bytes()).map_err(Exit::invalid)
}

/// Writes a file that must not exist.
pub(crate) fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), Exit> {
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| {
            let path = path.display();
            Exit::invalid_input(if error.kind() == io::ErrorKind::AlreadyExists {
                format!("{path} exists and is not overwritten: name another file")
            } else {
                format!("cannot write {path}: {error}")
            })
        })
}

/// Reads a file of secret keys, which only its owner can read.
pub(crate) fn private_text(path: &Path) -> Result<Zeroizing<String>, Exit> {
    let failed = |error| Exit::invalid_input(format!("cannot read {}: {error}", path.display()));
    let mode = fs::metadata(path).map_err(failed)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let message =
            format!("the key file {} can be read by others (mode {mode:o}): chmod 600 it", path.display());
        return Err(Exit::invalid_input(message));
    }
    fs::read_to_string(path).map(Zeroizing::new).map_err(failed)
}

/// Reads a secret key: 0x and 64 hexadecimal digits, in a file that only its owner can read.
pub(crate) fn signer(path: &Path) -> Result<LocalSigner, Exit> {
    let text = private_text(path)?;
    let bytes: Option<[u8; 32]> =
        text.trim().parse::<Bytes>().ok().and_then(|bytes| bytes.as_ref().try_into().ok());
    let bytes = bytes.map(Zeroizing::new).ok_or_else(|| {
        Exit::invalid_input(format!("{} is no key: expected 0x and 64 hexadecimal digits", path.display()))
    })?;
    LocalSigner::from_bytes(*bytes).map_err(Exit::invalid)
}

/// Reads a JSON file.
pub(crate) fn json_file<T: DeserializeOwned>(path: &Path, what: &str) -> Result<T, Exit> {
    let text = fs::read_to_string(path).map_err(|error| {
        Exit::invalid_input(format!("cannot read {what} from {}: {error}", path.display()))
    })?;
    serde_json::from_str(&text)
        .map_err(|error| Exit::invalid_input(format!("{} is no {what}: {error}", path.display())))
}

/// Bytes from the command line: `0x..`, `text:..`, or `@file`.
pub(crate) fn bytes(text: &str) -> Result<Bytes, String> {
    if let Some(text) = text.strip_prefix("text:") {
        return Ok(Bytes::copy_from_slice(text.as_bytes()));
    }
    if let Some(path) = text.strip_prefix('@') {
        return fs::read(path).map(Bytes::from).map_err(|error| format!("cannot read {path}: {error}"));
    }
    if !text.starts_with("0x") {
        return Err("expected 0x and hexadecimal digits, text:..., or @file".into());
    }
    text.parse().map_err(|error| format!("{text:.40} is not hexadecimal: {error}"))
}

/// A nonce or another 32 bytes from the command line.
pub(crate) fn bytes32(text: &str) -> Result<B256, String> {
    text.parse().map_err(|_| format!("expected 0x and 64 hexadecimal digits (32 bytes), got {text:.80}"))
}
