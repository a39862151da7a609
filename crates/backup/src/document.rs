//! The document: a backup as bytes, before it is sealed.
//!
//! Magic of 19 bytes, version u32, length of the public part u32, the public part in postcard, the secret identity of 32
//! bytes, for each scheme of each ceremony the length u32 and bytes of its share record, and the length u32 and text of
//! the configuration; numbers are big-endian. So the secrets pass through no encoder's buffers. Magic and version are
//! the same for every version, what follows belongs to the version.

use std::{borrow::Cow, collections::BTreeMap};

use countersign_types::{AttemptTerms, Bytes, Genesis, NodeKey, NodePublicKey, RootKeys};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{Backup, Boot, Ceremony, Content, ContentError};

/// The version that is written and read.
pub const DOCUMENT_VERSION: u32 = 1;
/// The longest document, in bytes: 64 MiB. One of five members and a thousand starts has 20 KB.
pub const MAX_DOCUMENT_BYTES: usize = 64 << 20;

const MAGIC: &[u8; 19] = b"countersign-backup\n";
const IDENTITY_BYTES: usize = 32;

/// Why bytes are no backup.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// They begin with something else.
    #[error("it holds something else than a node's backup")]
    NotABackup,
    /// Written by another version.
    #[error(
        "it is a backup of version {got}, this program reads version {DOCUMENT_VERSION}: use the program that wrote it, or a later one"
    )]
    Version {
        /// Its version.
        got: u32,
    },
    /// Longer than any.
    #[error("a backup has at most {MAX_DOCUMENT_BYTES} bytes, got {got}")]
    TooLong {
        /// Its length, in bytes.
        got: usize,
    },
    /// They do not parse.
    #[error("the backup is malformed: {what}")]
    Malformed {
        /// What cannot be read.
        what: &'static str,
    },
    /// What they say does not belong together.
    #[error("the backup does not hold what a node needs")]
    Content(#[from] ContentError),
}

/// Everything but the secrets.
#[derive(Serialize, Deserialize)]
struct Public<'a> {
    genesis: Cow<'a, Genesis>,
    taken_at_ms: u64,
    time_ms: u64,
    boots: Cow<'a, [Boot]>,
    peers: Cow<'a, BTreeMap<NodePublicKey, Boot>>,
    root_keys: Cow<'a, RootKeys>,
    ceremonies: Vec<(Cow<'a, AttemptTerms>, Cow<'a, Option<Bytes>>)>,
}

/// The lengths of what stands before the secrets: magic, version, and the length of the public part.
const HEAD_BYTES: usize = MAGIC.len() + 4 + 4;

impl Backup {
    /// The document. Secret: seal it before it is stored.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let content: &Content = self;
        let public = Public {
            genesis: Cow::Borrowed(&content.genesis),
            taken_at_ms: content.taken_at_ms,
            time_ms: content.time_ms,
            boots: Cow::Borrowed(&content.boots),
            peers: Cow::Borrowed(&content.peers),
            root_keys: Cow::Borrowed(&content.root_keys),
            ceremonies: content
                .ceremonies
                .iter()
                .map(|own| (Cow::Borrowed(&own.terms), Cow::Borrowed(&own.confirmations)))
                .collect(),
        };
        let public = postcard::to_stdvec(&public).expect("plain data in memory");
        let shares = || content.ceremonies.iter().flat_map(|own| &own.shares);
        // As long as it gets: a buffer that grows leaves copies behind.
        let secrets = IDENTITY_BYTES + shares().map(|share| 4 + share.len()).sum::<usize>();
        let whole = HEAD_BYTES + public.len() + secrets + 4 + content.config.len();
        let mut document = Zeroizing::new(Vec::with_capacity(whole));
        document.extend_from_slice(MAGIC);
        document.extend_from_slice(&DOCUMENT_VERSION.to_be_bytes());
        put(&mut document, &public);
        document.extend_from_slice(content.identity.to_bytes().as_slice());
        shares().for_each(|share| put(&mut document, share));
        put(&mut document, content.config.as_bytes());
        document
    }

    /// Reads a document, and checks that everything in it belongs together.
    pub fn decode(document: &[u8]) -> Result<Self, DocumentError> {
        if document.len() > MAX_DOCUMENT_BYTES {
            return Err(DocumentError::TooLong { got: document.len() });
        }
        let rest = document.strip_prefix(MAGIC).ok_or(DocumentError::NotABackup)?;
        let mut rest = Rest(rest);
        let got = u32::from_be_bytes(rest.take("its version")?);
        if got != DOCUMENT_VERSION {
            return Err(DocumentError::Version { got });
        }
        let public: Public<'_> = rest.public()?;
        let identity: Zeroizing<[u8; IDENTITY_BYTES]> = Zeroizing::new(rest.take("the identity")?);
        let identity =
            NodeKey::from_bytes(*identity).map_err(|_| DocumentError::Malformed { what: "the identity" })?;
        let ceremonies = public.ceremonies.into_iter().map(|(terms, confirmations)| {
            let mut share = || rest.part("a key share").map(|part| Zeroizing::new(part.to_vec()));
            let shares = terms.schemes.iter().map(|_| share()).collect::<Result<_, DocumentError>>()?;
            Ok(Ceremony { terms: terms.into_owned(), confirmations: confirmations.into_owned(), shares })
        });
        let ceremonies = ceremonies.collect::<Result<_, DocumentError>>()?;
        let config = std::str::from_utf8(rest.part("the configuration")?);
        let config = config.map_err(|_| DocumentError::Malformed { what: "the configuration" })?;
        if !rest.0.is_empty() {
            return Err(DocumentError::Malformed { what: "there is something behind it" });
        }
        Ok(Self::new(Content {
            genesis: public.genesis.into_owned(),
            taken_at_ms: public.taken_at_ms,
            time_ms: public.time_ms,
            identity,
            boots: public.boots.into_owned(),
            peers: public.peers.into_owned(),
            root_keys: public.root_keys.into_owned(),
            ceremonies,
            config: config.to_owned(),
        })?)
    }
}

/// A part behind its length.
fn put(document: &mut Vec<u8>, part: &[u8]) {
    let length = u32::try_from(part.len()).expect("far below 4 GiB");
    document.extend_from_slice(&length.to_be_bytes());
    document.extend_from_slice(part);
}

/// What is not read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], DocumentError> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(DocumentError::Malformed { what })?;
        self.0 = rest;
        Ok(*taken)
    }

    fn part(&mut self, what: &'static str) -> Result<&'a [u8], DocumentError> {
        let length = u32::from_be_bytes(self.take(what)?) as usize;
        let (part, rest) = self.0.split_at_checked(length).ok_or(DocumentError::Malformed { what })?;
        self.0 = rest;
        Ok(part)
    }

    fn public(&mut self) -> Result<Public<'a>, DocumentError> {
        const WHAT: DocumentError = DocumentError::Malformed { what: "its public part" };
        let (public, behind) = postcard::take_from_bytes(self.part("its public part")?).map_err(|_| WHAT)?;
        if behind.is_empty() { Ok(public) } else { Err(WHAT) }
    }
}
