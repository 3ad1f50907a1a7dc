use std::time::Duration;

use cloakroom_store_api::{Error, Record, Result, Saved, SessionId, Timestamp};
use redis::RedisError;

use crate::{
    header::{self, Header, State},
    lane::{self, Answers, Call, Lane},
    link::{Answer, Link, Shared, Verdict},
    owners,
    scripts::SAVE,
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
