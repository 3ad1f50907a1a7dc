use actix_session::storage::{LoadError, SaveError, SessionKey, SessionStore, UpdateError};
use cloakroom_store_api::{Error, SessionStore as Store};
use time::Duration;

use crate::{ActixSessionStore, Entries, calls::Failure};

impl<S: Store> SessionStore for ActixSessionStore<S> {
    async fn load(&self, key: &SessionKey) -> Result<Option<Entries>, LoadError> {
        self.find(key).await.map_err(|error| match error {
            Error::Corrupt { .. } => LoadError::Deserialization(error.into()),
            other => LoadError::Other(other.into()),
        })
    }

    async fn save(&self, entries: Entries, ttl: &Duration) -> Result<SessionKey, SaveError> {
        self.begin(&entries, ttl)
            .await
            .map_err(|failure| match failure {
                Failure::Store(Error::TooLarge { .. }) => SaveError::Serialization(failure.into()),
                other => SaveError::Other(other.into()),
            })
    }

    async fn update(
        &self,
        key: SessionKey,
        entries: Entries,
        ttl: &Duration,
    ) -> Result<SessionKey, UpdateError> {
        self.replace(key, &entries, ttl)
            .await
            .map_err(|failure| match failure {
                Failure::Store(Error::TooLarge { .. }) => {
                    UpdateError::Serialization(failure.into())
                }
                other => UpdateError::Other(other.into()),
            })
    }

    async fn update_ttl(&self, key: &SessionKey, ttl: &Duration) -> Result<(), anyhow::Error> {
        Ok(self.extend(key, ttl).await?)
    }

    async fn delete(&self, key: &SessionKey) -> Result<(), anyhow::Error> {
        Ok(self.end(key).await?)
    }
}
