use std::{borrow::Cow, collections::BTreeMap, fmt, sync::Arc};

use crate::{Result, store::Data};

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
    /// The updates, in order, and what they made of the value that this request has seen.
    Update(Vec<Update>, String),
}

/// Makes a new JSON text from the one that is there. Runs again after a conflict.
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

    /// Records an update that made `seen` of the value as this request sees it.
    pub(crate) fn update(&mut self, key: &str, update: Update, seen: String) {
        match self.by_key.get_mut(key) {
            Some(Change::Update(updates, last)) => {
                updates.push(update);
                *last = seen;
            }
            Some(known) => *known = Change::Set(seen),
            None if self.cleared => self.set(key, seen),
            None => {
                let first = Change::Update(vec![update], seen);
                self.by_key.insert(key.to_owned(), first);
            }
        }
    }

    /// The value after these changes, if they say anything of it.
    pub(crate) fn get(&self, key: &str) -> Option<Option<&str>> {
        match self.by_key.get(key) {
            Some(Change::Set(json) | Change::Update(_, json)) => Some(Some(json)),
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
                (Some(Change::Update(updates, last)), Change::Update(more, seen)) => {
                    updates.extend(more);
                    *last = seen;
                }
                // The later update saw what the earlier change says, which cannot differ.
                (Some(known), Change::Update(_, seen)) => *known = Change::Set(seen),
                (None, Change::Update(_, seen)) if self.cleared => self.set(&key, seen),
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
            Self::Update(updates, _) => {
                let mut value = newest.get(key).map(Cow::from);
                for update in updates {
                    value = Some(update(value.as_deref())?.into());
                }
                Ok(value)
            }
        }
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
    use super::*;

    fn data(entries: &[(&str, &str)]) -> Data {
        Data::new(&entries.iter().copied().collect()).unwrap()
    }

    fn appended(suffix: &'static str) -> Update {
        Arc::new(move |before| Ok(format!("{}{suffix}", before.unwrap_or_default())))
    }

    #[test]
    fn only_changes_are_applied_to_the_newest_entries() {
        let mut changes = Changes::default();
        changes.set("a", "1".into());
        changes.remove("b");
        changes.update("c", appended("x"), "seen".into());
        let newest = data(&[("a", "9"), ("b", "9"), ("c", "9"), ("d", "9")]);
        let merged = data(&[("a", "1"), ("c", "9x"), ("d", "9")]);
        assert_eq!(changes.apply(&newest).unwrap(), merged);
        assert_eq!(changes.get("a"), Some(Some("1")));
        assert_eq!(changes.get("b"), Some(None));
        assert_eq!(changes.get("c"), Some(Some("seen")));
        assert_eq!(changes.get("d"), None);
    }

    #[test]
    fn an_update_of_a_known_value_is_that_value() {
        let mut changes = Changes::default();
        changes.set("a", "1".into());
        changes.update("a", appended("x"), "1x".into());
        assert_eq!(
            changes.apply(&data(&[("a", "9")])).unwrap(),
            data(&[("a", "1x")])
        );
        changes.clear();
        changes.update("b", appended("y"), "y".into());
        let newest = data(&[("a", "9"), ("b", "9")]);
        assert_eq!(changes.apply(&newest).unwrap(), data(&[("b", "y")]));
    }

    #[test]
    fn changes_and_later_ones_are_all_of_them_in_order() {
        let newest = data(&[("a", "0"), ("b", "0"), ("c", "0"), ("d", "0")]);
        let mut first = Changes::default();
        first.set("a", "1".into());
        first.update("b", appended("x"), "0x".into());
        first.set("d", "1".into());
        let mut second = Changes::default();
        second.update("a", appended("y"), "1y".into());
        second.update("b", appended("y"), "0xy".into());
        second.update("c", appended("y"), "0y".into());
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
