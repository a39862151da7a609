//! Why a read brought nothing.

use std::net::IpAddr;

/// Why a read brought nothing: a node's reason to the caller. It holds hosts and statuses; nothing of a URL's path or query,
/// and no header's value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The URL is none that is fetched.
    #[error("the URL {reason}")]
    Url {
        /// What is not allowed in it.
        reason: &'static str,
    },
    /// The action did not say that it reads there.
    #[error("the action's manifest does not list the host {host}")]
    NotInManifest {
        /// The host, of the URL or of a redirect.
        host: String,
    },
    /// The name has no address.
    #[error("{host} has no address: {problem}")]
    Resolve {
        /// The host.
        host: String,
        /// What the name servers say.
        problem: ResolveProblem,
    },
    /// The name leads inside. One such address among others is enough.
    #[error("{host} has the address {address}, which is not one of the public internet")]
    NotPublic {
        /// The host.
        host: String,
        /// The first of its addresses that is not.
        address: IpAddr,
    },
    /// One redirect too many.
    #[error("{host} redirects again, with status {status}, after {limit} redirects")]
    Redirects {
        /// Who redirects.
        host: String,
        /// With which status.
        status: u16,
        /// How many are followed.
        limit: usize,
    },
    /// A redirect to where nothing is fetched.
    #[error("{host} redirects with status {status} to a URL that {reason}")]
    Redirect {
        /// Who redirects.
        host: String,
        /// With which status.
        status: u16,
        /// What is wrong with the target.
        reason: &'static str,
    },
    /// No connection.
    #[error("no connection to {host}: {problem}")]
    Connect {
        /// The host.
        host: String,
        /// What happened.
        problem: String,
    },
    /// A connection, but not to whom it should be.
    #[error("no TLS with {host}: {problem}")]
    Tls {
        /// The host.
        host: String,
        /// What happened.
        problem: TlsProblem,
    },
    /// All of it took too long, resolution and redirects included.
    #[error("no whole answer within {ms} ms")]
    Timeout {
        /// How long was waited, in milliseconds.
        ms: u32,
    },
    /// More than the action asked for.
    #[error("the body has more than {limit} bytes")]
    TooLarge {
        /// The bound on the body, decompressed.
        limit: u32,
    },
    /// A content coding that was not offered.
    #[error("{host} sends a content coding that was not asked for: gzip alone was")]
    Encoding {
        /// The host.
        host: String,
    },
    /// A body that is not what its coding says.
    #[error("the body of {host} is no valid gzip")]
    Decompression {
        /// The host.
        host: String,
    },
    /// What came is no answer in HTTP, or it broke off.
    #[error("no valid answer of {host}: {problem}")]
    Protocol {
        /// The host.
        host: String,
        /// What happened.
        problem: String,
    },
    /// This node fetches as much as it can at once.
    #[error("this node makes {limit} HTTP reads at once already: try again")]
    Busy {
        /// The bound.
        limit: usize,
    },
    /// This node fetches from that host as much as it can at once.
    #[error("this node makes {limit} HTTP reads of {host} at once already: try again")]
    HostBusy {
        /// The host.
        host: String,
        /// The bound.
        limit: usize,
    },
    /// The HTTP client did not start.
    #[error("this node has no HTTP client: {problem}")]
    Client {
        /// What happened.
        problem: String,
    },
}

impl Fault {
    /// Whether the host answered, with something that cannot be used, or the name servers did, that nobody has its
    /// name: to ask again does not help until they answer something else.
    pub fn is_answer(&self) -> bool {
        match self {
            Self::Redirects { .. }
            | Self::Redirect { .. }
            | Self::NotInManifest { .. }
            | Self::TooLarge { .. }
            | Self::Encoding { .. }
            | Self::Decompression { .. } => true,
            Self::Resolve { problem, .. } => match problem {
                ResolveProblem::NoSuchName => true,
                ResolveProblem::NoAddress
                | ResolveProblem::Silence
                | ResolveProblem::NoAnswer
                | ResolveProblem::NoName => false,
            },
            Self::Url { .. }
            | Self::NotPublic { .. }
            | Self::Connect { .. }
            | Self::Tls { .. }
            | Self::Timeout { .. }
            | Self::Protocol { .. }
            | Self::Busy { .. }
            | Self::HostBusy { .. }
            | Self::Client { .. } => false,
        }
    }
}

/// Why a name has no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResolveProblem {
    /// Nobody has the name.
    #[error("there is no such name")]
    NoSuchName,
    /// The name is there, without an address.
    #[error("the name has none")]
    NoAddress,
    /// Silence.
    #[error("the name servers do not answer")]
    Silence,
    /// The name servers failed, or answered something else.
    #[error("the name servers give no valid answer")]
    NoAnswer,
    /// Not a name that can be asked for.
    #[error("it is no name in DNS")]
    NoName,
}

/// Why there is no TLS.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsProblem {
    /// The certificate is somebody else's.
    #[error("its certificate is for another name")]
    OtherName,
    /// The certificate was valid once.
    #[error("its certificate has expired")]
    Expired,
    /// The certificate is not valid yet.
    #[error("its certificate is not valid yet")]
    NotYetValid,
    /// The certificate is its own, or of an unknown authority.
    #[error("its certificate is of an issuer that this node does not trust")]
    UnknownIssuer,
    /// It does not speak TLS.
    #[error("it does not speak TLS")]
    NotTls,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}
