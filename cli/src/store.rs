use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use cloakroom_store_api::{Error, SessionStore};
use cloakroom_store_postgres::{PostgresStore, TableName};
use cloakroom_store_redis::{Prefix, RedisStore};
use cloakroom_store_sled::SledStore;
use tokio::task::spawn_blocking;

use crate::{
    args::StoreArgs,
    exit::{Failure, causes},
};

/// How long one call may take, unless it is told otherwise: longer than the application's, for
/// nobody waits for a page.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// The same, for calls that read all that is stored.
pub(crate) const READ_ALL_DEADLINE: Duration = Duration::from_mins(10);

/// Where sessions are, by the scheme of a URL. Nothing is opened yet.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Postgres(Server),
    Redis(Keys),
    Sled(PathBuf),
}

/// A Redis, and what the keys of the sessions begin with.
#[derive(Clone)]
pub(crate) struct Keys {
    pub(crate) url: String,
    pub(crate) prefix: Prefix,
}

/// A server, and which of its tables.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) table: TableName,
}

/// An open store, with what only it has.
#[derive(Clone, Debug)]
pub(crate) enum Store {
    Postgres(PostgresStore),
    Redis(RedisStore),
    Sled(SledStore),
}

impl Place {
    /// Reads what the command line says. No error shows the URL: it may have a password in it,
    /// wherever the person has put it.
    pub(crate) fn new(args: &StoreArgs) -> Result<Self, Failure> {
        let Some(url) = &args.store else {
            return Err(Failure::usage(
                "name a store, by --store URL or in CLOAKROOM_STORE",
            ));
        };
        let Some((scheme, rest)) = url.split_once(':') else {
            return Err(Failure::usage(format_args!(
                "a store URL begins with its scheme, use {SCHEMES}"
            )));
        };
        let place = match scheme {
            "postgres" | "postgresql" => Self::Postgres(Server {
                url: url.clone(),
                table: args.table.clone().unwrap_or_default(),
            }),
            "redis" | "rediss" | "unix" | "redis+unix" | "redis+sentinel" | "redis+cluster" => {
                Self::Redis(Keys {
                    url: url.clone(),
                    prefix: args.prefix.clone().unwrap_or_default(),
                })
            }
            "sled" if rest.is_empty() => {
                return Err(Failure::usage("a folder follows sled:, as sled:PATH"));
            }
            "sled" => Self::Sled(rest.into()),
            "memory" => {
                return Err(Failure::usage(
                    "a memory store lives in its application's process only, \
                     and reclaims what has ended by itself",
                ));
            }
            _ => {
                return Err(Failure::usage(format_args!(
                    "unknown store scheme, use {SCHEMES}"
                )));
            }
        };
        match &place {
            Self::Postgres(_) | Self::Sled(_) if args.prefix.is_some() => {
                Err(Failure::usage("--prefix is for Redis only"))
            }
            Self::Redis(_) | Self::Sled(_) if args.table.is_some() => {
                Err(Failure::usage("--table is for PostgreSQL only"))
            }
            _ => Ok(place),
        }
    }

    /// Opens a store that is there.
    pub(crate) async fn open(&self, deadline: Duration) -> Result<Store, Failure> {
        match self {
            Self::Postgres(server) => server.open(deadline).await.map(Store::Postgres),
            Self::Redis(keys) => keys.connect(deadline).await.map(Store::Redis),
            Self::Sled(path) if !path.join("db").is_file() => {
                Err(Failure::unreachable(format_args!(
                    "there are no sessions in the folder `{}`, check the path",
                    path.display()
                )))
            }
            Self::Sled(path) => open_sled(path).await.map(Store::Sled),
        }
    }

    /// What is wrong, and what to do.
    pub(crate) fn failure(&self, error: &Error) -> Failure {
        match self {
            Self::Postgres(server) => server.failure(error),
            Self::Redis(keys) => keys.failure(error),
            Self::Sled(_) => Failure::other(format_args!("{error}: {}", causes(error))),
        }
    }
}

impl Server {
    /// Connects; the table need not be there.
    pub(crate) async fn connect(&self, deadline: Duration) -> Result<PostgresStore, Failure> {
        PostgresStore::builder(&self.url)
            .table(self.table.clone())
            .deadline(deadline)
            .connect()
            .await
            .map_err(|error| self.failure(&error))
    }

    /// Connects to a table that is there.
    pub(crate) async fn open(&self, deadline: Duration) -> Result<PostgresStore, Failure> {
        // Whoever reads everything has patience, but not with a server that does not answer.
        let store = self.connect(deadline.min(DEADLINE)).await?;
        if !store
            .is_migrated()
            .await
            .map_err(|error| self.failure(&error))?
        {
            return Err(Failure::other(format_args!(
                "there is no table {} of sessions on {}, name it by --table \
                 or make it by `cloakroom migrate`",
                self.table,
                self.shown()
            )));
        }
        match deadline <= DEADLINE {
            true => Ok(store),
            false => self.connect(deadline).await,
        }
    }

    pub(crate) fn failure(&self, error: &Error) -> Failure {
        let causes = causes(error);
        match error {
            Error::Unavailable(_) => Failure::unreachable(format_args!(
                "{} cannot be reached ({causes}); see that it runs, and that --store names it",
                self.shown()
            )),
            _ => Failure::other(format_args!(
                "PostgreSQL refused ({causes}); see that user, password, database and rights \
                 in --store are right"
            )),
        }
    }

    fn shown(&self) -> &str {
        host(&self.url).unwrap_or("the PostgreSQL server")
    }
}

impl Keys {
    pub(crate) async fn connect(&self, deadline: Duration) -> Result<RedisStore, Failure> {
        RedisStore::builder(&self.url)
            .prefix(self.prefix.clone())
            .deadline(deadline)
            .connect()
            .await
            .map_err(|error| self.failure(&error))
    }

    pub(crate) fn failure(&self, error: &Error) -> Failure {
        let causes = causes(error);
        match error {
            Error::Unavailable(_) => Failure::unreachable(format_args!(
                "{} cannot be reached ({causes}); see that it runs, and that --store names it",
                host(&self.url).unwrap_or("the Redis server")
            )),
            _ => Failure::other(format_args!(
                "Redis refused ({causes}); see that user, password and rights in --store are right"
            )),
        }
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

/// The host in a URL, and its port.
///
/// `None` if there is an `@` after it: it may stand in a password, of which a part would be taken
/// for the host.
pub(crate) fn host(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let host = authority.rsplit('@').next()?;
    (!host.is_empty() && !rest.contains('@')).then_some(host)
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("table", &self.table)
            .finish_non_exhaustive()
    }
}

/// Opens a folder, and makes it if it is not there.
pub(crate) async fn open_sled(path: &Path) -> Result<SledStore, Failure> {
    let folder = path.to_owned();
    let opened = spawn_blocking(move || SledStore::open(folder)).await;
    match opened.unwrap_or_else(|panic| Err(Error::backend(panic))) {
        Ok(store) => Ok(store),
        Err(error @ Error::Unavailable(_)) => Err(Failure::in_use(format_args!(
            "{}: stop the application first, or sweep in it, by cloakroom::Sweeper",
            causes(&error)
        ))),
        Err(error) => Err(Failure::other(format_args!(
            "{}; check the path and its rights",
            causes(&error)
        ))),
    }
}

impl Store {
    pub(crate) fn sessions(&self) -> &dyn SessionStore {
        match self {
            Self::Postgres(store) => store,
            Self::Redis(store) => store,
            Self::Sled(store) => store,
        }
    }

    /// What the store is called in reports.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "postgres",
            Self::Redis(_) => "redis",
            Self::Sled(_) => "sled",
        }
    }

    /// How many records a sweep would remove now.
    pub(crate) async fn count_due(&self) -> Result<u64, Error> {
        match self {
            Self::Postgres(store) => store.count_due().await,
            Self::Redis(_) => Ok(0),
            Self::Sled(store) => Ok(store.stats().await?.expired),
        }
    }
}

const SCHEMES: &str = "sled:PATH, postgres://USER:PASSWORD@HOST/DATABASE or redis://HOST";
