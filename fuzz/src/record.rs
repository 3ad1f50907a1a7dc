use std::time::Duration;

use cloakroom_store_api::{Error, Owner, Record, SessionId, Stamp};
use time::OffsetDateTime;

/// Decoding takes bytes for what an encoder wrote, or refuses them. It never panics, and
/// allocates no more than the bytes, a copy of the owner and what describes an error.
///
/// The input is tried as it is, and as the body of a record with the right format and checksum.
pub fn record(input: &[u8]) {
    decode(input);
    let mut whole = vec![1];
    whole.extend(crc32c::crc32c(input).to_le_bytes());
    whole.extend(input);
    decode(&whole);
}

fn decode(bytes: &[u8]) {
    let (id, revision) = (SessionId::from_bytes([7; 16]), 3);
    let mut decoded = None;
    let allocated = allocation_counter::measure(|| {
        decoded = Some(Record::decode(id, revision, STAMP, bytes));
    });
    let limit = bytes.len() + Owner::LIMIT + ERROR;
    assert!(
        allocated.bytes_max <= limit as u64,
        "{} bytes for {}",
        allocated.bytes_max,
        bytes.len()
    );
    match decoded.expect("it was measured") {
        Ok(record) => again(&record, bytes),
        Err(Error::Corrupt { .. }) => {}
        Err(other) => panic!("{other:?}"),
    }
}

/// What was decoded is a record like any other: encoded again, it is the same.
fn again(record: &Record, bytes: &[u8]) {
    assert_eq!((record.id.as_bytes(), record.revision), (&[7; 16], 3));
    let mut last = None;
    for (key, value) in record.data.iter() {
        assert!(
            last < Some(key),
            "the keys are in order, and each is there once"
        );
        assert_eq!(record.data.get(key), Some(value));
        last = Some(key);
    }
    let encoded = record.encode().expect("it was encoded before");
    assert_eq!(encoded.len(), record.encoded_size().expect("as before"));
    assert!(encoded.len() <= bytes.len(), "no encoding is shorter");
    let same = Record::decode(record.id, record.revision, STAMP, encoded);
    assert_eq!(&same.expect("it has just been encoded"), record);
}

const STAMP: Stamp = Stamp {
    created_at: OffsetDateTime::UNIX_EPOCH,
    expires_at: OffsetDateTime::UNIX_EPOCH,
    remaining: Duration::ZERO,
};

/// For an error and its message.
const ERROR: usize = 1_024;
