//! What stands before the payload in a record's value.
//!
//! | bytes | what |
//! | --- | --- |
//! | 0 | 1 live, 2 waits for its old record to end (a rotation in a cluster), 3 has moved away |
//! | 1 | 0 browser-length, 1 persistent |
//! | 2..10 | revision |
//! | 10..18 | nonce of the write |
//! | 18..26 | `expires_at` |
//! | 26..34 | `created_at` |
//! | 34..42 | idle timeout |
//! | 42..50 | absolute timeout |
//! | 50..52 | length of the owner, which follows |
//!
//! Numbers are big-endian, times in milliseconds. Of what has moved away there are no more than 18
//! bytes. The scripts read and write the same places.

use cloakroom_store_api::{BoxError, Persistence, Timestamp};

/// The length of a header without the owner.
pub(crate) const LENGTH: usize = 52;

/// Where the revision begins, which the nonce follows.
pub(crate) const REVISION: usize = 2;

/// Where the instants begin: what is before them a writer knows, and what comes after them.
pub(crate) const INSTANTS: usize = 18;

/// The state of what is no record any more: a note that it has moved away.
pub(crate) const MOVED: u8 = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Live = 1,
    Pending = 2,
}

/// The header of a record that is live or waits to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) state: State,
    pub(crate) persistence: Persistence,
    pub(crate) revision: u64,
    pub(crate) nonce: u64,
    pub(crate) expires_at: Timestamp,
    pub(crate) created_at: Timestamp,
    pub(crate) idle: u64,
    pub(crate) absolute: u64,
    pub(crate) owner_length: u16,
}

impl Header {
    pub(crate) fn encode(&self) -> [u8; LENGTH] {
        let Self {
            state,
            persistence,
            revision,
            nonce,
            expires_at,
            created_at,
            idle,
            absolute,
            owner_length,
        } = *self;
        let mut bytes = [0; LENGTH];
        bytes[0] = state as u8;
        bytes[1] = u8::from(persistence == Persistence::Persistent);
        let numbers = [
            revision,
            nonce,
            expires_at.as_millis().cast_unsigned(),
            created_at.as_millis().cast_unsigned(),
            idle,
            absolute,
        ];
        for (place, number) in bytes[REVISION..50].chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_be_bytes());
        }
        bytes[50..].copy_from_slice(&owner_length.to_be_bytes());
        bytes
    }

    /// Reads the header of a value, or as much of a value as has it; `None` if the record has
    /// moved away.
    pub(crate) fn decode(value: &[u8]) -> Result<Option<Self>, BoxError> {
        let state = match value.first() {
            Some(1) => State::Live,
            Some(2) => State::Pending,
            Some(&MOVED) => return Ok(None),
            Some(other) => return Err(format!("unknown state {other}").into()),
            None => return Err("an empty value".into()),
        };
        let header: &[u8; LENGTH] = value.first_chunk().ok_or("a truncated header")?;
        let persistence = match header[1] {
            0 => Persistence::Browser,
            1 => Persistence::Persistent,
            other => return Err(format!("unknown persistence {other}").into()),
        };
        let number = |at: usize| {
            let bytes = std::array::from_fn(|n| header[at + n]);
            u64::from_be_bytes(bytes)
        };
        let instant = |at| Timestamp::from_millis(number(at).cast_signed());
        Ok(Some(Self {
            state,
            persistence,
            revision: number(2),
            nonce: number(10),
            expires_at: instant(18),
            created_at: instant(26),
            idle: number(34),
            absolute: number(42),
            owner_length: u16::from_be_bytes([header[50], header[51]]),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is stored today is read for ever.
    const STORED: &[u8; LENGTH] = include_bytes!("header.bin");

    fn header() -> Header {
        Header {
            state: State::Live,
            persistence: Persistence::Persistent,
            revision: 3,
            nonce: 0x0123_4567_89ab_cdef,
            expires_at: Timestamp::from_millis(1_700_000_000_123),
            created_at: Timestamp::from_millis(1_699_990_000_456),
            idle: 1_209_600_000,
            absolute: 7_776_000_000,
            owner_length: 256,
        }
    }

    #[test]
    fn the_stored_header_is_read_and_written() {
        assert_eq!(Header::decode(STORED).unwrap(), Some(header()));
        assert_eq!(&header().encode(), STORED);
    }

    #[test]
    fn what_is_no_header_is_an_error() {
        for length in 0..LENGTH {
            Header::decode(&STORED[..length]).unwrap_err();
        }
        for (at, byte) in [(0, 0), (0, 4), (0, 255), (1, 2)] {
            let mut bytes = *STORED;
            bytes[at] = byte;
            Header::decode(&bytes).unwrap_err();
        }
        assert_eq!(Header::decode(&[3]).unwrap(), None);
    }
}
