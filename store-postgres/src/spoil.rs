//! What the conformance kit needs of a live store.

use cloakroom_store_api::SessionId;
use sqlx::{AssertSqlSafe, PgConnection};

use crate::{config::TableName, sql::Id};

/// Makes a record unreadable.
pub(crate) async fn spoil(
    connection: &mut PgConnection,
    table: &TableName,
    id: SessionId,
) -> sqlx::Result<()> {
    let sql = format!(r"update {table} set payload = '\xff' where id = $1");
    sqlx::query(AssertSqlSafe(sql))
        .bind(Id(id))
        .execute(connection)
        .await?;
    Ok(())
}

/// Makes every record one that a sweep has to look at.
pub(crate) async fn make_due(connection: &mut PgConnection, table: &TableName) -> sqlx::Result<()> {
    let sql = format!("update {table} set sweep_hour = 0");
    sqlx::query(AssertSqlSafe(sql)).execute(connection).await?;
    Ok(())
}
