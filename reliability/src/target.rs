//! The stores, chosen at run time.

use std::{
    env, fmt,
    num::NonZeroU32,
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use cloakroom_store_api::{
    Age, ManualClock, Record, Result, Saved, SessionId, SessionStore, Stamp, Stats, Swept,
    async_trait, conformance::Subject,
};
use cloakroom_store_memory::MemoryStore;
use cloakroom_store_postgres::{PostgresStore, TableName};
use cloakroom_store_redis::{Prefix, RedisStore};
use cloakroom_store_sled::SledStore;
use tempfile::TempDir;

use crate::broken::{Broken, BrokenStore, Flaw};

/// A kind of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// In this process's memory.
    Memory,
    /// In a folder.
    Sled,
    /// On the server of `CLOAKROOM_TEST_POSTGRES_URL`.
    Postgres,
    /// On the server of `CLOAKROOM_TEST_REDIS_URL`.
    Redis,
    /// On the servers of `CLOAKROOM_TEST_REDIS_CLUSTER_URL`.
    RedisCluster,
    /// Wrong in one way.
    Broken(Flaw),
}

impl Kind {
    /// Those that are right.
    pub const ALL: [Self; 5] = [
        Self::Memory,
        Self::Sled,
        Self::Postgres,
        Self::Redis,
        Self::RedisCluster,
    ];

    /// Whether its clock is in this process, and can be turned.
    #[must_use]
    pub const fn has_clock(self) -> bool {
        matches!(self, Self::Memory | Self::Sled | Self::Broken(_))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory",
            Self::Sled => "sled",
            Self::Postgres => "postgres",
            Self::Redis => "redis",
            Self::RedisCluster => "redis-cluster",
            Self::Broken(flaw) => return write!(f, "broken: {flaw:?}"),
        })
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|kind| kind.to_string() == text);
        found.ok_or_else(|| format!("no store is called {text}"))
    }
}

/// Opens stores of one kind.
#[derive(Debug)]
pub struct Target {
    kind: Kind,
    clock: Option<ManualClock>,
    folders: Mutex<Vec<TempDir>>,
}

impl Target {
    /// Stores of this kind, whose clock is turned by hand where it can be.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            clock: kind.has_clock().then(ManualClock::new),
            folders: Mutex::default(),
        }
    }

    /// Closes a store and opens it again with what it has kept. Memory keeps nothing, so there it
    /// stays as it is.
    pub async fn reopened(&self, [store, node]: [Node; 2]) -> [Node; 2] {
        let store = match store {
            Node::Sled(store) => {
                drop((store, node));
                let folders = self.folders();
                self.sled(folders.last().expect("a folder was opened"))
            }
            Node::Postgres(_) | Node::Redis(_) => self.node(&store).await,
            other => other,
        };
        let node = self.node(&store).await;
        [store, node]
    }

    /// The store of another process, at its [`place`](Node::place).
    ///
    /// # Panics
    ///
    /// If other processes cannot share a store of this kind.
    pub async fn at(&self, place: &str) -> Arc<Node> {
        Arc::new(match self.kind {
            Kind::Postgres => Node::Postgres(self.postgres(place.parse().expect("a table")).await),
            Kind::Redis | Kind::RedisCluster => self.redis(place.parse().expect("a prefix")).await,
            kind => panic!("{kind} is of one process"),
        })
    }

    fn sled(&self, folder: &TempDir) -> Node {
        let mut builder = SledStore::builder(folder.path());
        if let Some(clock) = &self.clock {
            builder = builder.clock(Arc::new(clock.clone()));
        }
        Node::Sled(builder.open().expect("the folder is ours"))
    }

    fn folders(&self) -> MutexGuard<'_, Vec<TempDir>> {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn postgres(&self, table: TableName) -> PostgresStore {
        let builder = PostgresStore::builder(&server("CLOAKROOM_TEST_POSTGRES_URL"));
        let store = builder.table(table).connect().await;
        store.expect("the server answers")
    }

    async fn redis(&self, prefix: Prefix) -> Node {
        let url = server(match self.kind {
            Kind::RedisCluster => "CLOAKROOM_TEST_REDIS_CLUSTER_URL",
            _ => "CLOAKROOM_TEST_REDIS_URL",
        });
        let store = RedisStore::builder(&url).prefix(prefix).connect().await;
        Node::Redis(store.expect("the server answers"))
    }
}

impl Subject for Target {
    type Store = Node;

    async fn store(&self) -> Node {
        match self.kind {
            Kind::Memory => {
                let mut builder = MemoryStore::builder();
                if let Some(clock) = &self.clock {
                    builder = builder.clock(Arc::new(clock.clone()));
                }
                Node::Memory(builder.build())
            }
            Kind::Sled => {
                let folder = TempDir::new().expect("a temporary folder can be made");
                let store = self.sled(&folder);
                self.folders().push(folder);
                store
            }
            Kind::Postgres => {
                let table = format!("test_{:032x}", fastrand::u128(..));
                let store = self.postgres(table.parse().expect("a name")).await;
                store.migrate().await.expect("the table can be made");
                Node::Postgres(store)
            }
            Kind::Redis | Kind::RedisCluster => {
                let prefix = format!("test-{:032x}:", fastrand::u128(..));
                self.redis(prefix.parse().expect("a prefix")).await
            }
            Kind::Broken(flaw) => {
                let clock = self.clock.clone().expect("it has one");
                Node::Broken(Broken::new(flaw, clock).store().await)
            }
        }
    }

    async fn node(&self, store: &Node) -> Node {
        match store {
            Node::Memory(store) => Node::Memory(store.clone()),
            Node::Sled(store) => Node::Sled(store.clone()),
            Node::Postgres(store) => Node::Postgres(self.postgres(store.table().clone()).await),
            Node::Redis(store) => self.redis(store.prefix().clone()).await,
            Node::Broken(store) => Node::Broken(Arc::clone(store)),
        }
    }

    async fn spoil(&self, store: &Node, id: SessionId) {
        match store {
            Node::Memory(store) => store.spoil(id),
            Node::Sled(store) => store.spoil(id).expect("the folder can be written"),
            Node::Postgres(store) => store.spoil(id).await.expect("the server answers"),
            Node::Redis(store) => store.spoil(id).await.expect("the server answers"),
            Node::Broken(store) => store.spoil(id),
        }
    }

    async fn due(&self, store: &Node) {
        match store {
            Node::Memory(store) => store.make_due(),
            Node::Postgres(store) => store.make_due().await.expect("the server answers"),
            Node::Sled(_) | Node::Redis(_) | Node::Broken(_) => {}
        }
    }

    fn clock(&self) -> Option<&ManualClock> {
        self.clock.as_ref()
    }

    async fn pass(&self, duration: Duration) {
        match &self.clock {
            Some(clock) => clock.advance(duration),
            None => tokio::time::sleep(duration).await,
        }
    }
}

fn server(variable: &str) -> String {
    env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} names a server; scripts/with-servers sets it"))
}

/// A store of any kind.
#[derive(Debug)]
pub enum Node {
    /// In memory.
    Memory(MemoryStore),
    /// In a folder.
    Sled(SledStore),
    /// On PostgreSQL.
    Postgres(PostgresStore),
    /// On Redis, one server or a cluster.
    Redis(RedisStore),
    /// Wrong in one way.
    Broken(Arc<BrokenStore>),
}

impl Node {
    /// Where another process finds it: a table, or a prefix.
    ///
    /// # Panics
    ///
    /// If it is of one process.
    #[must_use]
    pub fn place(&self) -> String {
        match self {
            Self::Postgres(store) => store.table().to_string().replace('"', ""),
            Self::Redis(store) => store.prefix().to_string(),
            _ => panic!("it is of one process"),
        }
    }

    fn store(&self) -> &dyn SessionStore {
        match self {
            Self::Memory(store) => store,
            Self::Sled(store) => store,
            Self::Postgres(store) => store,
            Self::Redis(store) => store,
            Self::Broken(store) => store,
        }
    }
}

#[async_trait]
impl SessionStore for Node {
    async fn load(&self, id: SessionId) -> Result<Option<Record>> {
        self.store().load(id).await
    }

    async fn save(&self, record: &Record) -> Result<Saved> {
        self.store().save(record).await
    }

    async fn touch(&self, id: SessionId, revision: u64) -> Result<Option<Stamp>> {
        self.store().touch(id, revision).await
    }

    async fn rotate(&self, old: SessionId, record: &Record, age: Age) -> Result<Saved> {
        self.store().rotate(old, record, age).await
    }

    async fn expire(&self, id: SessionId) -> Result<bool> {
        self.store().expire(id).await
    }

    async fn list(&self, owner: &str) -> Result<Vec<Record>> {
        self.store().list(owner).await
    }

    async fn expire_owner(&self, owner: &str, except: Option<SessionId>) -> Result<u64> {
        self.store().expire_owner(owner, except).await
    }

    async fn sweep(&self, limit: NonZeroU32) -> Result<Swept> {
        self.store().sweep(limit).await
    }

    async fn stats(&self) -> Result<Stats> {
        self.store().stats().await
    }

    async fn ping(&self) -> Result<()> {
        self.store().ping().await
    }
}
