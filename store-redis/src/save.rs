use std::time::Duration;

use cloakroom_store_api::{Error, Record, Result, Saved, SessionId, Timestamp};
use redis::{RedisError, Value};

use crate::{
    error::About,
    header::{self, Header, State},
    lane::{self, Answers, Call, Lane},
    link::{Answer, Link, Shared, Verdict, stamp},
    owners,
    scripts::{SAVE, TAKE},
};

/// A record on its way to the server.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) id: SessionId,
    /// The revision that the stored record has to have.
    pub(crate) revision: u64,
    pub(crate) owner: String,
    header: Header,
    /// Header, owner and payload, with no instants yet.
    value: Vec<u8>,
}

impl Draft {
    pub(crate) fn new(record: &Record) -> Result<Self> {
        let payload = record.encode()?;
        let owner = record.owner.as_deref().unwrap_or_default();
        let header = Header {
            state: State::Live,
            persistence: record.lifetime.persistence(),
            revision: record.revision.wrapping_add(1),
            nonce: fastrand::u64(..),
            expires_at: Timestamp::from_millis(0),
            created_at: Timestamp::from_millis(0),
            idle: millis(record.lifetime.idle()),
            absolute: millis(record.lifetime.absolute()),
            owner_length: u16::try_from(owner.len()).map_err(Error::backend)?,
        };
        let mut value = Vec::with_capacity(header::LENGTH + owner.len() + payload.len());
        value.extend(header.encode());
        value.extend(owner.as_bytes());
        value.extend(payload);
        Ok(Self {
            id: record.id,
            revision: record.revision,
            owner: owner.into(),
            header,
            value,
        })
    }

    /// How long a session lives that begins now, in milliseconds.
    pub(crate) fn life(&self) -> u64 {
        self.idle().min(self.absolute())
    }

    pub(crate) fn idle(&self) -> u64 {
        self.header.idle
    }

    pub(crate) fn absolute(&self) -> u64 {
        self.header.absolute
    }

    /// What comes before the instants.
    pub(crate) fn head(&self) -> &[u8] {
        &self.value[..header::INSTANTS]
    }

    /// Revision and nonce: what tells this write from all others.
    pub(crate) fn mark(&self) -> &[u8] {
        &self.value[header::REVISION..header::INSTANTS]
    }

    /// What comes after the instants.
    pub(crate) fn tail(&self) -> &[u8] {
        &self.value[header::INSTANTS + 16..]
    }

    /// The whole value.
    pub(crate) fn value(
        mut self,
        state: State,
        created_at: Timestamp,
        expires_at: Timestamp,
    ) -> Vec<u8> {
        self.date(state, created_at, expires_at);
        self.value
    }

    fn date(&mut self, state: State, created_at: Timestamp, expires_at: Timestamp) {
        self.header = Header {
            state,
            created_at,
            expires_at,
            ..self.header
        };
        self.value[..header::LENGTH].copy_from_slice(&self.header.encode());
    }
}

/// Stores a new record, by one `SET NX`, in a script if its owner's index is on the same server. Its
/// expiry is relative: Redis needs no clock of ours to end it.
pub(crate) async fn create(link: &Link, draft: Draft) -> Result<Saved> {
    let (id, owner, absolute) = (draft.id, draft.owner.clone(), draft.absolute());
    let is_together = !owner.is_empty() && !link.is_cluster();
    if !is_together {
        owners::index(link, &owner, id, absolute).await?;
    }
    let now = link.now().await?;
    let mark = draft.mark().to_vec();
    let expires_at = now + Duration::from_millis(draft.life());
    let left = draft.life().saturating_sub(1).max(1);
    let value = draft.value(State::Live, now, expires_at);
    let is_stored = match is_together {
        true => owners::index_and_put(link, &owner, id, absolute, &value, left).await?,
        false => {
            let mut is_second = false;
            let is_stored = put(link, id, &value, &mark, left, &mut is_second).await?;
            if is_stored && is_second {
                // Who has ended it in between has taken it out.
                owners::index(link, &owner, id, absolute).await?;
            }
            is_stored
        }
    };
    Ok(match is_stored {
        true => Saved::Stored(stamp(now, expires_at, now)),
        false => Saved::Conflict,
    })
}

/// Stores a value where there is none, or no more than a note that a record has moved away, for
/// so many milliseconds; says whether it is there now, and `is_second` whether it may have ended since
/// it was first.
pub(crate) async fn put(
    link: &Link,
    id: SessionId,
    value: &[u8],
    mark: &[u8],
    left: u64,
    is_second: &mut bool,
) -> Result<bool> {
    let key = link.prefix().record(id);
    let mut set = redis::cmd("SET");
    set.arg(&key).arg(value).arg("NX").arg("PX").arg(left);
    let set = link.ask(&set, is_second).await;
    if set.map_err(|error| link.sorted(error, About::Session(id)))? != Value::Nil {
        return Ok(true);
    }
    // Taken, or this very command was sent again after its answer was lost.
    let mut get = redis::cmd("GETRANGE");
    get.arg(&key).arg(0).arg(header::INSTANTS - 1);
    let found = match link.about(id, &get).await {
        Ok(Value::BulkString(found)) => found,
        Ok(_) | Err(Error::Corrupt { .. }) => return Ok(false),
        Err(error) => return Err(error),
    };
    if found.first() != Some(&header::MOVED) {
        return Ok(found.get(header::REVISION..) == Some(mark));
    }
    let left = left.to_string();
    let taken = link
        .run(&TAKE, id, &[&key], &[value, left.as_bytes()])
        .await?;
    *is_second |= taken.is_second;
    Ok(taken.verdict == Verdict::Stored)
}

/// Replaces a live record, by a script.
pub(crate) async fn save(link: &Link, record: &Record) -> Result<Saved> {
    let save = Save::new(record, dated(link), false)?;
    let mut answer = lane::ask(link, save).await?;
    if answer.verdict == Verdict::Unindexed {
        let save = Save::new(record, dated(link), true)?;
        let Draft { owner, id, .. } = &save.draft;
        owners::index(link, owner, *id, save.draft.absolute()).await?;
        answer = lane::ask_alone(link, save).await?;
    }
    owners::unindex(link, &answer.owner, &[record.id]).await;
    Ok(match answer.verdict {
        Verdict::Stored => Saved::Stored(answer.stamp()),
        Verdict::Conflict => Saved::Conflict,
        _ => Saved::Gone,
    })
}

/// The date of a save that begins now; nothing right if it is not known.
///
/// In a cluster the script dates each: the servers' clocks may differ, and a session that was created
/// by one of them may have moved to another.
fn dated(link: &Link) -> Timestamp {
    let estimate = link.shared.clock.estimate().filter(|_| !link.is_cluster());
    estimate.unwrap_or_else(|| Timestamp::from_millis(0))
}

/// Asks for a live record to be replaced.
///
/// Its caller dates it, by what the server's clock should show, and by when the record that it knows
/// was created. The script looks at both, and dates the record itself if one is not right.
pub(crate) struct Save {
    draft: Draft,
    dated: Timestamp,
    /// Its owner's index has the session, as long as it can live now.
    is_indexed: bool,
}

impl Save {
    fn new(record: &Record, now: Timestamp, is_indexed: bool) -> Result<Self> {
        let mut draft = Draft::new(record)?;
        // Who does not know when it was created is not right.
        let created_at = record.stamp.map_or(now, |stamp| stamp.created_at.into());
        let idle_end = now + Duration::from_millis(draft.idle());
        let last = created_at + Duration::from_millis(draft.absolute());
        draft.date(State::Live, created_at, idle_end.min(last));
        Ok(Self {
            draft,
            dated: now,
            is_indexed,
        })
    }

    /// The answer of a script that has stored the record as it was dated.
    fn as_dated(&self) -> Answer {
        let Header {
            created_at,
            expires_at,
            ..
        } = self.draft.header;
        Answer::stored(created_at, expires_at, self.dated)
    }

    /// What the script is told of it, but for the value: the revision before, and numbers in decimal.
    fn terms(&self) -> Terms {
        let Draft {
            revision,
            owner,
            header,
            ..
        } = &self.draft;
        Terms {
            revision: revision.to_be_bytes(),
            last_byte: (header::LENGTH + owner.len() - 1).to_string(),
            dated: self.dated.as_millis().to_string(),
            till: (header.expires_at.as_millis() - 1).to_string(),
        }
    }
}

struct Terms {
    revision: [u8; 8],
    last_byte: String,
    dated: String,
    till: String,
}

impl Call for Save {
    type Answer = Answer;
    const MOST: usize = 32;

    fn lane(shared: &Shared) -> &Lane<Self> {
        &shared.saves
    }

    fn id(&self) -> SessionId {
        self.draft.id
    }

    fn size(&self) -> usize {
        self.draft.value.len()
    }

    async fn send(
        calls: &[&Self],
        link: &Link,
        is_second: &mut bool,
    ) -> Result<Answers<Self>, RedisError> {
        let terms: Vec<_> = calls.iter().map(|save| save.terms()).collect();
        let mut arguments: Vec<&[u8]> = Vec::with_capacity(6 * calls.len());
        for (save, terms) in calls.iter().zip(&terms) {
            arguments.extend([
                &terms.revision[..],
                &save.draft.value,
                terms.last_byte.as_bytes(),
                terms.dated.as_bytes(),
                terms.till.as_bytes(),
                if save.is_indexed { b"1" } else { b"0" },
            ]);
        }
        let mut answers = link.answers(&SAVE, calls, &arguments, is_second).await?;
        for (save, answer) in calls.iter().zip(&mut answers) {
            if let Some(Ok(answer)) = answer
                && answer.verdict == Verdict::AsDated
            {
                *answer = save.as_dated();
            }
        }
        Ok(answers)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
