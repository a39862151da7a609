//! Files that commands read: genesis, root keys, specs, secret keys; and how a secret key is made.

use std::{
    fmt::Display,
    fs::{self, File},
    io::Read,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use clap::Subcommand;
use countersign_client::{LocalSigner, RequestSigner};
use countersign_node::{backup, forbid_core_dumps};
use countersign_store::file::PRIVATE;
use countersign_types::{Address, B256, Bytes, NodeKey};
use rand_core::{OsRng, RngCore};
use serde::de::DeserializeOwned;
use serde_json::json;
use zeroize::Zeroizing;

use crate::{exit::Exit, output::Output};

/// The bytes of a secret key.
const KEY_BYTES: usize = 32;
/// The most bytes of a JSON file: 8 MiB.
const MAX_JSON_BYTES: usize = 8 << 20;
/// The most characters that are told of what is wrong with a file, which may repeat what stands in it.
const MAX_REASON_CHARS: usize = 300;

/// Keys of callers and publishers.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Draw a fresh secp256k1 key into a new file of mode 0600, and print its address.
    #[command(after_help = "Example:\n  countersign caller new --out caller.key")]
    New {
        /// The file to write.
        #[arg(long)]
        out: PathBuf,
    },
    /// Print the address of a key file.
    #[command(after_help = "Example:\n  countersign caller address caller.key")]
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
    forbid_core_dumps();
    let (key, secret) = loop {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        OsRng.fill_bytes(bytes.as_mut_slice());
        // as good as never refused: zero, or not below the group's order
        if let Ok(key) = NodeKey::from_bytes(*bytes) {
            break (key, bytes);
        }
    };
    write_new(path, &key_text(&secret), PRIVATE)?;
    LocalSigner::from_bytes(*key.to_bytes()).map_err(Exit::invalid)
}

/// Writes a file that must not exist, whole or not at all.
pub(crate) fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), Exit> {
    backup::write_new_with_mode(path, text.as_bytes(), mode).map_err(Exit::invalid)
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
    forbid_core_dumps();
    let text = private_text(path)?;
    let secret = key_bytes(text.trim()).ok_or_else(|| {
        Exit::invalid_input(format!("{} is no key: expected 0x and 64 hexadecimal digits", path.display()))
    })?;
    LocalSigner::from_bytes(*secret).map_err(Exit::invalid)
}

/// A secret key as it stands in its file, with a line end. It is made where it stays, so that no copy is left behind.
fn key_text(secret: &[u8; KEY_BYTES]) -> Zeroizing<String> {
    let mut digits = Zeroizing::new([0; 2 * KEY_BYTES]);
    hex::encode_to_slice(secret, digits.as_mut_slice()).expect("two digits for a byte");
    let mut text = Zeroizing::new(String::with_capacity(2 + 2 * KEY_BYTES + 1));
    text.push_str("0x");
    text.extend(digits.iter().copied().map(char::from));
    text.push('\n');
    text
}

/// A secret key's bytes, without a copy that is not wiped. The 0x may be left out.
fn key_bytes(text: &str) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    let mut secret = Zeroizing::new([0; KEY_BYTES]);
    hex::decode_to_slice(digits, secret.as_mut_slice()).ok()?;
    Some(secret)
}

/// Reads a JSON file.
pub(crate) fn json_file<T: DeserializeOwned>(path: &Path, what: &str) -> Result<T, Exit> {
    let text = at_most(path, what, MAX_JSON_BYTES)?;
    serde_json::from_slice(&text)
        .map_err(|error| Exit::invalid_input(format!("{} is no {what}: {}", path.display(), brief(&error))))
}

/// Reads a file of at most so many bytes: of a pipe nobody knows before how many it has.
pub(crate) fn at_most(path: &Path, what: &str, most: usize) -> Result<Vec<u8>, Exit> {
    let failed = |error| Exit::invalid_input(format!("cannot read {what} from {}: {error}", path.display()));
    let mut bytes = Vec::new();
    let bound = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path).map_err(failed)?.take(bound).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > most {
        let message = format!("{} has more than {most} bytes, the most of a {what}", path.display());
        return Err(Exit::invalid_input(message));
    }
    Ok(bytes)
}

/// What is wrong with a file, cut.
pub(crate) fn brief(error: &dyn Display) -> String {
    let whole = error.to_string();
    match whole.char_indices().nth(MAX_REASON_CHARS) {
        Some((end, _)) => format!("{}…", &whole[..end]),
        None => whole,
    }
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

/// An account from the command line.
pub(crate) fn address(text: &str) -> Result<Address, String> {
    text.parse().map_err(|_| format!("expected 0x and 40 hexadecimal digits (20 bytes), got {text:.80}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_was_written() {
        let mut secret = [0xab; KEY_BYTES];
        (secret[0], secret[KEY_BYTES - 1]) = (0x01, 0xf0);
        let text = key_text(&secret);
        assert_eq!(*text, format!("0x01{}f0\n", "ab".repeat(KEY_BYTES - 2)));
        let bare = text.trim().trim_start_matches("0x");
        for text in [text.trim().to_owned(), bare.to_owned(), format!("0X{}", bare.to_uppercase())] {
            assert_eq!(key_bytes(&text).expect("a key").as_slice(), secret, "{text}");
        }
        let (short, long) = (&bare[1..], format!("{bare}0"));
        let (signed, wide) = (format!("+{short}"), format!("\u{e9}{}", &bare[2..]));
        for text in ["", "0x", short, &long, &signed, &wide, &format!("0x0x{}", &bare[2..])] {
            assert!(key_bytes(text).is_none(), "{text}");
        }
    }

    #[test]
    fn no_more_of_a_file_is_read_than_it_may_have() {
        let endless = Path::new("/dev/zero");
        let error = json_file::<serde_json::Value>(endless, "genesis").expect_err("it never ends");
        assert!(error.message.contains("more than 8388608 bytes"), "{error}");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        fs::write(&path, "1234").expect("written");
        assert_eq!(at_most(&path, "file", 4).expect("as long as it may be"), b"1234");
        assert!(at_most(&path, "file", 3).is_err());

        fs::write(&path, format!("{:?}", "x".repeat(1_000_000))).expect("written");
        let error = json_file::<u64>(&path, "number").expect_err("it is a text");
        assert!(error.message.len() < 600, "{} bytes", error.message.len());
    }

    #[test]
    fn a_file_is_new_and_alone_in_its_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        write_new(&path, "whole", 0o644).expect("new");
        let mode = fs::metadata(&path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode & !0o644, 0, "{mode:o}");
        let error = write_new(&path, "another", PRIVATE).expect_err("it is there");
        assert!(error.message.contains("exists and is not overwritten"), "{error}");
        assert_eq!(fs::read_to_string(&path).expect("readable"), "whole");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "something else is left");

        let nowhere = write_new(&folder.path().join("none/file"), "whole", PRIVATE).expect_err("no folder");
        assert!(nowhere.message.starts_with("cannot write") && !nowhere.causes.is_empty(), "{nowhere:?}");
    }
}
