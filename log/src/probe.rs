//! Named points on the way from the pool to the answer, and behind it, so that a test can stop a process exactly there.
//!
//! In scope: the names. Out of scope: what a test does at a point. Without a [`Probe`] a point costs one branch.

use std::{fmt, sync::Arc};

/// A point that work passes: those of a commit in this order, those of the index (`Run…`) behind it, on a thread of
/// their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Point {
    /// A new store exists, without the records that make it a log.
    StoreMade,
    /// The records that make a store a log are synced.
    Born,
    /// The sequencer has taken a batch out of the pool.
    Drained,
    /// The batch is planned; nothing is signed.
    Planned,
    /// The new head is signed; nothing is written.
    Sealed,
    /// The batch is about to be written and synced.
    BeforeCommit,
    /// The batch is synced; nobody knows.
    AfterCommit,
    /// Readers see the new head; no caller has an answer.
    Published,
    /// One caller of the batch has an answer.
    Answered,
    /// The next checkpoint file is synced under its temporary name.
    CheckpointWritten,
    /// The checkpoint file has its new content; its directory is not synced.
    CheckpointRenamed,
    /// The new checkpoint file is durable.
    CheckpointSynced,
    /// The table of a run of the index is synced, beside the database.
    RunWritten,
    /// The table of a run is part of the database; what it replaces is, too.
    RunTaken,
    /// The table of one run that a longer one replaces is no part of the database any more.
    RunRemoved,
}

impl Point {
    /// Every point.
    pub const ALL: [Self; 15] = [
        Self::StoreMade,
        Self::Born,
        Self::Drained,
        Self::Planned,
        Self::Sealed,
        Self::BeforeCommit,
        Self::AfterCommit,
        Self::Published,
        Self::Answered,
        Self::CheckpointWritten,
        Self::CheckpointRenamed,
        Self::CheckpointSynced,
        Self::RunWritten,
        Self::RunTaken,
        Self::RunRemoved,
    ];
}

/// What a test does at each point; called on the thread that passes it.
pub type Probe = Arc<dyn Fn(Point) + Send + Sync>;

/// The probe, if there is one.
#[derive(Clone, Default)]
pub(crate) struct Probed(pub(crate) Option<Probe>);

impl Probed {
    pub(crate) fn pass(&self, point: Point) {
        if let Some(probe) = &self.0 {
            probe(point);
        }
    }
}

impl fmt::Debug for Probed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Probed").field(&self.0.is_some()).finish()
    }
}
