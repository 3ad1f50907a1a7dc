use std::sync::Arc;

use cloakroom::{ConnectError, store::SessionStore};

/// Opens the store that a URL names. In PostgreSQL it makes the table if there is none; where
/// the program's role may not, `cloakroom migrate` does it beforehand.
pub(crate) async fn open(url: &str) -> Result<Arc<dyn SessionStore>, ConnectError> {
    #[cfg(feature = "postgres")]
    if matches!(url.split_once("://"), Some(("postgres" | "postgresql", _))) {
        let store = cloakroom::PostgresStore::connect(url)
            .await
            .map_err(ConnectError::Store)?;
        store.migrate().await.map_err(ConnectError::Store)?;
        return Ok(Arc::new(store));
    }
    cloakroom::connect(url).await
}
