use std::sync::Arc;

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Error, KeyFor, Result, Session,
    session::{
        changes::Update,
        state::{Entry, State},
    },
    store::KEY_LIMIT,
};

/// Entries.
#[expect(
    clippy::needless_pass_by_value,
    reason = "a key is a reference or as small as one"
)]
impl Session {
    /// Reads a value.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] if it is not a `T`.
    pub fn get<T: DeserializeOwned>(&self, key: impl KeyFor<T>) -> Result<Option<T>> {
        let key = key.name();
        // The application's code runs without the lock.
        let entry = self.shared.state().entry(key);
        parse(key, entry.json(key))
    }

    /// Reads a value and removes it.
    ///
    /// Two requests at once may both take it. To count something down, use
    /// [`update`](Self::update).
    ///
    /// # Errors
    ///
    /// [`Error::Value`] if it is not a `T`; it stays. [`Error::Store`] if the session is
    /// [degraded](Self::is_degraded).
    pub fn take<T: DeserializeOwned>(&self, key: impl KeyFor<T>) -> Result<Option<T>> {
        let key = key.name();
        let judge = |json: Option<&str>| parse(key, json);
        self.judged(key, State::check_loaded, judge, |state, _, value| {
            if value.is_some() {
                state.changes.remove(key);
            }
        })
    }

    /// Writes a value.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] if it cannot be written as JSON; [`Error::TooLarge`] if it or its key is
    /// over the limit; [`Error::Store`] if the session is [degraded](Self::is_degraded);
    /// [`Error::ResponseSent`] if this would begin a session and the response has left.
    pub fn insert<T: Serialize + ?Sized>(&self, key: impl KeyFor<T>, value: &T) -> Result<()> {
        let key = key.name();
        let json = serde_json::to_string(value).map_err(|_| Error::value::<T>(key))?;
        self.check_entry(key, &json)?;
        let mut state = self.shared.state();
        state.check_writable()?;
        state.changes.set(key, json);
        Ok(())
    }

    /// Changes a value by what it was, and returns what it is now.
    ///
    /// If another request has changed the value meanwhile, the closure runs again on the one
    /// that is there then, perhaps on another task. The value returned is the one that this
    /// request sees; who needs the stored one calls [`commit`](Self::commit) and then
    /// [`get`](Self::get).
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get) and [`insert`](Self::insert).
    ///
    /// # Example
    ///
    /// ```
    /// # fn handler(session: cloakroom::Session) -> cloakroom::Result<()> {
    /// let visits = session.update("visits", |visits: Option<u32>| visits.unwrap_or(0) + 1)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn update<T: Serialize + DeserializeOwned>(
        &self,
        key: impl KeyFor<T>,
        f: impl Fn(Option<T>) -> T + Send + Sync + 'static,
    ) -> Result<T> {
        let key = key.name();
        let f = Arc::new(f);
        let judge = |before: Option<&str>| {
            let value = f(parse(key, before)?);
            let json = serde_json::to_string(&value).map_err(|_| Error::value::<T>(key))?;
            self.check_entry(key, &json)?;
            Ok((value, json))
        };
        let change = |state: &mut State, before, (_, json): &(T, String)| {
            let again = rerun(key, Arc::clone(&f));
            state.changes.update(key, again, before, json.clone());
        };
        let (value, _) = self.judged(key, State::check_writable, judge, change)?;
        Ok(value)
    }

    /// Removes a value, whatever it is.
    ///
    /// If the session is [degraded](Self::is_degraded), the response becomes a `503`.
    pub fn remove(&self, key: &str) {
        let mut state = self.shared.state();
        state.doomed |= state.degraded;
        state.changes.remove(key);
    }

    /// Removes all entries. The id, the owner and the lifetime stay.
    ///
    /// If the session is [degraded](Self::is_degraded), the response becomes a `503`.
    pub fn clear(&self) {
        let mut state = self.shared.state();
        state.doomed |= state.degraded;
        state.changes.clear();
    }

    /// The keys of all entries, in order.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.shared.state().keys()
    }

    /// Whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys().is_empty()
    }

    /// Looks at a value without the lock, since the application's code does the looking, and
    /// changes it by what was found; again if another handle on this session has given it
    /// another value meanwhile.
    fn judged<T>(
        &self,
        key: &str,
        check: impl Fn(&State) -> Result<()>,
        judge: impl Fn(Option<&str>) -> Result<T>,
        change: impl Fn(&mut State, Entry, &T),
    ) -> Result<T> {
        loop {
            let before = {
                let state = self.shared.state();
                check(&state)?;
                state.entry(key)
            };
            let found = judge(before.json(key))?;
            let mut state = self.shared.state();
            if state.json(key) == before.json(key) {
                change(&mut state, before, &found);
                return Ok(found);
            }
        }
    }

    fn check_entry(&self, key: &str, json: &str) -> Result<()> {
        let limit = self.shared.config.record_limit;
        let parts = [
            ("bytes in a session key", key.len(), KEY_LIMIT),
            ("bytes in a session value", json.len(), limit),
        ];
        for (what, size, limit) in parts {
            if size > limit {
                return Err(Error::TooLarge { what, size, limit });
            }
        }
        Ok(())
    }
}

fn parse<T: DeserializeOwned>(key: &str, json: Option<&str>) -> Result<Option<T>> {
    json.map(serde_json::from_str)
        .transpose()
        .map_err(|_| Error::value::<T>(key))
}

/// The update as it is applied to another value than this request has seen.
fn rerun<T: Serialize + DeserializeOwned>(
    key: &str,
    f: Arc<impl Fn(Option<T>) -> T + Send + Sync + 'static>,
) -> Update {
    let key = key.to_owned();
    Arc::new(move |json| {
        let value = f(parse(&key, json)?);
        serde_json::to_string(&value).map_err(|_| Error::value::<T>(&key))
    })
}
