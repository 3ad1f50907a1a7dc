use sled::{
    IVec, Transactional, Tree,
    transaction::{ConflictableTransactionError, TransactionError, TransactionalTree},
};

use crate::{trees::Trees, warmth::Growth};

/// What a batch changes, in the order in which it is done.
///
/// A step at a time, readers wait for nothing. A crash then leaves some of the first steps done,
/// so what leads to a row comes before the row, and goes after it. Who changes more than one row
/// asks for [all or nothing](Self::must_be_whole), which stops all readers for as long.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    steps: Vec<Step>,
    is_whole: bool,
}

#[derive(Debug)]
struct Step {
    place: Place,
    key: IVec,
    /// `None` takes the key away.
    value: Option<IVec>,
}

/// The tree that a step is about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    Records,
    Deadlines,
    Expiry,
    Owners,
}

impl Changes {
    pub(crate) fn insert(&mut self, place: Place, key: impl Into<IVec>, value: impl Into<IVec>) {
        self.steps.push(Step {
            place,
            key: key.into(),
            value: Some(value.into()),
        });
    }

    pub(crate) fn remove(&mut self, place: Place, key: impl Into<IVec>) {
        self.steps.push(Step {
            place,
            key: key.into(),
            value: None,
        });
    }

    /// Has all of it done or nothing.
    pub(crate) fn must_be_whole(&mut self) {
        self.is_whole = true;
    }

    /// Only so many of the steps; `None` if there are fewer, or only all can be done.
    #[cfg(test)]
    pub(crate) fn first(mut self, steps: usize) -> Option<Self> {
        (steps <= self.steps.len() && !self.is_whole).then(|| {
            self.steps.truncate(steps);
            self
        })
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Does it; says what has grown by it.
    pub(crate) fn apply(self, trees: &Trees) -> sled::Result<Growth> {
        if self.is_whole {
            return self.apply_whole(trees);
        }
        let mut grown = Growth::default();
        for Step { place, key, value } in self.steps {
            let tree = place.of(trees);
            let old = match &value {
                Some(value) => tree.insert(&key, value)?,
                None => tree.remove(&key)?,
            };
            grown.see(&key, old.as_ref(), value.as_ref());
        }
        Ok(grown)
    }

    fn apply_whole(&self, trees: &Trees) -> sled::Result<Growth> {
        let Trees {
            records,
            deadlines,
            expiry,
            owners,
            ..
        } = trees;
        (records, deadlines, expiry, owners)
            .transaction(|(records, deadlines, expiry, owners)| {
                let mut grown = Growth::default();
                for Step { place, key, value } in &self.steps {
                    let tree: &TransactionalTree = match place {
                        Place::Records => records,
                        Place::Deadlines => deadlines,
                        Place::Expiry => expiry,
                        Place::Owners => owners,
                    };
                    let old = match value {
                        Some(value) => tree.insert(key, value)?,
                        None => tree.remove(key)?,
                    };
                    grown.see(key, old.as_ref(), value.as_ref());
                }
                Ok::<Growth, ConflictableTransactionError<sled::Error>>(grown)
            })
            .map_err(|(TransactionError::Abort(error) | TransactionError::Storage(error))| error)
    }
}

impl Place {
    fn of(self, trees: &Trees) -> &Tree {
        match self {
            Self::Records => &trees.records,
            Self::Deadlines => &trees.deadlines,
            Self::Expiry => &trees.expiry,
            Self::Owners => &trees.owners,
        }
    }
}
