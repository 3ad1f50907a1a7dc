//! tower-sessions' stores, in the two versions of its trait.

macro_rules! tower_entrant {
    ($name:ident, $core:ident, $record:ident) => {
        pub struct $name<S> {
            store: S,
            records: Vec<$core::session::Record>,
        }

        impl<S: $core::SessionStore + Clone> $name<S> {
            pub async fn new(store: S) -> anyhow::Result<Self> {
                let records = crate::entrants::sessions(|| {
                    let store = store.clone();
                    async move {
                        let mut record = $record();
                        store.create(&mut record).await?;
                        Ok(record)
                    }
                });
                let records = records.await?;
                Ok(Self { store, records })
            }

            /// Stores so many sessions.
            pub async fn fill(store: &S, sessions: usize) -> anyhow::Result<()> {
                let tasks: Vec<_> = (0..64)
                    .map(|part| {
                        let store = store.clone();
                        tokio::spawn(async move {
                            for _ in (part..sessions).step_by(64) {
                                store.create(&mut $record()).await?;
                            }
                            anyhow::Ok(())
                        })
                    })
                    .collect();
                for task in tasks {
                    task.await??;
                }
                Ok(())
            }
        }

        /// A session that was never stored.
        pub fn $record() -> $core::session::Record {
            $core::session::Record {
                id: Default::default(),
                data: crate::entrants::entries(),
                expiry_date: time::OffsetDateTime::now_utc() + time::Duration::days(14),
            }
        }

        impl<S: $core::SessionStore + Clone> crate::measure::Entrant for $name<S> {
            async fn load(&self, session: usize) -> anyhow::Result<()> {
                let found = self.store.load(&self.records[session].id).await?;
                anyhow::ensure!(found.is_some(), "it is live");
                Ok(())
            }

            async fn save(&self, session: usize) -> anyhow::Result<()> {
                Ok(self.store.save(&self.records[session]).await?)
            }

            async fn create(&self) -> anyhow::Result<()> {
                Ok(self.store.create(&mut $record()).await?)
            }
        }
    };
}

use tower_sessions as newest;

tower_entrant!(TowerSessions, newest, record);
tower_entrant!(TowerSessions14, tower_sessions_core, record14);
