//! Proof, as a value, that a statement is logged, and its octets for a credential.

use std::sync::{Arc, PoisonError, RwLock};

use treering_log::{Head, Log};
use treering_provenance::proof::{CredentialProof, ParentPath};
use treering_provenance::receipt::{self, Consistency, Inclusion, Seal};
use treering_provenance::statement::Statement;
use treering_tlog::hash::Hash;
use treering_tlog::note::Note;

use super::{Ledger, LedgerError, Logged};

/// The statement is in the log, and may be shown: committed, or cosigned by a quorum, as the ledger is configured.
/// Only [`Ledger::receipt`](super::Ledger::receipt) makes one.
#[derive(Debug, Clone)]
pub struct Receipt {
    statement: Statement,
    head: Arc<Head>,
    inclusion: Inclusion,
    checkpoint: Vec<u8>,
    parents: Vec<Inclusion>,
}

impl Receipt {
    pub(super) fn new(
        log: &Log,
        logged: &Logged,
        position: usize,
        head: Arc<Head>,
        checkpoint: Vec<u8>,
        embed_parents: bool,
    ) -> Result<Self, LedgerError> {
        let missing = || LedgerError::Log(format!("no statement at position {position} of the append"));
        let statement = logged.statements.get(position).ok_or_else(missing)?.clone();
        let index = *logged.indexes().get(position).ok_or_else(missing)?;
        let size = head.size();
        let include = |index| -> Result<Inclusion, LedgerError> {
            Ok(Inclusion { size, index, path: log.inclusion(index, size).map_err(LedgerError::log)? })
        };
        let mut parents = Vec::new();
        for parent in statement.parents().iter().filter(|_| embed_parents) {
            let found = log.index_of_leaf(&Hash::from(*parent)).map_err(LedgerError::log)?;
            let index = found.ok_or_else(|| LedgerError::Log("a parent is not in the log".to_owned()))?;
            parents.push(include(index)?);
        }
        Ok(Self { statement, inclusion: include(index)?, head, checkpoint, parents })
    }

    /// The credential that the statement commits to.
    pub fn cred(&self) -> Option<[u8; 32]> {
        self.statement.cred().map(|digest| *digest.as_bytes())
    }

    /// Where the statement is.
    pub fn index(&self) -> u64 {
        self.inclusion.index
    }

    /// The tree head that the proof leads to.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The proof as a credential carries it: statement, receipt, checkpoint signatures, parents' paths.
    pub fn proof(&self) -> Result<Vec<u8>, LedgerError> {
        let cose = cose(&self.head, self.inclusion.clone())?;
        let checkpoint = Note::parse(&self.checkpoint).map_err(LedgerError::log)?;
        let parents: Result<_, _> =
            self.parents.iter().map(|parent| ParentPath::compress(parent, &self.inclusion)).collect();
        let parents = parents.map_err(LedgerError::log)?;
        CredentialProof::new(self.statement.entry(), &cose, &checkpoint, parents)
            .to_bytes()
            .map_err(LedgerError::log)
    }
}

/// A receipt of RFC 9942: what the head's seal holds, and the path.
pub(super) fn cose(head: &Head, inclusion: Inclusion) -> Result<Vec<u8>, LedgerError> {
    receipt::assemble(head.receipt(), &[inclusion]).map_err(LedgerError::log)
}

/// The tree heads whose seal is kept, so that a receipt of consistency can lead to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Newest {
    /// The newest that is committed.
    Committed,
    /// The newest that a quorum of witnesses cosigned.
    Witnessed,
}

impl Ledger {
    /// The newest head of that kind; `None` where the log is empty, or never had a quorum.
    pub fn newest(&self, newest: Newest) -> Option<Arc<Head>> {
        match newest {
            Newest::Committed => self.log().head(),
            Newest::Witnessed => self.log().witnessed().map(|witnessed| Arc::clone(witnessed.head())),
        }
    }

    /// The receipt of RFC 9942 that the tree of the first `old` entries is the beginning of this head's. Nothing is
    /// signed for it: the head's seal serves every receipt of its tree. `old` is not 0, and below the head's size.
    pub fn consistency_receipt(&self, old: u64, head: &Head) -> Result<Vec<u8>, LedgerError> {
        let path = self.log().consistency(old, head.size()).map_err(LedgerError::log)?;
        let proof = Consistency { old_size: old, new_size: head.size(), path };
        receipt::assemble_consistency(head.receipt(), &proof).map_err(LedgerError::log)
    }
}

/// The seal of the newest head, read once: every receipt of it starts from that.
#[derive(Debug, Default)]
pub(super) struct Seals(RwLock<Option<(u64, Arc<Seal>)>>);

impl Seals {
    pub(super) fn of(&self, head: &Head) -> Result<Arc<Seal>, LedgerError> {
        if let Some((size, seal)) = &*self.0.read().unwrap_or_else(PoisonError::into_inner)
            && *size == head.size()
        {
            return Ok(Arc::clone(seal));
        }
        let seal = Arc::new(Seal::parse(head.receipt()).map_err(LedgerError::log)?);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some((head.size(), Arc::clone(&seal)));
        Ok(seal)
    }
}
