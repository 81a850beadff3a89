//! What is committed, as the plan of a batch looks at it.
//!
//! All entries of a batch are looked for at once: the index of hashes is asked run by run, not entry by entry.

use std::{collections::HashMap, sync::Arc};

use treering_tlog::hash::Hash;

use crate::{
    append::RegisterName,
    index::{Found, Index},
    nodes::Memory,
    plan::Seen,
    pool::Job,
    schema::{self, Family},
    store::{Store, StoreError},
};

pub(crate) struct Committed {
    store: Arc<Store>,
    /// Those entries of the batch that are in the log, and those that could not be looked for.
    entries: HashMap<Hash, Result<u64, StoreError>>,
}

impl Committed {
    /// Looks for the entries of a batch.
    pub(crate) fn look(store: &Arc<Store>, index: &Index, memory: &Memory, jobs: &[Job]) -> Self {
        let leaves = jobs.iter().flat_map(|job| match job {
            Job::Append { prepared, .. } => prepared.leaves.as_slice(),
            Job::Rows { .. } | Job::Witnessed { .. } => &[],
        });
        let leaves: Vec<_> = leaves.copied().collect();
        let found = index.entries(store, memory, &leaves);
        let entries: HashMap<_, _> = leaves
            .into_iter()
            .zip(found)
            .filter_map(|(leaf, found)| Some((leaf, found.transpose()?)))
            .collect();
        for error in entries.values().filter_map(|found| found.as_ref().err()) {
            tracing::error!(%error, "entries are refused, since nobody knows whether they are in the log");
            metrics::counter!("treering_log_index_errors_total").increment(1);
        }
        Self { store: Arc::clone(store), entries }
    }
}

impl Seen for Committed {
    fn entry(&self, leaf: &Hash) -> Found {
        self.entries.get(leaf).cloned().transpose()
    }

    fn used(&self, key: &[u8; 32]) -> Result<Option<u64>, StoreError> {
        self.store.index(Family::Once, key)
    }

    fn register(&self, name: &RegisterName) -> Result<Option<u64>, StoreError> {
        self.store.index(Family::Registers, schema::register_key(name))
    }
}
