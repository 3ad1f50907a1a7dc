use async_trait::async_trait;
use cloakroom_store_api::SessionStore;

use crate::{TowerSessionsStore, failure::Failure};

macro_rules! implement {
    ($core:ident) => {
        #[async_trait]
        impl<S: SessionStore> $core::SessionStore for TowerSessionsStore<S> {
            async fn create(
                &self,
                record: &mut $core::session::Record,
            ) -> $core::session_store::Result<()> {
                // Never the id that came: a flushed session that is used again still has the one
                // that was ended, and to store it anew would bring that one back.
                record.id = $core::session::Id::default();
                let $core::session::Record {
                    id,
                    data,
                    expiry_date,
                } = &*record;
                Ok(self.begin(id.0, data, *expiry_date).await?)
            }

            async fn save(
                &self,
                record: &$core::session::Record,
            ) -> $core::session_store::Result<()> {
                let $core::session::Record {
                    id,
                    data,
                    expiry_date,
                } = record;
                Ok(self.replace(id.0, data, *expiry_date).await?)
            }

            async fn load(
                &self,
                id: &$core::session::Id,
            ) -> $core::session_store::Result<Option<$core::session::Record>> {
                let found = self.find(id.0).await?;
                Ok(found.map(|(data, expiry_date)| $core::session::Record {
                    id: *id,
                    data,
                    expiry_date,
                }))
            }

            async fn delete(&self, id: &$core::session::Id) -> $core::session_store::Result<()> {
                Ok(self.end(id.0).await?)
            }
        }

        #[async_trait]
        impl<S: SessionStore> $core::ExpiredDeletion for TowerSessionsStore<S> {
            async fn delete_expired(&self) -> $core::session_store::Result<()> {
                Ok(self.sweep().await?)
            }
        }

        impl From<Failure> for $core::session_store::Error {
            fn from(failure: Failure) -> Self {
                match failure {
                    Failure::Encode(text) => Self::Encode(text),
                    Failure::Decode(text) => Self::Decode(text),
                    Failure::Backend(text) => Self::Backend(text),
                }
            }
        }
    };
}

implement!(tower_sessions_core);
#[cfg(feature = "v0_14")]
implement!(tower_sessions_core_0_14);
