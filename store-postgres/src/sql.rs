//! What the statements have in common.

use std::sync::Arc;

use cloakroom_store_api::{SessionId, Stamp};
use sqlx::{
    Decode, Encode, Postgres, Row, Type,
    encode::IsNull,
    error::BoxDynError,
    postgres::{PgArgumentBuffer, PgHasArrayType, PgRow, PgTypeInfo, PgValueRef, types::Oid},
};
use time::{Duration, OffsetDateTime};

use crate::{config::TableName, expire, load, optimistic, owners, rotate, save, sweep, touch};

/// The text of every statement, for one table.
///
/// A connection prepares each the first time it sends it. Those that are sent often have their
/// arrays from `(select $1)`, which hides the number of elements: seeing it, PostgreSQL finds
/// its general plan worse than one for one element, and plans each call anew. That halved the
/// saves of a single caller, and took a third of its loads.
pub(crate) struct Statements {
    pub(crate) load: Arc<str>,
    pub(crate) load_one: Arc<str>,
    pub(crate) create: Arc<str>,
    pub(crate) save: Arc<str>,
    pub(crate) insert: Arc<str>,
    pub(crate) replace: Arc<str>,
    pub(crate) replace_one: Arc<str>,
    pub(crate) touch: Arc<str>,
    pub(crate) touch_one: Arc<str>,
    pub(crate) rotate: Arc<str>,
    pub(crate) expire: Arc<str>,
    pub(crate) list: Arc<str>,
    pub(crate) expire_owner: Arc<str>,
    pub(crate) sweep: Arc<str>,
    pub(crate) stats: Arc<str>,
    pub(crate) ping: Arc<str>,
}

impl Statements {
    pub(crate) fn new(table: &TableName) -> Self {
        Self {
            load: load::sql(table).into(),
            load_one: load::one_sql(table).into(),
            create: save::create_sql(table).into(),
            save: save::sql(table).into(),
            insert: optimistic::insert_sql(table).into(),
            replace: optimistic::replace_sql(table).into(),
            replace_one: optimistic::replace_one_sql(table).into(),
            touch: touch::sql(table).into(),
            touch_one: touch::one_sql(table).into(),
            rotate: rotate::sql(table).into(),
            expire: expire::sql(table).into(),
            list: owners::list_sql(table).into(),
            expire_owner: owners::expire_sql(table).into(),
            sweep: sweep::sql(table).into(),
            stats: sweep::stats_sql(table).into(),
            ping: format!("select from {table} limit 0").into(),
        }
    }
}

/// The rows that are asked for, locked one after the other in the order of their ids, in their
/// newest version. A lateral query, so that the table is only ever looked up by its key.
pub(crate) fn held(table: &TableName, strength: &str) -> String {
    format!(
        "held as materialized (
            select s.* from asked a cross join lateral (
                select t.id, t.revision, t.created_at, t.expires_at, t.idle_ms, t.absolute_ms
                from {table} t where t.id = a.id for {strength}
            ) s
        )"
    )
}

/// When all locks are held: `now` to judge by, `since` to date by, in whole milliseconds.
///
/// A judgement from before a lock was waited for could revive a session that a load in between
/// has shown as dead.
pub(crate) const MOMENT: &str = "moment as materialized (
        select l.now, date_trunc('milliseconds', l.now) as since
        from (select clock_timestamp() as now, count(*) as locked from held) l
        where l.locked >= 0
    )";

/// The first full hour after an instant, counted from 1970.
pub(crate) fn hour(instant: &str) -> String {
    // `extract` gives a numeric, from PostgreSQL 14 on, whose arithmetic took a tenth of a save.
    // An administrator may have set a session's deadline to `infinity`.
    format!("ceil(least(date_part('epoch', {instant}) / 3600, 2147483647))::integer")
}

/// What the store says of a session, from three neighbouring columns: when it was created,
/// when it ends, and what time it is.
pub(crate) fn stamp(row: &PgRow, first: usize) -> sqlx::Result<Stamp> {
    let [At(created_at), At(expires_at), At(now)] = [
        row.try_get(first)?,
        row.try_get(first + 1)?,
        row.try_get(first + 2)?,
    ];
    Ok(Stamp {
        created_at,
        expires_at,
        remaining: (expires_at - now).try_into().unwrap_or_default(),
    })
}

/// PostgreSQL's `timestamptz`; what is beyond the calendar of `time`, as `infinity` is, becomes its
/// end. sqlx's own way of reading it panics there.
pub(crate) struct At(pub(crate) OffsetDateTime);

impl Type<Postgres> for At {
    fn type_info() -> PgTypeInfo {
        OffsetDateTime::type_info()
    }
}

impl Decode<'_, Postgres> for At {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        // From 1970 to 2000, where PostgreSQL counts from.
        const EPOCH: i64 = 946_684_800_000_000;
        let microseconds = i64::decode(value)?.saturating_add(EPOCH);
        let since = Duration::microseconds(microseconds);
        Ok(Self(OffsetDateTime::UNIX_EPOCH.saturating_add(since)))
    }
}

/// A session id as PostgreSQL's `uuid`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Id(pub(crate) SessionId);

impl Type<Postgres> for Id {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(2950))
    }
}

impl PgHasArrayType for Id {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(2951))
    }
}

impl Encode<'_, Postgres> for Id {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }
}

impl Decode<'_, Postgres> for Id {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        let bytes: [u8; 16] = value.as_bytes()?.try_into()?;
        Ok(Self(SessionId::from_bytes(bytes)))
    }
}
