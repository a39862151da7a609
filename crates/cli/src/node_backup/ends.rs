//! How backing up and restoring end: what the caller can mend in its input (8) is told from what it waits for (4), and both
//! from disks and databases that fail (1).

use std::io;

use countersign_backup::SealError;
use countersign_node::{
    ConfigError, NodeError, PassphraseError,
    backup::{ReadError, RestoreError, TakeError, WriteError},
};
use countersign_store::{CreateError, IdentityFileError, OpenError};

use crate::exit::Exit;

pub(super) fn not_taken(error: TakeError) -> Exit {
    let fails = match &error {
        TakeError::Running { .. } | TakeError::NoRootKeys { .. } | TakeError::Unfinished { .. } => {
            return Exit::unavailable(error);
        }
        TakeError::NoShares | TakeError::Store(_) | TakeError::Content(_) => true,
        TakeError::Read { source, .. } => is_failure(source),
        TakeError::Config(error) => config_fails(error),
        TakeError::Node(error) => node_fails(error),
    };
    ended(error, fails)
}

pub(super) fn not_sealed(error: SealError) -> Exit {
    let fails = match &error {
        SealError::Recipients { .. } => false,
        SealError::TooLong { .. } | SealError::Age { .. } => true,
    };
    ended(error, fails)
}

pub(super) fn not_written(error: WriteError) -> Exit {
    let fails = write_fails(&error);
    ended(error, fails)
}

pub(super) fn not_read(error: ReadError) -> Exit {
    let ReadError::Io { source, .. } = &error;
    let fails = is_failure(source);
    ended(error, fails)
}

pub(super) fn not_restored(error: RestoreError) -> Exit {
    let fails = restore_fails(&error);
    ended(error, fails)
}

fn ended(error: impl std::error::Error + 'static, fails: bool) -> Exit {
    if fails { Exit::unexpected(error) } else { Exit::invalid(error) }
}

fn restore_fails(error: &RestoreError) -> bool {
    match error {
        RestoreError::Database { .. }
        | RestoreError::NoShares { .. }
        | RestoreError::Overtaken { .. }
        | RestoreError::OtherNode { .. }
        | RestoreError::NotTheNode { .. }
        | RestoreError::Unnamed { .. }
        | RestoreError::Outside { .. }
        | RestoreError::OtherNetwork { .. }
        | RestoreError::OtherPassphrase { .. }
        | RestoreError::Older { .. }
        | RestoreError::RootKeys { .. }
        | RestoreError::RootKeysFile { .. } => false,
        RestoreError::Fill(_) => true,
        RestoreError::Partly { source, .. } => restore_fails(source),
        RestoreError::Config(error) => config_fails(error),
        RestoreError::Passphrase { source, .. } => passphrase_fails(source),
        RestoreError::Identity(error) => identity_fails(error),
        RestoreError::Io { source, .. } => is_failure(source),
        RestoreError::Write(error) => write_fails(error),
        RestoreError::Create(error) => {
            !matches!(error, CreateError::NotEmpty { .. } | CreateError::EmptyPassphrase)
        }
    }
}

fn write_fails(error: &WriteError) -> bool {
    match error {
        WriteError::Exists { .. } => false,
        WriteError::Io { source, .. } => is_failure(source),
    }
}

fn config_fails(error: &ConfigError) -> bool {
    match error {
        ConfigError::Read { source, .. } => is_failure(source),
        ConfigError::Parse { .. } | ConfigError::NotJoined { .. } | ConfigError::Genesis { .. } => false,
    }
}

fn passphrase_fails(error: &PassphraseError) -> bool {
    matches!(error, PassphraseError::Read { source, .. } if is_failure(source))
}

fn identity_fails(error: &IdentityFileError) -> bool {
    if let IdentityFileError::Io { source, .. } = error {
        return is_failure(source);
    }
    matches!(error, IdentityFileError::Kdf(_) | IdentityFileError::Store(_))
}

/// What opening a database says; nothing else of a node is started.
fn node_fails(error: &NodeError) -> bool {
    if let NodeError::Open(error) = error {
        return open_fails(error);
    }
    if let NodeError::Passphrase(error) = error {
        return passphrase_fails(error);
    }
    if let NodeError::Identity(error) = error {
        return identity_fails(error);
    }
    !matches!(error, NodeError::Genesis(_))
}

fn open_fails(error: &OpenError) -> bool {
    if let OpenError::Io { source, .. } = error {
        return is_failure(source);
    }
    matches!(error, OpenError::Kdf(_) | OpenError::Store(_))
}

/// Whether the disk failed. Else the path leads nowhere, or where this user may not go: another one will do.
fn is_failure(error: &io::Error) -> bool {
    use io::ErrorKind::{
        AlreadyExists, InvalidData, IsADirectory, NotADirectory, NotFound, PermissionDenied,
    };
    !matches!(
        error.kind(),
        AlreadyExists | IsADirectory | InvalidData | NotADirectory | NotFound | PermissionDenied
    )
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use countersign_store::StoreError;
    use countersign_types::AttemptId;

    use super::*;

    fn path() -> PathBuf {
        "node1".into()
    }

    fn full() -> io::Error {
        io::ErrorKind::StorageFull.into()
    }

    fn missing() -> io::Error {
        io::ErrorKind::NotFound.into()
    }

    #[test]
    fn what_is_waited_for_is_unavailable() {
        for error in [
            TakeError::Running { source: OpenError::InUse { path: path() } },
            TakeError::NoRootKeys { identity: path() },
            TakeError::Unfinished { attempt: AttemptId::from([7; 32]), schemes: Vec::new() },
        ] {
            assert_eq!(not_taken(error).code, 4);
        }
    }

    #[test]
    fn a_disk_or_a_database_that_fails_is_no_invalid_input() {
        let stopped = || StoreError::Stopped;
        assert_eq!(not_taken(TakeError::Store(stopped())).code, 1);
        assert_eq!(not_taken(TakeError::Node(NodeError::Open(OpenError::Store(stopped())))).code, 1);
        assert_eq!(not_taken(TakeError::Node(NodeError::Task("ended".into()))).code, 1);
        assert_eq!(not_written(WriteError::Io { path: path(), source: full() }).code, 1);
        assert_eq!(not_restored(RestoreError::Create(CreateError::Store(stopped()))).code, 1);
        assert_eq!(not_restored(RestoreError::Io { path: path(), source: full() }).code, 1);
        assert_eq!(not_restored(RestoreError::Fill(full().into())).code, 1);
        let write = RestoreError::Write(WriteError::Io { path: path(), source: full() });
        let partly = RestoreError::Partly { database: path(), source: write.into() };
        assert_eq!(not_restored(partly).code, 1);
    }

    #[test]
    fn what_the_caller_can_name_otherwise_is_invalid_input() {
        assert_eq!(not_written(WriteError::Exists { path: path() }).code, 8);
        assert_eq!(not_written(WriteError::Io { path: path(), source: missing() }).code, 8);
        assert_eq!(not_read(ReadError::Io { path: path(), source: missing() }).code, 8);
        assert_eq!(not_taken(TakeError::Node(NodeError::Open(OpenError::Passphrase))).code, 8);
        assert_eq!(
            not_taken(TakeError::Config(ConfigError::Read { path: path(), source: missing() })).code,
            8
        );
        assert_eq!(not_restored(RestoreError::Database { path: path() }).code, 8);
        assert_eq!(not_restored(RestoreError::Create(CreateError::EmptyPassphrase)).code, 8);
        assert_eq!(not_restored(RestoreError::OtherPassphrase { path: path() }).code, 8);
        assert_eq!(not_restored(RestoreError::NoShares { path: path() }).code, 8);
        assert_eq!(not_restored(RestoreError::Overtaken { path: path() }).code, 8);
        let source = PassphraseError::Missing;
        assert_eq!(
            not_restored(RestoreError::Passphrase { config: path(), from_backup: false, source }).code,
            8
        );
    }
}
