//! What is committed, as the plan of a batch looks at it.
//!
//! All entries of a batch are looked for at once: the index of hashes is asked run by run, not entry by entry.

use std::{collections::HashMap, sync::Arc};

use treering_tlog::hash::Hash;

use crate::{
    append::RegisterName,
    index::Index,
    nodes::Memory,
    plan::Seen,
    pool::Job,
    schema::{self, Family},
    store::{Store, StoreError},
};

pub(crate) struct Committed {
    store: Arc<Store>,
    /// Those entries of the batch that are in the log.
    entries: HashMap<Hash, u64>,
}

impl Committed {
    /// Looks for the entries of a batch.
    pub(crate) fn look(
        store: &Arc<Store>,
        index: &Index,
        memory: &Memory,
        jobs: &[Job],
    ) -> Result<Self, StoreError> {
        let leaves = jobs.iter().flat_map(|job| match job {
            Job::Append { prepared, .. } => prepared.leaves.as_slice(),
            Job::Rows { .. } | Job::Witnessed { .. } => &[],
        });
        let leaves: Vec<_> = leaves.copied().collect();
        let found = index.entries(store, memory, &leaves)?;
        let entries =
            leaves.into_iter().zip(found).filter_map(|(leaf, found)| Some((leaf, found?))).collect();
        Ok(Self { store: Arc::clone(store), entries })
    }
}

impl Seen for Committed {
    fn entry(&self, leaf: &Hash) -> Option<u64> {
        self.entries.get(leaf).copied()
    }

    fn used(&self, key: &[u8; 32]) -> Result<Option<u64>, StoreError> {
        self.store.index(Family::Once, key)
    }

    fn register(&self, name: &RegisterName) -> Result<Option<u64>, StoreError> {
        self.store.index(Family::Registers, schema::register_key(name))
    }
}
