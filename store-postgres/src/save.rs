use std::time::Duration;

use cloakroom_store_api::{Persistence, Record, Result, Saved, SessionId};
use sqlx::{
    AssertSqlSafe, PgConnection, Postgres, Row, SqlSafeStr, postgres::PgArguments, query::Query,
};

use crate::{
    config::TableName,
    lane::{self, Answers, Call, Lane},
    shared::Shared,
    sql::{self, Id, MOMENT, Statements, stamp},
};

/// Stores a new session, whose lifetime is not zero.
pub(crate) struct Create(pub(crate) Draft);

/// Replaces the live record of a revision, or says why not.
pub(crate) struct Save(pub(crate) Draft);

/// A record as the table keeps it.
pub(crate) struct Draft {
    pub(crate) id: SessionId,
    pub(crate) revision: i64,
    pub(crate) idle_ms: i64,
    pub(crate) absolute_ms: i64,
    pub(crate) persistence: i16,
    pub(crate) owner: Option<String>,
    pub(crate) payload: Vec<u8>,
}

impl Draft {
    pub(crate) fn new(record: &Record) -> Result<Self> {
        let lifetime = record.lifetime;
        Ok(Self {
            id: record.id,
            revision: record.revision.cast_signed(),
            idle_ms: millis(lifetime.idle()),
            absolute_ms: millis(lifetime.absolute()),
            persistence: match lifetime.persistence() {
                Persistence::Browser => 0,
                Persistence::Persistent => 1,
            },
            owner: record.owner.as_deref().map(Into::into),
            payload: record.encode()?,
        })
    }
}

/// A statement with all but the revisions of these drafts as its first six parameters.
pub(crate) fn about<'a>(
    sql: impl SqlSafeStr,
    drafts: &(impl Iterator<Item = &'a Draft> + Clone),
) -> Query<'a, Postgres, PgArguments> {
    fn each<'a, T>(
        drafts: &(impl Iterator<Item = &'a Draft> + Clone),
        column: impl Fn(&'a Draft) -> T,
    ) -> Vec<T> {
        drafts.clone().map(column).collect()
    }
    sqlx::query(sql)
        .bind(each(drafts, |draft| Id(draft.id)))
        .bind(each(drafts, |draft| draft.idle_ms))
        .bind(each(drafts, |draft| draft.absolute_ms))
        .bind(each(drafts, |draft| draft.persistence))
        .bind(each(drafts, |draft| draft.owner.as_deref()))
        .bind(each(drafts, |draft| &*draft.payload))
}

/// A new row is dated by when the statement began to wait for nobody; one over a dead leftover
/// after that was locked.
pub(crate) fn create_sql(table: &TableName) -> String {
    let hour = sql::hour("n.since + least(a.idle_ms, a.absolute_ms) * interval '1 millisecond'");
    let hour_again = sql::hour(
        "n.since + least(excluded.idle_ms, excluded.absolute_ms) * interval '1 millisecond'",
    );
    format!(
        "with asked as materialized (
            select a.* from unnest((select $1::uuid[]), $2::bigint[], $3::bigint[], $4::smallint[],
                $5::text[], $6::bytea[]) a(id, idle_ms, absolute_ms, persistence, owner, payload),
                (select set_config('lock_timeout', $7, true)) brief
            order by a.id
        )
        insert into {table} as s (id, revision, created_at, expires_at, sweep_hour,
            idle_ms, absolute_ms, persistence, owner, payload)
        select a.id, 1, n.since,
            n.since + least(a.idle_ms, a.absolute_ms) * interval '1 millisecond', {hour},
            a.idle_ms, a.absolute_ms, a.persistence, a.owner, a.payload
        from asked a,
            (select date_trunc('milliseconds', clock_timestamp()) as since offset 0) n
        on conflict (id) do update set
            (revision, created_at, expires_at, sweep_hour) = (
                select 1, n.since,
                    n.since
                    + least(excluded.idle_ms, excluded.absolute_ms) * interval '1 millisecond',
                    {hour_again}
                from (select date_trunc('milliseconds', clock_timestamp()) as since offset 0) n
            ),
            idle_ms = excluded.idle_ms, absolute_ms = excluded.absolute_ms,
            persistence = excluded.persistence, owner = excluded.owner, payload = excluded.payload
        where s.expires_at <= clock_timestamp()
        returning s.id, s.created_at, s.expires_at, s.created_at"
    )
}

impl Call for Create {
    type Answer = Saved;

    /// Where a commit waits for a disk, 2 made saves of 16 callers slower than one by one (0.8
    /// times, with 4 1.6 times): the server writes several commits at once.
    const AT_ONCE: usize = 4;
    const WRITES: bool = true;

    fn lane(shared: &Shared) -> &Lane<Self> {
        &shared.creates
    }

    fn id(&self) -> Option<SessionId> {
        Some(self.0.id)
    }

    fn size(&self) -> usize {
        self.0.payload.len()
    }

    async fn run(
        calls: &[&Self],
        lock: Duration,
        sql: &Statements,
        connection: &mut PgConnection,
    ) -> Answers<Saved> {
        let drafts = || calls.iter().map(|Self(draft)| draft);
        let rows = about(AssertSqlSafe(sql.create.clone()), &drafts())
            .bind(lane::timeout(lock))
            .fetch_all(connection)
            .await?;
        let answer = lane::by_id(&rows, |row| Ok(Saved::Stored(stamp(row, 1)?)))?;
        // Who is not among the rows met a live session.
        let answers = drafts().map(|draft| answer.get(&draft.id).copied());
        Ok(answers
            .map(|saved| Ok(saved.unwrap_or(Saved::Conflict)))
            .collect())
    }
}

/// A session whose new deadline has passed is ended by its save: its row is one that died when it
/// was created, until it is swept.
const DEADLINE: &str = "case when d.deadline > d.now then d.deadline else d.created_at end";

/// The saves of many callers: each row is locked, then judged, then written.
pub(crate) fn sql(table: &TableName) -> String {
    let hour = sql::hour(DEADLINE);
    format!(
        "with held as materialized (
            select a.*, t.created_at, t.expires_at, t.revision as stored from (
                select a.* from unnest((select $1::uuid[]), $2::bigint[], $3::bigint[],
                    $4::smallint[], $5::text[], $6::bytea[], $7::bigint[])
                    a(id, idle_ms, absolute_ms, persistence, owner, payload, revision),
                    (select set_config('lock_timeout', $8, true)) brief
                order by a.id
            ) a cross join lateral (
                select t.created_at, t.expires_at, t.revision
                from {table} t where t.id = a.id for no key update
            ) t
        ), {MOMENT}, decided as materialized (
            select h.*, m.now, h.expires_at > m.now as live, h.revision = h.stored as same,
                least(
                    m.since + h.idle_ms * interval '1 millisecond',
                    h.created_at + h.absolute_ms * interval '1 millisecond'
                ) as deadline
            from moment m, held h
        ), stored as (
            update {table} s set revision = d.revision + 1,
                expires_at = {DEADLINE}, sweep_hour = {hour},
                idle_ms = d.idle_ms, absolute_ms = d.absolute_ms,
                persistence = d.persistence, owner = d.owner, payload = d.payload
            from decided d
            where s.id = d.id and d.live and d.same
        )
        select d.id, d.created_at, d.deadline, d.now, d.live, d.same, d.deadline > d.now
        from decided d"
    )
}

impl Call for Save {
    type Answer = Saved;

    const AT_ONCE: usize = 4;
    const WRITES: bool = true;

    fn lane(shared: &Shared) -> &Lane<Self> {
        &shared.saves
    }

    fn id(&self) -> Option<SessionId> {
        Some(self.0.id)
    }

    fn size(&self) -> usize {
        self.0.payload.len()
    }

    async fn run(
        calls: &[&Self],
        lock: Duration,
        sql: &Statements,
        connection: &mut PgConnection,
    ) -> Answers<Saved> {
        let drafts = || calls.iter().map(|Self(draft)| draft);
        let rows = about(AssertSqlSafe(sql.save.clone()), &drafts())
            .bind(drafts().map(|draft| draft.revision).collect::<Vec<_>>())
            .bind(lane::timeout(lock))
            .fetch_all(connection)
            .await?;
        let answer = lane::by_id(&rows, |row| {
            let [live, same, lasts] = [row.try_get(4)?, row.try_get(5)?, row.try_get(6)?];
            Ok(match (live, same) {
                (true, true) if lasts => Saved::Stored(stamp(row, 1)?),
                (true, false) => Saved::Conflict,
                _ => Saved::Gone,
            })
        })?;
        let answers = drafts().map(|draft| answer.get(&draft.id).copied());
        Ok(answers
            .map(|saved| Ok(saved.unwrap_or(Saved::Gone)))
            .collect())
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use cloakroom_store_api::{Data, Lifetime, SessionToken};

    use super::*;

    #[test]
    fn a_record_weighs_at_least_its_data_in_a_statement() {
        let text = format!("{:?}", "x".repeat(1_000));
        let record = Record {
            data: Data::new(&BTreeMap::from([("text", &*text)])).unwrap(),
            ..Record::new(SessionToken::generate().unwrap().id(), Lifetime::BROWSER)
        };
        let draft = || Draft::new(&record).unwrap();
        assert!(Create(draft()).size() > 1_000);
        assert!(Save(draft()).size() > 1_000);
    }
}
