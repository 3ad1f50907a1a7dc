use std::{borrow::Cow, collections::BTreeMap, fmt, sync::Arc};

use crate::{Result, session::state::Entry, store::Data};

/// What a request did to the entries of its session, to be applied to whatever they are by then
/// (M4).
#[derive(Clone, Debug, Default)]
pub(crate) struct Changes {
    /// Everything else was removed first.
    cleared: bool,
    by_key: BTreeMap<String, Change>,
}

#[derive(Clone)]
enum Change {
    Set(String),
    Remove,
    Update(Updates),
}

/// The updates of a value, in order.
#[derive(Clone)]
struct Updates {
    /// The value that this request has seen before them, and what they made of it.
    before: Entry,
    after: String,
    all: Vec<Update>,
}

/// Makes a new JSON text from another one than this request has seen, after a conflict.
pub(crate) type Update = Arc<dyn Fn(Option<&str>) -> Result<String> + Send + Sync>;

impl Changes {
    pub(crate) fn is_empty(&self) -> bool {
        !self.cleared && self.by_key.is_empty()
    }

    pub(crate) fn set(&mut self, key: &str, json: String) {
        self.by_key.insert(key.to_owned(), Change::Set(json));
    }

    pub(crate) fn remove(&mut self, key: &str) {
        self.by_key.insert(key.to_owned(), Change::Remove);
    }

    pub(crate) fn clear(&mut self) {
        self.cleared = true;
        self.by_key.clear();
    }

    /// Records an update of the value as this request sees it.
    pub(crate) fn update(&mut self, key: &str, update: Update, before: Entry, after: String) {
        match self.by_key.get_mut(key) {
            Some(Change::Update(updates)) => {
                updates.all.push(update);
                updates.after = after;
            }
            Some(known) => *known = Change::Set(after),
            None if self.cleared => self.set(key, after),
            None => {
                let all = vec![update];
                let first = Change::Update(Updates { before, after, all });
                self.by_key.insert(key.to_owned(), first);
            }
        }
    }

    /// The value after these changes, if they say anything of it.
    pub(crate) fn get(&self, key: &str) -> Option<Option<&str>> {
        match self.by_key.get(key) {
            Some(Change::Set(json) | Change::Update(Updates { after: json, .. })) => {
                Some(Some(json))
            }
            Some(Change::Remove) => Some(None),
            None => self.cleared.then_some(None),
        }
    }

    /// The keys after these changes to a session that has those of `before`.
    pub(crate) fn keys(&self, before: impl IntoIterator<Item = String>) -> Vec<String> {
        let kept = before
            .into_iter()
            .filter(|key| !self.cleared && !self.by_key.contains_key(key));
        let there = self
            .by_key
            .iter()
            .filter(|(_, change)| !matches!(change, Change::Remove));
        let mut keys: Vec<_> = kept.chain(there.map(|(key, _)| key.clone())).collect();
        keys.sort_unstable();
        keys
    }

    /// Applies the changes to the newest entries.
    pub(crate) fn apply(&self, newest: &Data) -> Result<Data> {
        let newest = match self.cleared {
            true => &Data::default(),
            false => newest,
        };
        let mut after = Vec::with_capacity(self.by_key.len());
        for (key, change) in &self.by_key {
            after.push((&**key, change.apply(key, newest)?));
        }
        Ok(newest.changed(after.iter().map(|(key, value)| (*key, value.as_deref())))?)
    }

    /// These changes and then those, as one.
    pub(crate) fn then(mut self, later: Self) -> Self {
        if later.cleared {
            return later;
        }
        for (key, change) in later.by_key {
            match (self.by_key.get_mut(&key), change) {
                (Some(Change::Update(updates)), Change::Update(more)) => {
                    updates.all.extend(more.all);
                    updates.after = more.after;
                }
                // The later update saw what the earlier change says, which cannot differ.
                (Some(known), Change::Update(more)) => *known = Change::Set(more.after),
                (None, Change::Update(more)) if self.cleared => self.set(&key, more.after),
                (_, change) => drop(self.by_key.insert(key, change)),
            }
        }
        self
    }
}

impl Change {
    fn apply<'a>(&'a self, key: &str, newest: &'a Data) -> Result<Option<Cow<'a, str>>> {
        match self {
            Self::Set(json) => Ok(Some(json.into())),
            Self::Remove => Ok(None),
            Self::Update(updates) => updates.apply(key, newest.get(key)).map(Some),
        }
    }
}

impl Updates {
    fn apply<'a>(&'a self, key: &str, newest: Option<&str>) -> Result<Cow<'a, str>> {
        if newest == self.before.json(key) {
            return Ok((&*self.after).into());
        }
        let mut value = None;
        for update in &self.all {
            value = Some(update(value.as_deref().or(newest))?);
        }
        Ok(value.unwrap_or_default().into())
    }
}

impl fmt::Debug for Change {
    /// Values may be private.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Set(_) => "Set",
            Self::Remove => "Remove",
            Self::Update(..) => "Update",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use super::*;

    fn data(entries: &[(&str, &str)]) -> Data {
        Data::new(&entries.iter().copied().collect()).unwrap()
    }

    fn appended(suffix: &'static str) -> Update {
        Arc::new(move |before| Ok(format!("{}{suffix}", before.unwrap_or_default())))
    }

    fn seen(json: &str) -> Entry {
        Entry::Changed(Some(json.into()))
    }

    #[test]
    fn only_changes_are_applied_to_the_newest_entries() {
        let mut changes = Changes::default();
        changes.set("a", "1".into());
        changes.remove("b");
        changes.update("c", appended("x"), seen("8"), "8x".into());
        let newest = data(&[("a", "9"), ("b", "9"), ("c", "9"), ("d", "9")]);
        let merged = data(&[("a", "1"), ("c", "9x"), ("d", "9")]);
        assert_eq!(changes.apply(&newest).unwrap(), merged);
        assert_eq!(changes.get("a"), Some(Some("1")));
        assert_eq!(changes.get("b"), Some(None));
        assert_eq!(changes.get("c"), Some(Some("8x")));
        assert_eq!(changes.get("d"), None);
    }

    #[test]
    fn an_update_of_a_known_value_is_that_value() {
        let mut changes = Changes::default();
        changes.set("a", "1".into());
        changes.update("a", appended("x"), seen("1"), "1x".into());
        assert_eq!(
            changes.apply(&data(&[("a", "9")])).unwrap(),
            data(&[("a", "1x")])
        );
        changes.clear();
        changes.update("b", appended("y"), Entry::Changed(None), "y".into());
        let newest = data(&[("a", "9"), ("b", "9")]);
        assert_eq!(changes.apply(&newest).unwrap(), data(&[("b", "y")]));
    }

    #[test]
    fn an_update_runs_again_only_on_another_value_than_was_seen() {
        let runs = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&runs);
        let update: Update = Arc::new(move |_| Ok(counted.fetch_add(1, Relaxed).to_string()));
        let mut changes = Changes::default();
        changes.update("a", Arc::clone(&update), seen("9"), "seen".into());
        let mut later = Changes::default();
        later.update("a", update, seen("seen"), "seen again".into());
        let both = changes.then(later);
        assert_eq!(
            both.apply(&data(&[("a", "9")])).unwrap(),
            data(&[("a", "seen again")])
        );
        assert_eq!(runs.load(Relaxed), 0);
        for other in [data(&[("a", "8")]), data(&[])] {
            both.apply(&other).unwrap();
        }
        assert_eq!(runs.load(Relaxed), 4);
    }

    #[test]
    fn changes_and_later_ones_are_all_of_them_in_order() {
        let newest = data(&[("a", "0"), ("b", "0"), ("c", "0"), ("d", "0")]);
        let mut first = Changes::default();
        first.set("a", "1".into());
        first.update("b", appended("x"), seen("9"), "9x".into());
        first.set("d", "1".into());
        let mut second = Changes::default();
        second.update("a", appended("y"), seen("1"), "1y".into());
        second.update("b", appended("y"), seen("9x"), "9xy".into());
        second.update("c", appended("y"), seen("9"), "9y".into());
        second.remove("d");
        let both = first.clone().then(second.clone());
        let in_turn = second.apply(&first.apply(&newest).unwrap()).unwrap();
        assert_eq!(both.apply(&newest).unwrap(), in_turn);
        let mut cleared = Changes::default();
        cleared.clear();
        cleared.set("e", "1".into());
        assert_eq!(
            first.clone().then(cleared).apply(&newest).unwrap(),
            data(&[("e", "1")])
        );
    }
}
