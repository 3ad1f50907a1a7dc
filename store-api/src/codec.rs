//! The wire format: what a store keeps beside the columns of its own.
//!
//! One format byte, the CRC-32C of what follows (little-endian), then bincode's standard
//! encoding of [`Head`] and of the entries as a map of strings. The id, the revision and the
//! instants are not in it: a store compares and changes them without reading the rest.

use std::sync::Arc;

use bincode::{
    config::{self, Configuration, Limit, LittleEndian, Varint},
    enc::write::SizeWriter,
};
use serde::{Deserialize, Serialize};

use crate::{
    BoxError, Data, Error, Lifetime, Owner, Persistence, Record, Result, SessionId, Stamp,
};

/// The largest encoded record, in bytes: what no application can configure away.
///
/// The middleware's own limit is lower, 64 KiB unless it is set.
pub const RECORD_LIMIT: usize = 1024 * 1024;

pub(crate) const CONFIG: Configuration<LittleEndian, Varint, Limit<RECORD_LIMIT>> =
    config::standard().with_limit::<RECORD_LIMIT>();

const FORMAT: u8 = 1;

/// Format byte and checksum.
const PREFIX: usize = 5;

#[derive(Serialize, Deserialize)]
struct Head<'a> {
    persistence: Persistence,
    idle_millis: u64,
    absolute_millis: u64,
    #[serde(borrow)]
    owner: Option<&'a str>,
}

impl Record {
    /// Encodes lifetime, owner and entries for a store to keep.
    ///
    /// The id, the revision and the [`Stamp`] are not in it; a store keeps those in its own way
    /// and gives them back to [`decode`](Self::decode). It may keep a second copy of the
    /// lifetime and the owner where it needs them to judge, to index or to count.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] if it takes more than [`RECORD_LIMIT`] bytes.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let (head, entries) = (self.head(), self.data.encoded());
        let mut bytes = Vec::with_capacity(PREFIX + 24 + Owner::LIMIT.min(64) + entries.len());
        bytes.extend([FORMAT, 0, 0, 0, 0]);
        bincode::serde::encode_into_std_write(head, &mut bytes, CONFIG).map_err(Error::backend)?;
        bytes.extend(entries);
        check("bytes in a session record", bytes.len(), RECORD_LIMIT)?;
        let checksum = crc32c::crc32c(&bytes[PREFIX..]);
        bytes[1..PREFIX].copy_from_slice(&checksum.to_le_bytes());
        Ok(bytes)
    }

    /// How many bytes [`encode`](Self::encode) gives, for a store that keeps records as they are.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] if they are more than [`RECORD_LIMIT`].
    pub fn encoded_size(&self) -> Result<usize> {
        let mut head = SizeWriter::default();
        bincode::serde::encode_into_writer(self.head(), &mut head, CONFIG)
            .map_err(Error::backend)?;
        let size = PREFIX + head.bytes_written + self.data.size();
        check("bytes in a session record", size, RECORD_LIMIT)?;
        Ok(size)
    }

    fn head(&self) -> Head<'_> {
        let Self {
            id: _,
            revision: _,
            lifetime,
            owner,
            data: _,
            stamp: _,
        } = self;
        Head {
            persistence: lifetime.persistence(),
            idle_millis: millis(lifetime.idle()),
            absolute_millis: millis(lifetime.absolute()),
            owner: owner.as_deref(),
        }
    }

    /// Reads what [`encode`](Self::encode) wrote, in this version or an earlier one.
    ///
    /// The buffer is kept, and the entries stay in it. Whatever the bytes are, no more is
    /// allocated than their length and the owner.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] for an unknown format, a wrong checksum, trailing bytes, and what is
    /// over a limit.
    pub fn decode(
        id: SessionId,
        revision: u64,
        stamp: Stamp,
        bytes: impl Into<Arc<[u8]>>,
    ) -> Result<Self> {
        let (lifetime, owner, data) =
            decode(&bytes.into()).map_err(|cause| Error::corrupt(id, cause))?;
        Ok(Self {
            id,
            revision,
            lifetime,
            owner,
            data,
            stamp: Some(stamp),
        })
    }
}

fn decode(bytes: &Arc<[u8]>) -> Result<(Lifetime, Option<Owner>, Data), BoxError> {
    if bytes.len() > RECORD_LIMIT {
        return Err(format!("{} bytes", bytes.len()).into());
    }
    let (prefix, body) = bytes
        .split_first_chunk::<PREFIX>()
        .ok_or("shorter than its prefix")?;
    let [format, checksum @ ..] = *prefix;
    if format != FORMAT {
        return Err(format!("unknown format {format}").into());
    }
    if crc32c::crc32c(body) != u32::from_le_bytes(checksum) {
        return Err("wrong checksum".into());
    }
    let (head, used): (Head<'_>, _) = bincode::serde::borrow_decode_from_slice(body, CONFIG)?;
    let lifetime = Lifetime::new(
        head.persistence,
        std::time::Duration::from_millis(head.idle_millis),
        std::time::Duration::from_millis(head.absolute_millis),
    );
    let owner = head.owner.map(str::parse).transpose()?;
    let data = Data::decode(Arc::clone(bytes), PREFIX + used)?;
    Ok((lifetime, owner, data))
}

/// Refuses what is over a limit.
pub(crate) fn check(what: &'static str, size: usize, limit: usize) -> Result<()> {
    if size > limit {
        return Err(Error::TooLarge { what, size, limit });
    }
    Ok(())
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
