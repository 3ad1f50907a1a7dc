use std::{fs, io, path::Path};

use cloakroom_store_postgres::PostgresStore;
use cloakroom_store_redis::RedisStore;
use tempfile::TempDir;

use crate::{
    args::StoreArgs,
    exit::Failure,
    store::{DEADLINE, Keys, Place, Server, Store, open_sled},
};

/// Throwaway tables, prefixes or folders beside the named one, whose sessions are never touched.
pub(crate) enum Trial {
    Postgres {
        server: Server,
        tag: String,
        stores: Vec<PostgresStore>,
    },
    Redis {
        keys: Keys,
        tag: String,
        stores: Vec<RedisStore>,
    },
    Sled(TempDir),
}

/// How many stores a trial may have.
pub(crate) const STORES: usize = 4;

impl Trial {
    /// Begins one where the command line says. A server that cannot be reached shows here.
    pub(crate) async fn begin(args: &StoreArgs) -> Result<Self, Failure> {
        match Place::new(args)? {
            Place::Postgres(server) => {
                let tag = format!("{:016x}", fastrand::u64(..));
                let mut stores = Vec::new();
                for number in 0..STORES {
                    let deadline = args.deadline.unwrap_or(DEADLINE);
                    let server = trial_server(&server, &tag, number);
                    stores.push(server.connect(deadline).await?);
                }
                Ok(Self::Postgres {
                    server,
                    tag,
                    stores,
                })
            }
            Place::Redis(keys) => {
                let tag = format!("{:016x}", fastrand::u64(..));
                let mut stores = Vec::new();
                for number in 0..STORES {
                    let deadline = args.deadline.unwrap_or(DEADLINE);
                    stores.push(trial_keys(&keys, &tag, number).connect(deadline).await?);
                }
                Ok(Self::Redis { keys, tag, stores })
            }
            Place::Sled(path) => {
                let parent = path.parent().filter(|parent| *parent != Path::new(""));
                let parent = parent.unwrap_or(Path::new("."));
                let folder = tempfile::Builder::new()
                    .prefix("cloakroom-trial-")
                    .tempdir_in(parent);
                folder.map(Self::Sled).map_err(|error| {
                    Failure::other(format_args!(
                        "no trial folder can be made in `{}` ({error}); check the path and its rights",
                        parent.display()
                    ))
                })
            }
        }
    }

    /// What tells another process of this program where the trial is.
    pub(crate) fn tag(&self) -> String {
        match self {
            Self::Postgres { tag, .. } | Self::Redis { tag, .. } => tag.clone(),
            Self::Sled(folder) => folder.path().display().to_string(),
        }
    }

    /// A store of it, open and empty.
    pub(crate) async fn store(&self, number: usize) -> Result<Store, Failure> {
        match self {
            Self::Postgres { server, stores, .. } => {
                let store = &stores[number];
                let migrated = store.migrate().await;
                migrated.map_err(|error| server.failure(&error))?;
                Ok(Store::Postgres(store.clone()))
            }
            Self::Redis { stores, .. } => Ok(Store::Redis(stores[number].clone())),
            Self::Sled(folder) => open_sled(&folder.path().join(number.to_string()))
                .await
                .map(Store::Sled),
        }
    }

    /// Removes all that is left of it.
    pub(crate) async fn end(self) -> Result<(), Failure> {
        // What was on its way to the server from a call or a process that was given up may have
        // been done beside the first.
        self.clear().await?;
        self.clear().await?;
        match self {
            Self::Sled(folder) => {
                let path = folder.path().to_owned();
                folder.close().map_err(|error| left(&path, &error))
            }
            Self::Postgres { .. } | Self::Redis { .. } => Ok(()),
        }
    }

    /// Removes what all its stores have kept; it can be used again.
    pub(crate) async fn clear(&self) -> Result<(), Failure> {
        match self {
            Self::Postgres { server, stores, .. } => {
                for store in stores {
                    let dropped = store.drop_tables().await;
                    dropped.map_err(|error| server.failure(&error))?;
                }
            }
            Self::Redis { keys, stores, .. } => {
                for store in stores {
                    let cleared = store.clear().await;
                    cleared.map_err(|error| keys.failure(&error))?;
                }
            }
            Self::Sled(folder) => {
                for number in 0..STORES {
                    let folder = folder.path().join(number.to_string());
                    if folder.exists() {
                        fs::remove_dir_all(&folder).map_err(|error| left(&folder, &error))?;
                    }
                }
            }
        }
        Ok(())
    }
}

fn left(folder: &Path, error: &io::Error) -> Failure {
    Failure::other(format_args!(
        "the trial folder `{}` cannot be removed ({error}); remove it",
        folder.display()
    ))
}

/// The same server with a table of a trial, in the schema of the named one.
pub(crate) fn trial_server(server: &Server, tag: &str, number: usize) -> Server {
    let (schema, _) = server.table.parts();
    let schema = schema
        .map(|schema| format!("{schema}."))
        .unwrap_or_default();
    let table = format!("{schema}cloakroom_trial_{tag}_{number}");
    Server {
        url: server.url.clone(),
        table: table.parse().expect("it is short and has no other dot"),
    }
}

/// The same Redis with a prefix of a trial.
pub(crate) fn trial_keys(keys: &Keys, tag: &str, number: usize) -> Keys {
    let prefix = format!("cloakroom-trial-{tag}-{number}:");
    Keys {
        url: keys.url.clone(),
        prefix: prefix.parse().expect("it is short and visible"),
    }
}
