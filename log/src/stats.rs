//! Figures about a log's store, for people and for planning a disk.

use crate::{log::Log, reader::ReadError, schema::Family, store::engine::Estimate};

/// Figures about one log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Entries in the log.
    pub entries: u64,
    /// Entries under the newest witnessed head; `None` if no head was witnessed.
    pub witnessed: Option<u64>,
    /// Figures of each column family, by name.
    pub families: Vec<FamilyStats>,
}

/// Figures about one column family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FamilyStats {
    /// The family's name.
    pub name: &'static str,
    /// Keys, as the engine estimates them.
    pub keys: u64,
    /// Bytes in table files.
    pub table_bytes: u64,
    /// Bytes in memory that are not in tables yet (they are in the write-ahead log).
    pub memory_bytes: u64,
}

impl Stats {
    /// Bytes in the table files of all families.
    pub fn table_bytes(&self) -> u64 {
        self.families.iter().map(|family| family.table_bytes).sum()
    }
}

impl Log {
    /// Brings every table into its smallest form, which the store does by itself in time: for measuring, and before
    /// a copy is made. Reads and writes the whole store.
    pub fn compact(&self) -> Result<(), ReadError> {
        for family in Family::ALL {
            self.store().compact(family)?;
        }
        Ok(())
    }
}

/// Reads the figures; no entry is read.
pub fn stats(log: &Log) -> Result<Stats, ReadError> {
    let store = log.store();
    let family = |family: Family| {
        let Estimate { keys, table_bytes, memory_bytes } = store.estimate(family)?;
        Ok(FamilyStats { name: family.name(), keys, table_bytes, memory_bytes })
    };
    Ok(Stats {
        entries: log.size(),
        witnessed: log.witnessed().map(|head| head.size()),
        families: Family::ALL.into_iter().map(family).collect::<Result<_, ReadError>>()?,
    })
}
