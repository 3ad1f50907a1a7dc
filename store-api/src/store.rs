use std::{fmt::Debug, num::NonZeroU32, pin::Pin, sync::Arc};

use async_trait::async_trait;
use time::OffsetDateTime;

use crate::{Record, Result, SessionId, Stamp};

/// Keeps sessions.
///
/// What follows is a contract: the [conformance kit](crate::conformance) has a function for each
/// sentence, which carries its letter. What only a store itself can show, its durability (S5,
/// T3), its deadlines (A3) and its costs (O4, W4), its own tests and benchmarks show. A store has
/// no optional capabilities; it conforms or it does not.
///
/// # Liveness
///
/// A session is *live* while it is stored, was not ended, and the store's clock shows less than
/// its `expires_at`; at `now == expires_at` it is dead, on every path. The store's own clock is
/// the only judge. Callers give durations, stores give instants.
///
/// # What holds for every call
///
/// - **A1** Each call is atomic and cancel-safe: a future dropped at any await leaves the state
///   before or the state after, and everybody else's answers alone. A dropped call may still
///   take effect until its deadline.
/// - **A2** Ids that differ never touch each other's records. Two stores with different
///   prefixes, tables or folders share nothing.
/// - **A3** A call that waits for something outside the process has a deadline, 5 s unless set,
///   and then fails as [`Unavailable`](crate::Error::Unavailable), which may mean that it was
///   done. Nothing is sent again after it may have reached the server, except where the store
///   can tell its own write apart.
/// - **A4** Errors are for failing stores only.
/// - **A5** One unreadable record hurts nobody else. It loads as
///   [`Corrupt`](crate::Error::Corrupt), can be expired, and never stops a list, a sweep or
///   statistics.
///
/// # How to write one
///
/// `cloakroom-store-api` has a complete store in `examples/tiny_store.rs`, and
/// [`conformance_tests!`](crate::conformance_tests) shows whether yours conforms.
#[async_trait]
pub trait SessionStore: Debug + Send + Sync + 'static {
    /// Reads a live session.
    ///
    /// - **L1** Unknown, ended and expired ids give `None`.
    /// - **L2** It never writes, and never makes an id known.
    /// - **L3** Liveness is judged by the store's clock in the same step, swept or not.
    /// - **L4** What it returns equals what was saved, instants to the millisecond.
    ///
    /// # Errors
    ///
    /// [`Corrupt`](crate::Error::Corrupt) if the record cannot be read, and those of a failing
    /// store.
    async fn load(&self, id: SessionId) -> Result<Option<Record>>;

    /// Replaces a live record, or stores a new one.
    ///
    /// - **S1** Revision 0 inserts: [`Stored`](Saved::Stored) if no live record has the id (a
    ///   dead leftover is replaced), else [`Conflict`](Saved::Conflict). Its `created_at` is
    ///   now.
    /// - **S2** Revision n > 0 replaces the live record of that id whose revision is n; the
    ///   stored revision is then n + 1. A live record with another revision gives `Conflict`;
    ///   no live record gives [`Gone`](Saved::Gone). So a session that has ended or expired
    ///   never comes back, whatever was in flight.
    /// - **S3** `expires_at` becomes the earlier of now + idle and `created_at` + absolute, by
    ///   the record's own lifetime; `created_at` never moves. If that is not after now, also at
    ///   create, nothing is stored, the session is ended and the answer is `Gone`.
    /// - **S4** It is one atomic step.
    /// - **S5** `Stored` means durable as the store documents it.
    ///
    /// # Errors
    ///
    /// [`TooLarge`](crate::Error::TooLarge) over [`RECORD_LIMIT`](crate::RECORD_LIMIT), and
    /// those of a failing store: nothing was stored then, or all of it.
    async fn save(&self, record: &Record) -> Result<Saved>;

    /// Moves `expires_at` later without rewriting the data.
    ///
    /// - **T1** The deadline becomes what a save now would make it (S3), but never earlier than
    ///   it was, if a live record has the id **and** revision. `None` if there is none, which
    ///   may mean only that another save was first: it is no sign-out.
    /// - **T2** It never revives, never passes the absolute timeout, and never changes data,
    ///   lifetime or revision.
    /// - **T3** It need not be durable: a crash may take back the last touches, never a save or
    ///   an end.
    ///
    /// The revision is asked for so that a late touch cannot stretch a session that has just
    /// been made browser-length.
    ///
    /// # Errors
    ///
    /// Those of a failing store.
    async fn touch(&self, id: SessionId, revision: u64) -> Result<Option<Stamp>>;

    /// Gives a live session a new id and a new record.
    ///
    /// - **R1** As a [`save`](Self::save) of `record` with revision n, but the record moves
    ///   from `old` to `record.id` in one step: afterwards `old` is dead and `record.id` is
    ///   live, or nothing happened.
    /// - **R2** [`Conflict`](Saved::Conflict) if `old` is live at another revision, if anything
    ///   live has the new id (a dead leftover may be replaced or count as taken), or if the two
    ///   ids are equal; [`Gone`](Saved::Gone) if `old` is not live or the revision is 0. Of two
    ///   rotations at once one wins.
    /// - **R3** Data, owner and lifetime come from `record`; `created_at` as [`Age`] says.
    ///
    /// # Errors
    ///
    /// As [`save`](Self::save).
    async fn rotate(&self, old: SessionId, record: &Record, age: Age) -> Result<Saved>;

    /// Ends a session; says whether it was live.
    ///
    /// - **E1** It is idempotent.
    /// - **E2** After it returned, no load on any node shows the session, and no touch, no
    ///   rotate and no save of revision > 0 revives it.
    ///
    /// # Errors
    ///
    /// Those of a failing store: the session may be live or not.
    async fn expire(&self, id: SessionId) -> Result<bool>;

    /// Reads all live sessions of an owner.
    ///
    /// - **O1** Exactly those, newest first; unreadable ones are left out.
    /// - **O4** Its cost grows with the owner's sessions, not with the store's.
    ///
    /// # Errors
    ///
    /// Those of a failing store.
    async fn list(&self, owner: &str) -> Result<Vec<Record>>;

    /// Ends all live sessions of an owner but one; says how many.
    ///
    /// - **O2** None of them that was created before the call survives it, on any node.
    /// - **O3** What is an owner's follows save (set, changed, removed), rotate, expire,
    ///   expiry and sweep; nothing leaks.
    ///
    /// # Errors
    ///
    /// Those of a failing store: some may have been ended.
    async fn expire_owner(&self, owner: &str, except: Option<SessionId>) -> Result<u64>;

    /// Deletes what is dead.
    ///
    /// - **W1** Removes only dead records, at most `limit` in one bounded step;
    ///   [`more`](Swept::more) says whether it pays to call again. What died within the last
    ///   hour, or what expires by itself, a store may leave. Repeated calls come to
    ///   `more = false`.
    /// - **W2** A session that was touched, saved or created anew in the meantime is not
    ///   removed.
    /// - **W3** Any number of sweepers at once neither block nor double-count.
    /// - **W4** Its cost grows with what is removed.
    ///
    /// # Errors
    ///
    /// Those of a failing store: some dead records may have been removed.
    async fn sweep(&self, limit: NonZeroU32) -> Result<Swept>;

    /// Counts what is stored. Its cost may grow with the store.
    ///
    /// # Errors
    ///
    /// Those of a failing store.
    async fn stats(&self) -> Result<Stats>;

    /// Asks whether the store can serve.
    ///
    /// # Errors
    ///
    /// Those of a failing store.
    async fn ping(&self) -> Result<()>;
}

/// What became of a save.
#[must_use = "a conflict means that nothing was stored"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saved {
    /// The record is stored; its revision is now one higher.
    Stored(Stamp),
    /// Another revision is stored, or the new id is taken. Load, apply the changes again, save.
    Conflict,
    /// The session has ended. Nothing brings it back.
    Gone,
}

/// How old a session is after a rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// As old as before.
    Keep,
    /// Created now: re-authentication begins a new absolute timeout.
    Restart,
}

/// What one step of a sweep has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swept {
    /// How many dead records this step removed.
    pub removed: u64,
    /// Whether it pays to call again at once.
    pub more: bool,
}

/// What is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Live sessions that die with the browser.
    pub browser: u64,
    /// Live sessions with a cookie age.
    pub persistent: u64,
    /// Dead records that are not swept yet.
    pub expired: u64,
    /// The earliest deadline of all that is stored, dead or alive.
    pub oldest_expiry: Option<OffsetDateTime>,
}

/// Writes by hand what `async_trait` makes of these methods, but that the future is the inner
/// store's own, and not one box more around it.
macro_rules! forward {
    ($($name:ident $(<$life:lifetime>)? ($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {$(
        fn $name<'s, $($life,)? 'f>(
            &'s self,
            $($argument: $type,)*
        ) -> Pin<Box<dyn Future<Output = Result<$answer>> + Send + 'f>>
        where
            's: 'f,
            $($life: 'f,)?
            Self: 'f,
        {
            (**self).$name($($argument),*)
        }
    )*};
}

macro_rules! delegate {
    ($($pointer:ident),*) => {$(
        impl<S: SessionStore + ?Sized> SessionStore for $pointer<S> {
            forward! {
                load(id: SessionId) -> Option<Record>;
                save<'r>(record: &'r Record) -> Saved;
                touch(id: SessionId, revision: u64) -> Option<Stamp>;
                rotate<'r>(old: SessionId, record: &'r Record, age: Age) -> Saved;
                expire(id: SessionId) -> bool;
                list<'r>(owner: &'r str) -> Vec<Record>;
                expire_owner<'r>(owner: &'r str, except: Option<SessionId>) -> u64;
                sweep(limit: NonZeroU32) -> Swept;
                stats() -> Stats;
                ping() -> ();
            }
        }
    )*};
}

delegate!(Arc, Box);
