#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod clear;
mod clock;
mod config;
mod connections;
mod create;
mod error;
mod header;
mod lane;
mod link;
mod load;
mod owners;
mod ping;
mod prefix;
mod rotate;
mod save;
mod scan;
mod scripts;
mod stats;
mod touch;
mod url;

use std::{fmt, num::NonZeroU32, sync::Arc};

use cloakroom_store_api::{
    Age, Error, Owner, Record, Result, Saved, SessionId, SessionStore, Stamp, Stats, Swept,
    async_trait,
};

use crate::{
    link::{Link, Shared},
    save::Draft,
};

pub use crate::{
    config::RedisStoreBuilder,
    prefix::{ParsePrefixError, Prefix},
};

/// Keeps sessions in Redis.
///
/// Clones are the same store. Its calls need a Tokio runtime with I/O and time enabled, and its
/// connections live in the runtime of the call that opened them.
#[derive(Clone)]
pub struct RedisStore(Arc<Shared>);

impl RedisStore {
    /// Connects to a server, or to the servers of a cluster.
    ///
    /// | URL | what it names |
    /// | --- | --- |
    /// | `redis://USER:PASSWORD@HOST:PORT/DATABASE` | one server |
    /// | `rediss://…` | one server, over TLS with the system's certificates |
    /// | `unix:///PATH?db=DATABASE&user=USER&pass=PASSWORD` | one server, by its socket; also `redis+unix:` |
    /// | `redis+sentinel://USER:PASSWORD@HOST:PORT,HOST:PORT/MASTER/DATABASE` | the master that these Sentinels know by that name; the user is the master's |
    /// | `redis+cluster://USER:PASSWORD@HOST:PORT,HOST:PORT` | a cluster that these nodes are of |
    ///
    /// User, password, ports (6379, of a Sentinel 26379) and database (0) can be left out.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] if there is no server, or it does not answer in time.
    /// [`Error::Backend`] if the URL cannot be read, or the server does not let the user in. No
    /// error shows the password.
    ///
    /// # Example
    ///
    /// ```no_run
    /// use cloakroom_store_redis::RedisStore;
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let store = RedisStore::connect("redis://localhost").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn connect(url: &str) -> Result<Self> {
        Self::builder(url).connect().await
    }

    /// Settings for a store; the URL as [`connect`](Self::connect) has it.
    ///
    /// # Example
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use cloakroom_store_redis::RedisStore;
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let store = RedisStore::builder("redis://localhost/1")
    ///     .prefix("shop:".parse()?)
    ///     .deadline(Duration::from_secs(2))
    ///     .connect()
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder(url: &str) -> RedisStoreBuilder {
        RedisStoreBuilder::new(url)
    }

    /// A store whose connections a client opens, at the first call, with the default settings;
    /// for others, and for the client of a cluster, use [`RedisStoreBuilder::from`].
    #[must_use]
    pub fn new(client: redis::Client) -> Self {
        config::lazy(client)
    }

    /// What the keys of this store begin with.
    #[must_use]
    pub fn prefix(&self) -> &Prefix {
        &self.0.prefix
    }

    /// Removes all sessions of this prefix, live or not, and all that belongs to them.
    ///
    /// Sessions that are stored meanwhile may stay. It looks at every key of the server.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] and [`Error::Backend`] as for any call. Some are removed then.
    pub async fn clear(&self) -> Result<()> {
        clear::clear(&self.0).await
    }

    /// Makes a record unreadable, for the conformance kit.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] and [`Error::Backend`] as for any call.
    #[cfg(feature = "conformance")]
    #[doc(hidden)]
    pub async fn spoil(&self, id: SessionId) -> Result<()> {
        let link = self.link();
        let mut write = redis::cmd("SETRANGE");
        write.arg(link.prefix().record(id));
        write.arg(header::LENGTH + 8).arg("spoiled");
        link.about(id, &write).await.map(drop)
    }

    fn link(&self) -> Link {
        Link::new(&self.0)
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("prefix", &self.0.prefix)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl SessionStore for RedisStore {
    async fn load(&self, id: SessionId) -> Result<Option<Record>> {
        load::load(&self.link(), id).await
    }

    async fn save(&self, record: &Record) -> Result<Saved> {
        if record.revision > 0 {
            return save::save(&self.link(), record).await;
        }
        let draft = Draft::new(record)?;
        if draft.life() > 0 {
            return create::create(&self.link(), draft).await;
        }
        // It would end when it begins: nothing is stored.
        match self.load(record.id).await {
            Ok(None) => Ok(Saved::Gone),
            Ok(Some(_)) | Err(Error::Corrupt { .. }) => Ok(Saved::Conflict),
            Err(error) => Err(error),
        }
    }

    async fn touch(&self, id: SessionId, revision: u64) -> Result<Option<Stamp>> {
        touch::touch(&self.link(), id, revision).await
    }

    async fn rotate(&self, old: SessionId, record: &Record, age: Age) -> Result<Saved> {
        rotate::rotate(&self.link(), old, Draft::new(record)?, age).await
    }

    /// Ends a session; says whether it was live.
    ///
    /// An end whose answer was lost with its connection is sent again, and may then say `false`
    /// of a session that it has ended itself.
    async fn expire(&self, id: SessionId) -> Result<bool> {
        owners::expire(&self.link(), id).await
    }

    async fn list(&self, owner: &str) -> Result<Vec<Record>> {
        match owner.parse::<Owner>() {
            Ok(owner) => owners::list(&self.link(), &owner).await,
            Err(_) => Ok(Vec::new()),
        }
    }

    async fn expire_owner(&self, owner: &str, except: Option<SessionId>) -> Result<u64> {
        match owner.parse::<Owner>() {
            Ok(owner) => owners::expire_all(&self.link(), &owner, except).await,
            Err(_) => Ok(0),
        }
    }

    /// Does nothing: Redis removes by itself what has expired.
    async fn sweep(&self, _: NonZeroU32) -> Result<Swept> {
        Ok(Swept {
            removed: 0,
            more: false,
        })
    }

    /// Counts what is stored. It scans all keys of the database, whatever they belong to, and
    /// has the deadline for each page of them.
    async fn stats(&self) -> Result<Stats> {
        stats::stats(&self.0).await
    }

    /// Asks whether the server answers. Once in a while it also reads its eviction policy, and
    /// warns by `tracing` unless that is `noeviction`: any other ends sessions early.
    async fn ping(&self) -> Result<()> {
        ping::ping(&self.link()).await
    }
}
