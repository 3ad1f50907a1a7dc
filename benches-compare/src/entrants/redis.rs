//! Stores in Redis.

use std::{collections::HashMap, sync::Arc};

use actix_session::storage::{RedisSessionStore, SessionKey, SessionStore as _};
use actix_web::cookie::time::Duration;
use anyhow::{Context, Result, anyhow, ensure};
use axum_session::DatabasePool;
use axum_session_redispool::SessionRedisPool;
use redis::{AsyncCommands, SetExpiry, SetOptions, aio::MultiplexedConnection};
use redis_pool::SingleRedisPool;
use tower_sessions_redis_store::{RedisStore as Peer, fred::prelude::*};

use crate::{
    entrants::{Group, bytes, entries, ours::Ours, sessions, tower::TowerSessions14},
    measure::{Entrant, Named, SESSIONS},
};

pub async fn group(url: &str) -> Result<Group> {
    let ours = cloakroom::connect(url).await?;
    Ok(Group {
        name: "redis",
        entrants: vec![
            Named::new("cloakroom", Ours::new(ours).await?),
            Named::new(
                "tower-sessions redis",
                TowerSessions14::new(tower(url).await?).await?,
            ),
            Named::new("actix-session redis", Actix::new(url).await?),
            Named::new("axum_session redis", Axum::new(url).await?),
            Named::new("raw GET and SET", Raw::new(url).await?),
        ],
    })
}

/// As its documentation has it: a pool of six.
pub async fn tower(url: &str) -> Result<Peer<Pool>> {
    let pool = Pool::new(Config::from_url(url)?, None, None, None, 6)?;
    pool.connect();
    pool.wait_for_connect().await?;
    Ok(Peer::new(pool))
}

/// One command each, on two multiplexed connections.
struct Raw {
    connections: [MultiplexedConnection; 2],
    keys: Vec<String>,
    bytes: Vec<u8>,
}

impl Raw {
    async fn new(url: &str) -> Result<Self> {
        let client = redis::Client::open(url)?;
        let raw = Self {
            connections: [
                client.get_multiplexed_async_connection().await?,
                client.get_multiplexed_async_connection().await?,
            ],
            keys: (0..SESSIONS).map(|_| key()).collect(),
            bytes: bytes(),
        };
        for session in 0..SESSIONS {
            raw.save(session).await?;
        }
        Ok(raw)
    }

    fn connection(&self, session: usize) -> MultiplexedConnection {
        self.connections[session % 2].clone()
    }

    async fn set(&self, mut connection: MultiplexedConnection, key: &str) -> Result<()> {
        let options =
            SetOptions::default().with_expiration(SetExpiry::PX(14 * 24 * 60 * 60 * 1000));
        let () = connection.set_options(key, &self.bytes, options).await?;
        Ok(())
    }
}

fn key() -> String {
    format!("raw:{:032x}", fastrand::u128(..))
}

impl Entrant for Raw {
    async fn load(&self, session: usize) -> Result<()> {
        let bytes: Vec<u8> = self.connection(session).get(&self.keys[session]).await?;
        ensure!(!bytes.is_empty(), "it is there");
        Ok(())
    }

    async fn save(&self, session: usize) -> Result<()> {
        self.set(self.connection(session), &self.keys[session])
            .await
    }

    async fn create(&self) -> Result<()> {
        self.set(self.connection(fastrand::usize(..)), &key()).await
    }
}

struct Actix {
    store: RedisSessionStore,
    keys: Vec<SessionKeyText>,
    state: HashMap<String, String>,
}

/// Their keys cannot be cloned.
type SessionKeyText = String;

const AGE: Duration = Duration::days(14);

impl Actix {
    async fn new(url: &str) -> Result<Self> {
        let store = RedisSessionStore::new(url).await?;
        let state: HashMap<_, _> = entries()
            .into_iter()
            .map(|(key, value)| (key, value.to_string()))
            .collect();
        let keys = sessions(|| {
            let (store, state) = (store.clone(), state.clone());
            async move {
                let key = store
                    .save(state, &AGE)
                    .await
                    .map_err(|error| anyhow!("{error}"))?;
                Ok(String::from(key.as_ref()))
            }
        });
        let keys = keys.await?;
        Ok(Self { store, keys, state })
    }

    fn key(&self, session: usize) -> Result<SessionKey> {
        let key = self.keys[session].clone().try_into();
        key.map_err(|_| anyhow!("it was a key before"))
    }
}

impl Entrant for Actix {
    async fn load(&self, session: usize) -> Result<()> {
        let found = self.store.load(&self.key(session)?).await;
        let found = found.map_err(|error| anyhow!("{error}"))?;
        found.context("it is live").map(drop)
    }

    async fn save(&self, session: usize) -> Result<()> {
        let saved = self
            .store
            .update(self.key(session)?, self.state.clone(), &AGE)
            .await;
        saved.map(drop).map_err(|error| anyhow!("{error}"))
    }

    async fn create(&self) -> Result<()> {
        let saved = self.store.save(self.state.clone(), &AGE).await;
        saved.map(drop).map_err(|error| anyhow!("{error}"))
    }
}

struct Axum {
    pool: Arc<SessionRedisPool>,
    ids: Vec<String>,
    session: String,
}

const TABLE: &str = "sessions";

impl Axum {
    async fn new(url: &str) -> Result<Self> {
        let pool = SingleRedisPool::from(redis_pool::RedisPool::from(redis_peer(url)?));
        let axum = Self {
            pool: Arc::new(SessionRedisPool::from(pool)),
            ids: (0..SESSIONS).map(|_| key()).collect(),
            session: serde_json::to_string(&entries())?,
        };
        for id in &axum.ids {
            axum.store(id).await?;
        }
        Ok(axum)
    }

    async fn store(&self, id: &str) -> Result<()> {
        let expires = time::OffsetDateTime::now_utc().unix_timestamp() + 14 * 24 * 60 * 60;
        Ok(self.pool.store(id, &self.session, expires, TABLE).await?)
    }
}

/// A client of the version that the pool is made for.
fn redis_peer(url: &str) -> Result<redis::Client> {
    Ok(redis::Client::open(url)?)
}

impl Entrant for Axum {
    async fn load(&self, session: usize) -> Result<()> {
        let found = self.pool.load(&self.ids[session], TABLE).await?;
        found.context("it is live").map(drop)
    }

    async fn save(&self, session: usize) -> Result<()> {
        self.store(&self.ids[session]).await
    }

    async fn create(&self) -> Result<()> {
        self.store(&key()).await
    }
}
