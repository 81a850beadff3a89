//! Whether a store is of the format that this program writes.
//!
//! In scope: the number, and the families that go with it. Out of scope: the version bytes of values
//! ([`schema`](crate::schema)).

use std::path::Path;

use super::OpenError;
use crate::{
    schema::{self, FORMAT, Family, meta},
    store::{Store, StoreError},
};

/// Looks at a database before it is opened, since opening adds the families that an older one lacks: refuses one of
/// another format. Says whether there is a database.
pub(crate) fn look(path: &Path) -> Result<bool, OpenError> {
    let Some(names) = Store::families(path)? else { return Ok(false) };
    let unknown: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .filter(|name| Family::ALL.iter().all(|known| known.name() != *name))
        .collect();
    if unknown.is_empty() && names.len() == Family::ALL.len() {
        return Ok(true);
    }
    // A crash while a store was being made leaves one with some of its families and without a format. One whose list of
    // files has lost its end seems to have fewer, too, and cannot be read so: it is refused by who looks at that list.
    if let Ok(stored) = Store::meta_alone(path, meta::FORMAT) {
        judge(stored.as_deref())?;
    }
    if unknown.is_empty() {
        return Ok(true);
    }
    Err(OpenError::Newer { what: format!("the unknown column families {}", unknown.join(", ")) })
}

/// Refuses an open store of another format.
pub(crate) fn check(store: &Store) -> Result<(), OpenError> {
    judge(store.get(Family::Meta, meta::FORMAT)?.as_deref())
}

fn judge(stored: Option<&[u8]>) -> Result<(), OpenError> {
    match stored.map(schema::decode_format).transpose().map_err(StoreError::from)? {
        Some(format) if format > FORMAT => Err(OpenError::Newer { what: format!("format {format}") }),
        Some(format) if format < FORMAT => Err(OpenError::Older { format }),
        Some(_) | None => Ok(()),
    }
}
