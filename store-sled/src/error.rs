use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    time::Duration,
};

use cloakroom_store_api::{BoxError, Error};

/// What can be wrong beside what sled says.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(
        "the session folder `{}` is in use by another process, \
         the only one that can sweep it", .0.display()
    )]
    InUse(PathBuf),

    #[error("cannot open the session folder `{}`", path.display())]
    Open {
        path: PathBuf,
        #[source]
        cause: BoxError,
    },

    #[error("the database in it is not of this store")]
    Foreign,

    #[error("the database in it is damaged; without its files the store begins anew")]
    Damaged,

    #[error("its format {0:?} is unknown")]
    Format(Vec<u8>),

    #[error("sled panicked: {0}")]
    Panicked(String),

    #[error("no answer within {0:?}")]
    Late(Duration),

    #[error("the store's writer has ended")]
    Ended,

    #[error("an earlier write failed, and the folder has to be opened again")]
    Broken(#[source] sled::Error),
}

/// Sorts what sled says of a folder that is open.
///
/// sled goes on failing after its first failure, so trying later does not help.
pub(crate) fn sorted(error: sled::Error) -> Error {
    Error::backend(error)
}

/// Sorts what went wrong with opening a folder.
pub(crate) fn unopened(path: &Path, cause: BoxError) -> Error {
    if was_locked(&cause) || is_locked(path) {
        return Error::unavailable(Failure::InUse(path.to_owned()));
    }
    Error::backend(Failure::Open {
        path: path.to_owned(),
        cause,
    })
}

/// Whether sled met the lock of another, which may have gone since. It says so only in words, and
/// on some systems not in these.
fn was_locked(cause: &BoxError) -> bool {
    cause.to_string().contains("kind: WouldBlock")
}

fn is_locked(path: &Path) -> bool {
    File::options()
        .read(true)
        .write(true)
        .open(path.join("db"))
        .is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_was_in_use_although_its_lock_is_gone_by_now() {
        let folder = tempfile::tempdir().unwrap();
        let held = sled::open(folder.path()).unwrap();
        let cause = sled::open(folder.path()).unwrap_err();
        drop(held);
        let elsewhere = tempfile::tempdir().unwrap();
        let error = unopened(elsewhere.path(), cause.into());
        assert!(matches!(error, Error::Unavailable(_)), "{error}");
    }
}
