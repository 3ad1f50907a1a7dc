use std::{
    collections::{HashMap, hash_map::Entry},
    fs::{File, TryLockError},
    path::Path,
    sync::{Mutex, PoisonError},
};

use crate::users::OpenError;

/// Bytes by key, in a folder or in memory.
#[derive(Debug)]
pub(crate) enum Table {
    Folder(sled::Db),
    Memory(Mutex<HashMap<String, Vec<u8>>>),
}

impl Table {
    pub(crate) fn memory() -> Self {
        Self::Memory(Mutex::default())
    }

    pub(crate) fn open(folder: &Path) -> Result<Self, OpenError> {
        // It is small beside sled's own gigabyte.
        let config = sled::Config::new().path(folder).cache_capacity(16 << 20);
        config
            .open()
            .map(Self::Folder)
            .map_err(|cause| match is_locked(folder) {
                true => OpenError::InUse(folder.to_owned()),
                false => OpenError::Folder(folder.to_owned(), cause),
            })
    }

    pub(crate) fn get(&self, key: &str) -> sled::Result<Option<Vec<u8>>> {
        match self {
            Self::Folder(folder) => Ok(folder.get(key)?.map(|bytes| bytes.to_vec())),
            Self::Memory(table) => {
                let table = table.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(table.get(key).cloned())
            }
        }
    }

    /// Inserts what is not there yet; says whether it did. Of two at once one wins.
    ///
    /// What was inserted is on disk then: it blocks.
    pub(crate) fn insert_new(&self, key: &str, bytes: Vec<u8>) -> sled::Result<bool> {
        match self {
            Self::Folder(folder) => {
                let absent = None::<&[u8]>;
                let won = folder.compare_and_swap(key, absent, Some(bytes))?.is_ok();
                folder.flush()?;
                Ok(won)
            }
            Self::Memory(table) => {
                let mut table = table.lock().unwrap_or_else(PoisonError::into_inner);
                match table.entry(key.to_owned()) {
                    Entry::Occupied(_) => Ok(false),
                    Entry::Vacant(place) => {
                        place.insert(bytes);
                        Ok(true)
                    }
                }
            }
        }
    }
}

/// sled says only in words that it did not get its lock, and not why.
fn is_locked(folder: &Path) -> bool {
    File::options()
        .read(true)
        .write(true)
        .open(folder.join("db"))
        .is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}
