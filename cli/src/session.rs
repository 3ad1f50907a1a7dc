//! One session as reports show it.

use std::{collections::BTreeMap, time::Duration};

use cloakroom_store_api::{Persistence, Record};
use humantime::format_duration;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::report::instant;

#[derive(Debug, Serialize)]
pub(crate) struct Session {
    id: String,
    owner: Option<String>,
    persistence: Persistence,
    created_at: Option<String>,
    expires_at: Option<String>,
    remaining_seconds: u64,
    idle_seconds: u64,
    absolute_seconds: u64,
    revision: u64,
    entries: usize,
    bytes: usize,
    /// Only where it is asked for: values may be private.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<BTreeMap<String, Box<RawValue>>>,
}

impl Session {
    /// What there is to know without looking at the data.
    pub(crate) fn new(record: &Record) -> Self {
        let Record {
            id,
            revision,
            lifetime,
            owner,
            data,
            stamp,
        } = record;
        Self {
            id: id.to_string(),
            owner: owner.as_ref().map(ToString::to_string),
            persistence: lifetime.persistence(),
            created_at: stamp.map(|stamp| instant(stamp.created_at)),
            expires_at: stamp.map(|stamp| instant(stamp.expires_at)),
            remaining_seconds: stamp.map_or(0, |stamp| stamp.remaining.as_secs()),
            idle_seconds: lifetime.idle().as_secs(),
            absolute_seconds: lifetime.absolute().as_secs(),
            revision: *revision,
            entries: data.len(),
            bytes: data.size(),
            data: None,
        }
    }

    /// The same, with the entries. What is not JSON is left out: no application has written it.
    pub(crate) fn of_all(record: &Record) -> Self {
        let entries = record.data.iter().filter_map(|(key, value)| {
            let value = RawValue::from_string(value.to_owned()).ok()?;
            Some((key.to_owned(), value))
        });
        Self {
            data: Some(entries.collect()),
            ..Self::new(record)
        }
    }

    /// A row of a table.
    pub(crate) fn row(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.kind().to_owned(),
            self.created_at.clone().unwrap_or_default(),
            self.expires_at.clone().unwrap_or_default(),
            duration(self.remaining_seconds),
            self.bytes.to_string(),
        ]
    }

    /// Everything, a row each.
    pub(crate) fn rows(&self) -> Vec<Vec<String>> {
        let rows = [
            ("id", self.id.clone()),
            (
                "owner",
                self.owner.clone().unwrap_or_else(|| "nobody".into()),
            ),
            ("kind", self.kind().into()),
            ("created", self.created_at.clone().unwrap_or_default()),
            ("expires", self.expires_at.clone().unwrap_or_default()),
            ("in", duration(self.remaining_seconds)),
            ("idle timeout", duration(self.idle_seconds)),
            ("absolute timeout", duration(self.absolute_seconds)),
            ("saves", self.revision.to_string()),
            (
                "entries",
                format!("{} in {} bytes", self.entries, self.bytes),
            ),
        ];
        let mut rows: Vec<_> = rows
            .into_iter()
            .map(|(name, value)| vec![name.to_owned(), value])
            .collect();
        for (key, value) in self.data.iter().flatten() {
            rows.push(vec![format!("  {}", key.escape_debug()), value.to_string()]);
        }
        rows
    }

    fn kind(&self) -> &'static str {
        match self.persistence {
            Persistence::Browser => "browser",
            Persistence::Persistent => "persistent",
        }
    }
}

fn duration(seconds: u64) -> String {
    format_duration(Duration::from_secs(seconds)).to_string()
}
