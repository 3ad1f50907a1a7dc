//! Sessions as applications have them.

use std::collections::BTreeMap;

use cloakroom::store::{Data, Lifetime, Record, SessionToken};

/// How much an application keeps in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// About 300 bytes in five entries.
    Small,
    /// 8 KiB in five entries.
    Large,
}

impl Size {
    /// As it stands in the reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Small => "300 B",
            Self::Large => "8 KiB",
        }
    }

    /// The entries, as JSON texts by key.
    #[must_use]
    pub fn entries(self) -> BTreeMap<&'static str, String> {
        let items = match self {
            Self::Small => 12,
            Self::Large => 1_005,
        };
        BTreeMap::from([
            ("cart", format!("[{}0]", "1234567,".repeat(items))),
            ("csrf", "\"Yk3yXpC0w3nRZbq7Lr0vJt5mWd8sHf2u\"".into()),
            ("locale", "\"en-GB\"".into()),
            (
                "seen",
                "{\"at\":1795392000,\"path\":\"/orders/4711\"}".into(),
            ),
            ("theme", "\"dark\"".into()),
        ])
    }

    /// A session that was never stored, of this owner.
    ///
    /// # Panics
    ///
    /// If the operating system gives no random bytes.
    #[must_use]
    pub fn record(self, owner: &str) -> Record {
        let entries = self.entries();
        let entries = entries.iter().map(|(key, value)| (*key, value.as_str()));
        Record {
            owner: Some(owner.parse().expect("it is short")),
            data: Data::new(&entries.collect()).expect("it is small"),
            ..Record::new(
                SessionToken::generate().expect("random bytes").id(),
                Lifetime::PERSISTENT,
            )
        }
    }

    /// Sessions that were never stored, five to an owner whom nobody else has.
    #[must_use]
    pub fn records(self, count: usize) -> Vec<Record> {
        let group = fastrand::u64(..);
        (0..count)
            .map(|number| self.record(&format!("{group:016x}-{}", number / 5)))
            .collect()
    }
}
