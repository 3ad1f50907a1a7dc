//! What the trees hold: keys and values, byte by byte.
//!
//! Numbers are big-endian. A record's row is a header of [`HEADER`] bytes, the owner, and what
//! `Record::encode` gave; whatever the writer judges by can be read without decoding that.

use std::{ops::RangeInclusive, time::Duration};

use cloakroom_store_api::{
    BoxError, Error, Held, Lifetime, Persistence, Record, Result, SessionId, Timestamp,
};
use sled::IVec;

use crate::cache::{Session, Touch};

const FORMAT: u8 = 1;

/// What a later version may write there. What is above it is damage.
const LATER: RangeInclusive<u8> = FORMAT + 1..=15;

/// Format, revision, created_at, expires_at, idle, absolute, persistence, length of the owner.
const HEADER: usize = 1 + 5 * 8 + 1 + 2;

/// A record as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) held: Held,
    /// Whether the deadlines tree has something under its id.
    pub(crate) is_touched: bool,
    bytes: IVec,
    payload_at: usize,
}

impl Row {
    /// Reads a row, and what touches have moved its deadline to since it was written.
    pub(crate) fn read(bytes: IVec, deadline: Option<&IVec>) -> Result<Self, BoxError> {
        let header = bytes
            .first_chunk::<HEADER>()
            .ok_or("shorter than its header")?;
        if header[0] != FORMAT {
            return Err(format!("unknown row format {}", header[0]).into());
        }
        let [revision, created_at, expires_at, idle, absolute] =
            std::array::from_fn(|n| number(&header[1 + n * 8..]));
        let persistence = match header[41] {
            0 => Persistence::Browser,
            1 => Persistence::Persistent,
            other => return Err(format!("unknown persistence {other}").into()),
        };
        let payload_at = HEADER + usize::from(u16::from_be_bytes([header[42], header[43]]));
        if bytes.len() < payload_at {
            return Err("shorter than its owner".into());
        }
        Ok(Self {
            held: Held {
                revision,
                lifetime: Lifetime::new(
                    persistence,
                    Duration::from_millis(idle),
                    Duration::from_millis(absolute),
                ),
                created_at: instant(created_at),
                expires_at: deadline
                    .and_then(|deadline| touched(deadline, revision))
                    .unwrap_or_else(|| instant(expires_at)),
            },
            is_touched: deadline.is_some(),
            bytes,
            payload_at,
        })
    }

    /// Whether a later version of the store wrote the row.
    pub(crate) fn is_later(bytes: &[u8]) -> bool {
        bytes.first().is_some_and(|format| LATER.contains(format))
    }

    pub(crate) fn owner(&self) -> &[u8] {
        &self.bytes[HEADER..self.payload_at]
    }

    pub(crate) fn record(&self, id: SessionId, now: Timestamp) -> Result<Record> {
        Record::decode(
            id,
            self.held.revision,
            self.held.stamp(now),
            &self.bytes[self.payload_at..],
        )
    }

    /// What the cache keeps of a record that was read from this row.
    pub(crate) fn session(&self, record: &Record) -> Session {
        Session {
            held: self.held,
            owner: record.owner.clone(),
            data: record.data.clone(),
            is_touched: self.is_touched,
        }
    }
}

/// A record as its caller hands it to the writer: a row whose header is still to be filled in.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) record: Record,
    bytes: IVec,
}

impl Draft {
    pub(crate) fn new(record: &Record) -> Result<Self> {
        let payload = record.encode()?;
        let owner = record.owner.as_deref().unwrap_or_default();
        let mut bytes = Vec::with_capacity(HEADER + owner.len() + payload.len());
        bytes.resize(HEADER, 0);
        bytes.extend(owner.as_bytes());
        bytes.extend(payload);
        Ok(Self {
            record: record.clone(),
            bytes: bytes.into(),
        })
    }

    pub(crate) fn owner(&self) -> &[u8] {
        self.record.owner.as_deref().unwrap_or_default().as_bytes()
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The row that the writer stores, and what the cache keeps of it.
    pub(crate) fn finish(mut self, held: Held) -> (IVec, Session) {
        let Held {
            revision,
            lifetime,
            created_at,
            expires_at,
        } = held;
        let owner_len = u16::try_from(self.owner().len()).unwrap_or(u16::MAX);
        let fields = [
            &[FORMAT][..],
            &revision.to_be_bytes(),
            &created_at.as_millis().to_be_bytes(),
            &expires_at.as_millis().to_be_bytes(),
            &millis(lifetime.idle()).to_be_bytes(),
            &millis(lifetime.absolute()).to_be_bytes(),
            &[persistence_byte(lifetime)],
            &owner_len.to_be_bytes(),
        ];
        // Nobody else has them: they are filled in where they are.
        self.bytes[..HEADER].copy_from_slice(&fields.concat());
        let session = Session {
            held,
            owner: self.record.owner,
            data: self.record.data,
            is_touched: false,
        };
        (self.bytes, session)
    }
}

/// The value of the deadlines tree: to which revision it belongs, and when it ends.
pub(crate) fn deadline(touch: &Touch) -> IVec {
    let parts = [
        touch.revision.to_be_bytes(),
        touch.expires_at.as_millis().to_be_bytes(),
    ];
    parts.as_flattened().into()
}

fn touched(deadline: &[u8], revision: u64) -> Option<Timestamp> {
    (deadline.len() == 16 && number(deadline) == revision).then(|| instant(number(&deadline[8..])))
}

/// An entry of the expiry tree: its key is an instant, then the id. Its value is the owner, to
/// clean up after the session if its row cannot be read.
#[derive(Debug)]
pub(crate) struct Expiry {
    pub(crate) id: SessionId,
    pub(crate) owner: IVec,
}

impl Expiry {
    pub(crate) fn read(key: &[u8], value: &IVec) -> Option<Self> {
        let (_, id) = key.split_first_chunk::<8>()?;
        Some(Self {
            id: SessionId::from_bytes(id.try_into().ok()?),
            owner: value.clone(),
        })
    }

    pub(crate) fn key(at: Timestamp, id: SessionId) -> Vec<u8> {
        [&Self::from(at)[..], id.as_bytes()].concat()
    }

    /// Where the entries of this instant begin.
    pub(crate) fn from(at: Timestamp) -> [u8; 8] {
        (at.as_millis().cast_unsigned() ^ SIGN).to_be_bytes()
    }
}

/// Flipped, it puts instants before 1970 first in the order of bytes.
const SIGN: u64 = 1 << 63;

/// What all keys of an owner begin with, and nobody else's: an owner has no NUL.
pub(crate) fn owner_prefix(owner: &[u8]) -> Vec<u8> {
    [owner, &[0]].concat()
}

pub(crate) fn owner_key(owner: &[u8], id: SessionId) -> Vec<u8> {
    [owner, &[0], id.as_bytes()].concat()
}

/// The id that a key ends with.
pub(crate) fn last_id(key: &[u8]) -> Option<SessionId> {
    key.last_chunk().copied().map(SessionId::from_bytes)
}

pub(crate) fn clock_value(now: Timestamp) -> Vec<u8> {
    now.as_millis().to_be_bytes().to_vec()
}

pub(crate) fn clock_answer(value: &[u8]) -> Option<Timestamp> {
    Some(instant(u64::from_be_bytes(value.try_into().ok()?)))
}

/// The error of a row that cannot be read.
pub(crate) fn corrupt(id: SessionId, cause: BoxError) -> Error {
    Error::corrupt(id, cause)
}

/// The number that at least 8 bytes begin with.
fn number(bytes: &[u8]) -> u64 {
    bytes.first_chunk().copied().map_or(0, u64::from_be_bytes)
}

fn instant(bits: u64) -> Timestamp {
    Timestamp::from_millis(bits.cast_signed())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn persistence_byte(lifetime: Lifetime) -> u8 {
    match lifetime.persistence() {
        Persistence::Browser => 0,
        Persistence::Persistent => 1,
    }
}
