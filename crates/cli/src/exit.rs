//! How the command ends: an error with its causes, and a code that scripts can tell apart.

use std::{error::Error, fmt};

use countersign_client::{ClientError, NodeError, NodeFailure};
use countersign_receipt::Evidence;
use countersign_types::{Failure, FailureKind, action::ManifestError};

/// The codes, for `--help`.
pub(crate) const HELP: &str = "Exit codes: 0 done · 1 unexpected · 2 wrong usage · 3 refused · \
4 unavailable, busy, not ready or too late · 5 disagreement or nonce reused · 6 unauthorised · 7 not found · \
8 invalid input, file or configuration · 9 a node's answer or a receipt does not verify · 10 a check of a node failed";

/// An error on its way to the terminal.
#[derive(Debug)]
pub(crate) struct Exit {
    pub(crate) code: u8,
    /// The stable name of the kind of error.
    pub(crate) kind: &'static str,
    pub(crate) message: String,
    pub(crate) causes: Vec<String>,
    /// What the nodes said, where it comes from a node.
    pub(crate) failure: Option<Box<Failure>>,
    /// What proves that members lied.
    pub(crate) evidence: Option<Box<Evidence>>,
    /// What to do about it, for people.
    pub(crate) hint: Option<&'static str>,
}

/// What to do where no node is reached.
const NO_NODE: &str = "does the network run? for a test network: ./testnet/status";

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Exit {
    fn new(code: u8, kind: &'static str, error: &(dyn Error + 'static)) -> Self {
        let message = error.to_string();
        let mut causes: Vec<String> = Vec::new();
        let mut source = error.source();
        while let Some(cause) = source {
            let told = causes.last().unwrap_or(&message);
            let text = cause.to_string();
            // some name their cause themselves
            if !told.ends_with(&text) {
                causes.push(text);
            }
            source = cause.source();
        }
        Self { code, kind, message, causes, failure: None, evidence: None, hint: None }
    }

    fn in_words(code: u8, kind: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { code, kind, message, causes: Vec::new(), failure: None, evidence: None, hint: None }
    }

    /// A command line whose parts do not fit together.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::in_words(2, "usage", message)
    }

    /// Input, a file or a configuration that cannot be used.
    pub(crate) fn invalid(error: impl Error + 'static) -> Self {
        Self::new(8, "invalid", &error)
    }

    /// The same, in words.
    pub(crate) fn invalid_input(message: impl Into<String>) -> Self {
        Self::in_words(8, "invalid", message)
    }

    /// Something that does not prove what it should.
    pub(crate) fn not_verified(error: impl Error + 'static) -> Self {
        Self::new(9, "not-verified", &error)
    }

    /// A receipt that proves that members lied.
    pub(crate) fn evidence(evidence: Evidence) -> Self {
        Self { evidence: Some(Box::new(evidence.clone())), ..Self::not_verified(evidence) }
    }

    /// Something that is not there.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::in_words(7, "not-found", message)
    }

    /// A node with which not all is well: what was printed says what.
    pub(crate) fn unwell(message: impl Into<String>) -> Self {
        Self::in_words(10, "unwell", message)
    }

    /// Something that does not answer now.
    pub(crate) fn unavailable(error: impl Error + 'static) -> Self {
        Self::new(4, "unavailable", &error)
    }

    /// Something that should not happen.
    pub(crate) fn unexpected(error: impl Error + 'static) -> Self {
        Self::new(1, "unexpected", &error)
    }

    /// What a node answered.
    pub(crate) fn of_failure(failure: &Failure, message: String) -> Self {
        let code = match failure.kind {
            FailureKind::Refused | FailureKind::PublisherNotListed => 3,
            FailureKind::Busy
            | FailureKind::NotReady
            | FailureKind::Unavailable
            | FailureKind::Deadline
            | FailureKind::StorageFull
            | FailureKind::NotCoordinator
            | FailureKind::UnusableSource => 4,
            FailureKind::Disagreement | FailureKind::NonceReused => 5,
            FailureKind::Unauthorised => 6,
            FailureKind::NotFound | FailureKind::UnknownAction => 7,
            FailureKind::Invalid
            | FailureKind::WrongNetwork
            | FailureKind::Expired
            | FailureKind::NotYetIssued
            | FailureKind::BeforeBoot
            | FailureKind::TooLarge
            | FailureKind::ActionFailed => 8,
            FailureKind::Internal => 1,
        };
        Self {
            code,
            kind: failure.kind.name(),
            message,
            causes: Vec::new(),
            failure: Some(Box::new(failure.clone())),
            evidence: None,
            hint: None,
        }
    }

    /// What nodes did of which none counts alone: what each of them says where all say the same, and no answer otherwise.
    fn of_all(error: &ClientError, nodes: &[NodeFailure]) -> Self {
        const UNAVAILABLE: u8 = 4;
        let unavailable = || Self::new(UNAVAILABLE, "unavailable", error);
        let says = |node: &NodeFailure| match node.error.failure() {
            _ if node.error.is_lie() => Self::new(9, "not-verified", error),
            Some(failure) => Self::of_failure(failure, error.to_string()),
            None => unavailable(),
        };
        let said: Vec<Self> = nodes.iter().map(says).collect();
        let is_one = said.windows(2).all(|pair| pair[0].code == pair[1].code);
        let ends = said
            .into_iter()
            .filter(|exit| is_one || exit.code == UNAVAILABLE)
            // whoever says more than that it is silent
            .max_by_key(|exit| exit.failure.is_some())
            .unwrap_or_else(unavailable);
        // on a line each: the message names five nodes otherwise
        let mut lines = error.in_lines().into_iter();
        let message = lines.next().unwrap_or_else(|| error.to_string());
        let is_silent = |node: &NodeFailure| matches!(node.error, NodeError::Unreachable { .. });
        let hint = (!nodes.is_empty() && nodes.iter().all(is_silent)).then_some(NO_NODE);
        Self { message, causes: lines.collect(), hint, ..ends }
    }
}

impl From<ClientError> for Exit {
    fn from(error: ClientError) -> Self {
        match &error {
            ClientError::Failed { failure, .. } => Self::of_failure(failure, error.to_string()),
            ClientError::NoAnswer { nodes, .. } => Self::of_all(&error, nodes),
            ClientError::Http(_) => Self::new(1, "unexpected", &error),
            ClientError::Request(request) if request.is_unauthorised() => {
                Self::new(6, "unauthorised", &error)
            }
            ClientError::Publication(ManifestError::Signature { .. }) => Self::new(6, "unauthorised", &error),
            ClientError::Genesis(_)
            | ClientError::NoNodes
            | ClientError::UnknownNode { .. }
            | ClientError::NotAMember { .. }
            | ClientError::Network { .. }
            | ClientError::Signer(_)
            | ClientError::Request(_)
            | ClientError::Publication(_)
            | ClientError::Trust(_) => Self::new(8, "invalid", &error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io, time::Duration};

    use countersign_node::backup::WriteError;
    use countersign_receipt::{CheckError, VoteError};
    use countersign_types::Identifier;

    use super::*;

    fn code_of(errors: Vec<NodeError>) -> (u8, &'static str) {
        let node = "http://localhost:8470".parse::<countersign_client::Url>().expect("an address");
        let nodes = errors.into_iter().map(|error| NodeFailure { node: node.clone(), error }).collect();
        let exit = Exit::from(ClientError::NoAnswer { waited: Duration::ZERO, nodes });
        (exit.code, exit.kind)
    }

    #[test]
    fn no_cause_is_told_twice() {
        let member = Identifier::new(3).expect("not zero");
        let told = Exit::not_verified(CheckError::Vote { member, source: VoteError::Signature });
        assert!(told.message.ends_with("the member did not sign it") && told.causes.is_empty(), "{told:?}");
        let (path, source) = ("file".into(), io::ErrorKind::StorageFull.into());
        let kept = Exit::invalid(WriteError::Io { path, source });
        assert_eq!(kept.causes, [io::Error::from(io::ErrorKind::StorageFull).to_string()]);
    }

    #[test]
    fn what_nodes_did_alike_is_one_cause_and_where_none_is_reached_there_is_something_to_do() {
        let node = |port: u16, error| {
            let node = format!("http://127.0.0.1:{port}").parse().expect("an address");
            NodeFailure { node, error }
        };
        let refused = || NodeError::Unreachable { reason: "connection refused".into() };
        let exit = |nodes| Exit::from(ClientError::NoAnswer { waited: Duration::from_secs(1), nodes });

        let stopped = exit(vec![node(1, refused()), node(2, refused())]);
        assert_eq!(stopped.message, "no node gave an answer that counts within 1000 ms");
        let expected = "http://127.0.0.1:1/, http://127.0.0.1:2/: not reached: connection refused";
        assert_eq!(stopped.causes, [expected]);
        assert_eq!((stopped.code, stopped.hint), (4, Some(NO_NODE)));

        let half = exit(vec![node(1, refused()), node(2, NodeError::NoRootKeys)]);
        assert_eq!((half.causes.len(), half.hint), (2, None), "{half:?}");
    }

    #[test]
    fn one_node_alone_does_not_say_how_a_call_ends() {
        let says = |kind| NodeError::Failure(Failure::new(kind, "so it says"));
        let silent = || NodeError::Timeout { waited: Duration::ZERO };
        let lie = || NodeError::Unfounded { expected: 2, got: 1 };
        for kind in [FailureKind::Refused, FailureKind::Unauthorised, FailureKind::UnknownAction] {
            for answers in [vec![says(kind), silent()], vec![silent(), says(kind)], vec![lie(), says(kind)]] {
                assert_eq!(code_of(answers), (4, "unavailable"), "{kind:?}");
            }
            let alike = code_of(vec![says(kind), says(kind)]);
            assert_eq!(alike, code_of(vec![says(kind)]));
            assert_eq!(alike.1, kind.name());
        }
        assert_eq!(code_of(vec![lie(), silent()]), (4, "unavailable"));
        assert_eq!(code_of(vec![lie(), lie()]), (9, "not-verified"));
        assert_eq!(code_of(vec![says(FailureKind::Busy), silent(), lie()]), (4, "busy"));
        assert_eq!(code_of(Vec::new()), (4, "unavailable"));
    }
}
