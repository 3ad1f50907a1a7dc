mod table;

use std::{
    num::NonZero,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
    thread,
};

use argon2::{
    Argon2,
    password_hash::{
        self, PasswordHasher, PasswordVerifier,
        phc::{self, PasswordHash},
    },
};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::Semaphore,
    task::{JoinError, spawn_blocking},
};

use self::table::Table;

/// Who has signed up, by name.
///
/// Names keep the letters they were signed up with, and are found in any: `Ada` and `ada` are
/// one user, so that nobody can pass for another.
#[derive(Debug)]
pub(crate) struct Users {
    table: Table,
    /// A hash of no password, to check for an unknown user.
    nobody: PasswordHash,
    /// A hash takes a core and 19 MiB for a while: as many at once as there are cores.
    cores: Arc<Semaphore>,
}

#[derive(Serialize, Deserialize)]
struct User {
    name: Name,
    hash: String,
}

impl Users {
    /// Opens the folder, or a table in memory. It blocks.
    pub(crate) fn open(folder: Option<&Path>) -> Result<Self, OpenError> {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        Ok(Self {
            table: folder.map_or_else(|| Ok(Table::memory()), Table::open)?,
            nobody: Argon2::default().hash_password(b"")?,
            cores: Arc::new(Semaphore::new(cores)),
        })
    }

    /// Adds a user; says whether the name was free. Then it is on disk.
    pub(crate) async fn sign_up(
        self: &Arc<Self>,
        name: Name,
        password: Password,
    ) -> Result<bool, Error> {
        self.work(move |users| {
            if users.table.get(&name.key())?.is_some() {
                return Ok(false);
            }
            let hash: PasswordHash = Argon2::default().hash_password(password.0.as_bytes())?;
            let key = name.key();
            let hash = hash.to_string();
            let user = serde_json::to_vec(&User { name, hash })?;
            Ok(users.table.insert_new(&key, user)?)
        })
        .await
    }

    /// The name as it was signed up with, if this is its password.
    ///
    /// An unknown name takes as long as a wrong password.
    pub(crate) async fn authenticate(
        self: &Arc<Self>,
        name: &str,
        password: String,
    ) -> Result<Option<Name>, Error> {
        let key = name.to_ascii_lowercase();
        self.work(move |users| {
            let found = users.table.get(&key)?;
            let user = found
                .map(|bytes| serde_json::from_slice::<User>(&bytes))
                .transpose()?;
            let (name, hash) = match user {
                Some(User { name, hash }) => (Some(name), PasswordHash::new(&hash)?),
                None => (None, users.nobody.clone()),
            };
            match Argon2::default().verify_password(password.as_bytes(), &hash) {
                Ok(()) => Ok(name),
                Err(password_hash::Error::PasswordInvalid) => Ok(None),
                Err(error) => Err(error.into()),
            }
        })
        .await
    }

    /// Hashing and flushing block: not on the runtime's own threads.
    async fn work<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let core = Arc::clone(&self.cores).acquire_owned().await;
        let users = Arc::clone(self);
        spawn_blocking(move || {
            let _core = core;
            work(&users)
        })
        .await?
    }
}

/// 1 to 30 ASCII letters, digits and underscores.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Name(String);

impl Name {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    fn key(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

impl FromStr for Name {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        match (1..=30).contains(&text.len()) && text.bytes().all(fits) {
            true => Ok(Self(text.to_owned())),
            false => Err("A name is 1 to 30 letters from A to Z, digits and underscores."),
        }
    }
}

/// 8 to 128 bytes.
pub(crate) struct Password(String);

impl TryFrom<String> for Password {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.len() {
            0..8 => Err("A password has at least 8 characters."),
            8..=128 => Ok(Self(text)),
            _ => Err("A password has at most 128 bytes."),
        }
    }
}

/// The users could not be asked or changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the users' folder failed")]
    Folder(#[from] sled::Error),
    #[error("a password could not be hashed")]
    Hash(#[from] password_hash::Error),
    #[error("a stored password hash is unreadable")]
    StoredHash(#[from] phc::Error),
    #[error("a user's record is unreadable")]
    Record(#[from] serde_json::Error),
    #[error("the work on a password ended early")]
    Stopped(#[from] JoinError),
}

/// The users' folder cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("the users' folder `{}` is in use by another program", .0.display())]
    InUse(PathBuf),
    #[error("cannot open the users' folder `{}`", .0.display())]
    Folder(PathBuf, #[source] sled::Error),
    #[error("a password could not be hashed")]
    Hash(#[from] password_hash::Error),
}
