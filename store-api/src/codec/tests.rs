use std::{collections::BTreeMap, time::Duration};

use super::*;
use crate::Timestamp;

/// Format 1 as it was first written. It must be read for ever.
const FIXTURE: &[u8] = include_bytes!("format-1.bin");

fn id() -> SessionId {
    SessionId::from_bytes([1; 16])
}

fn stamp() -> Stamp {
    Stamp {
        created_at: Timestamp::from_millis(1_000).into(),
        expires_at: Timestamp::from_millis(2_000).into(),
        remaining: Duration::from_millis(500),
    }
}

fn sample() -> Record {
    let entries = BTreeMap::from([("cart", "[1,2,3]"), ("größe", "\"42\""), ("visits", "7")]);
    Record {
        owner: Some("user-17".parse().unwrap()),
        data: Data::new(&entries).unwrap(),
        ..Record::new(id(), Lifetime::PERSISTENT)
    }
}

fn read(bytes: &[u8]) -> Result<Record> {
    Record::decode(id(), 3, stamp(), bytes)
}

/// Why the bytes are refused.
fn refusal(bytes: &[u8]) -> String {
    match read(bytes) {
        Err(Error::Corrupt { source, .. }) => source.to_string(),
        other => panic!("{other:?}"),
    }
}

/// Puts the right prefix before a body.
fn sealed(body: &[u8]) -> Vec<u8> {
    let checksum = crc32c::crc32c(body).to_le_bytes();
    [&[FORMAT][..], &checksum, body].concat()
}

#[test]
fn a_record_is_read_as_it_was_written() {
    for record in [sample(), Record::new(id(), Lifetime::BROWSER)] {
        let read = read(&record.encode().unwrap()).unwrap();
        let expected = Record {
            revision: 3,
            stamp: Some(stamp()),
            ..record
        };
        assert_eq!(read, expected);
    }
}

#[test]
fn the_size_is_known_before_a_record_is_encoded() {
    for record in [sample(), Record::new(id(), Lifetime::BROWSER)] {
        assert_eq!(
            record.encoded_size().unwrap(),
            record.encode().unwrap().len()
        );
    }
    let value = "v".repeat(RECORD_LIMIT);
    let record = Record {
        data: Data::new(&BTreeMap::from([("v", &*value)])).unwrap(),
        ..sample()
    };
    let (size, encoded) = (record.encoded_size(), record.encode());
    assert_eq!(format!("{size:?}"), format!("{:?}", encoded.map(drop)));
}

#[test]
fn the_fixture_of_format_1_is_read_and_written_the_same() {
    if std::env::var_os("CLOAKROOM_WRITE_FIXTURE").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/codec/format-1.bin");
        std::fs::write(path, sample().encode().unwrap()).unwrap();
    }
    let record = read(FIXTURE).unwrap();
    assert_eq!(record.data, sample().data);
    assert_eq!(record.owner, sample().owner);
    assert_eq!(record.lifetime, sample().lifetime);
    assert_eq!(sample().encode().unwrap(), FIXTURE);
}

#[test]
fn an_operator_can_read_a_value_in_the_bytes() {
    let text = String::from_utf8_lossy(FIXTURE).into_owned();
    assert!(text.contains("[1,2,3]") && text.contains("user-17"));
}

#[test]
fn every_flipped_bit_and_every_missing_byte_is_found() {
    let mut wrong = 0;
    for bit in 0..FIXTURE.len() * 8 {
        let mut bytes = FIXTURE.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        wrong += u32::from(read(&bytes).is_ok());
    }
    for length in 0..FIXTURE.len() {
        wrong += u32::from(read(&FIXTURE[..length]).is_ok());
    }
    println!(
        "bits={} cuts={} accepted={wrong}",
        FIXTURE.len() * 8,
        FIXTURE.len()
    );
    assert_eq!(wrong, 0);
}

/// All pairs of bits in records of two sizes. The checksum finds up to five flips in 655 bytes
/// (Koopman, "32-Bit Cyclic Redundancy Codes for Internet Applications", 2002).
#[test]
fn any_two_flipped_bits_are_found() {
    let long = Record {
        owner: Some("o".repeat(120).parse().unwrap()),
        ..sample()
    };
    let (mut flips, mut wrong) = (0, 0);
    for record in [sample().encode().unwrap(), long.encode().unwrap()] {
        let mut bytes = record;
        let flip = |bytes: &mut [u8], bit: usize| bytes[bit / 8] ^= 1 << (bit % 8);
        for one in 0..bytes.len() * 8 {
            flip(&mut bytes, one);
            for other in 0..one {
                flip(&mut bytes, other);
                flips += 1;
                wrong += u32::from(read(&bytes).is_ok());
                flip(&mut bytes, other);
            }
            flip(&mut bytes, one);
        }
    }
    println!("flips={flips} accepted={wrong}");
    assert!(flips >= 1_000_000);
    assert_eq!(wrong, 0);
}

#[test]
fn what_no_encoder_wrote_is_refused_whatever_its_checksum_says() {
    let body = &FIXTURE[PREFIX..];
    assert!(read(&sealed(body)).is_ok());
    assert_eq!(refusal(&sealed(&[body, b"x"].concat())), "1 trailing bytes");

    let entries_at = body.len() - sample().data.encoded().len();
    let with = |entries: &[u8]| sealed(&[&body[..entries_at], entries].concat());
    // Varint counts: one byte up to 250, then a marker (251) and two bytes.
    assert_eq!(refusal(&with(&[251, 1, 4])), "1025 entries");
    assert_eq!(
        refusal(&with(b"\x02\x01b\x01\x31\x01a\x01\x32")),
        "keys out of order"
    );
    assert_eq!(
        refusal(&with(b"\x02\x01a\x01\x31\x01a\x01\x32")),
        "keys out of order"
    );
    let long = [&[1, 251, 1, 1][..], &[b'k'; 257], b"\x01\x31"].concat();
    assert_eq!(refusal(&with(&long)), "a key of 257 bytes");
    assert!(read(&with(b"\x01\x01\xff\x01\x31")).is_err(), "not UTF-8");
    assert!(read(&with(&[])).is_err(), "no entries section");
    assert!(
        read(&with(&[253, 255, 255, 255, 255, 255, 255, 255, 255])).is_err(),
        "2^64 entries"
    );
    assert!(
        read(&with(&[1, 252, 255, 255, 255, 255])).is_err(),
        "a key of 4 GiB"
    );

    let nul_owner = sealed(b"\x00\x01\x01\x01\x01\x00\x00");
    assert_eq!(
        refusal(&nul_owner),
        "an owner is 1 to 256 bytes without NUL"
    );
    assert!(
        read(&sealed(b"\x02\x01\x01\x00\x00")).is_err(),
        "a third persistence"
    );
}

#[test]
fn a_newer_format_is_refused_not_guessed() {
    let mut bytes = FIXTURE.to_vec();
    bytes[0] = 2;
    assert_eq!(refusal(&bytes), "unknown format 2");
}

#[test]
fn a_record_over_the_limit_is_refused_both_ways() {
    let entry = |length: usize| {
        let value = "9".repeat(length);
        let data = Data::new(&BTreeMap::from([("k", &*value)])).unwrap();
        Record { data, ..sample() }
    };
    let overhead = entry(RECORD_LIMIT / 2).encode().unwrap().len() - RECORD_LIMIT / 2;
    let largest = entry(RECORD_LIMIT - overhead).encode().unwrap();
    assert_eq!(largest.len(), RECORD_LIMIT);
    assert!(read(&largest).is_ok());
    assert!(matches!(
        entry(RECORD_LIMIT - overhead + 1).encode(),
        Err(Error::TooLarge { size, .. }) if size == RECORD_LIMIT + 1
    ));
    let mut body = largest[PREFIX..].to_vec();
    body.push(0);
    assert_eq!(
        refusal(&sealed(&body)),
        format!("{} bytes", RECORD_LIMIT + 1)
    );
}
