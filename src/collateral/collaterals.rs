//! What evidence calls for, from the caller, from what is kept, or from the vendor: in that order.
//!
//! Nothing here fails an appraisal. Where a vendor cannot be asked, what is kept is used however old it is, and the
//! Verifier says by the policy whether that will do; where there is nothing, it refuses and says what is missing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::fetch::{Fetcher, Outcome};
use super::store::{Entry, Store, StoreError};
use crate::verifier::{self, Collateral, Evidence, Wanted};

/// Snapshots kept in memory, of a few KiB each: a chip is one.
const MAX_KEPT: usize = 4096;

/// How it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Seconds after which a vendor is asked whether it has something newer.
    pub refresh_s: u64,
}

/// Collateral at hand.
#[derive(Debug)]
pub struct Collaterals {
    store: Option<Store>,
    fetcher: Option<Fetcher>,
    rules: Rules,
    kept: Mutex<HashMap<String, (Entry, Arc<Collateral>)>>,
    // One at a time asks vendors: the second of two that want the same finds it kept.
    asking: tokio::sync::Mutex<()>,
}

impl Collaterals {
    /// What is kept in this store, and what vendors have, if they may be asked.
    pub fn new(store: Store, fetcher: Option<Fetcher>, rules: Rules) -> Self {
        Self { store: Some(store), fetcher, rules, kept: Mutex::default(), asking: tokio::sync::Mutex::default() }
    }

    /// Nothing but what comes with the evidence.
    pub fn none() -> Self {
        let rules = Rules { refresh_s: u64::MAX };
        Self { store: None, fetcher: None, rules, kept: Mutex::default(), asking: tokio::sync::Mutex::default() }
    }

    /// What came with the evidence, completed. What came is never replaced.
    pub async fn complete(&self, evidence: &Evidence, given: &Collateral, now: u64) -> Collateral {
        let mut all = given.clone();
        for wanted in verifier::wanted(evidence) {
            if wanted.is_among(given) {
                continue;
            }
            let Some(found) = self.find(&wanted, now).await else { continue };
            // Over the limits of one snapshot, what came with the evidence is what counts.
            if let Ok(merged) = all.clone().merged((*found).clone()) {
                all = merged;
            }
        }
        all
    }

    /// The newest snapshot of something that can be had.
    async fn find(&self, wanted: &Wanted, now: u64) -> Option<Arc<Collateral>> {
        let name = wanted.name();
        let kept = self.kept(&name);
        if let Some((_, snapshot)) = kept.as_ref().filter(|(entry, _)| self.is_fresh(entry, now)) {
            return Some(Arc::clone(snapshot));
        }
        let Some(fetcher) = &self.fetcher else { return kept.map(|(_, snapshot)| snapshot) };
        let _asking = self.asking.lock().await;
        let kept = self.kept(&name);
        if let Some((_, snapshot)) = kept.as_ref().filter(|(entry, _)| self.is_fresh(entry, now)) {
            return Some(Arc::clone(snapshot));
        }
        let etag = kept.as_ref().and_then(|(entry, _)| entry.etag.clone());
        let outcome = fetcher.fetch(wanted, etag.as_deref(), now).await;
        let store = self.store.as_ref()?;
        let noted = match (outcome, &kept) {
            (Outcome::New(fetched), _) => {
                let etag = fetched.etag.as_deref();
                let entry = store.put(&name, &fetched.collateral, now, &fetched.url, etag);
                entry.map(|entry| (entry, Arc::new(fetched.collateral)))
            }
            (Outcome::Unchanged, Some((entry, snapshot))) => {
                store.confirm(entry, now).map(|entry| (entry, Arc::clone(snapshot)))
            }
            (outcome, _) => {
                tracing::debug!(name, ?outcome, "collateral as it is kept");
                return kept.map(|(_, snapshot)| snapshot);
            }
        };
        match noted {
            Ok((entry, snapshot)) => {
                self.keep(entry, Arc::clone(&snapshot));
                Some(snapshot)
            }
            Err(error) => {
                // It can be used all the same; it will be fetched again.
                tracing::warn!(%error, "collateral could not be kept");
                kept.map(|(_, snapshot)| snapshot)
            }
        }
    }

    fn is_fresh(&self, entry: &Entry, now: u64) -> bool {
        now < entry.as_of.saturating_add(self.rules.refresh_s)
    }

    /// From memory, or else from the store.
    fn kept(&self, name: &str) -> Option<(Entry, Arc<Collateral>)> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        if kept.is_some() {
            return kept;
        }
        match self.load(name) {
            Ok(found) => found.inspect(|(entry, snapshot)| self.keep(entry.clone(), Arc::clone(snapshot))),
            Err(error) => {
                tracing::warn!(%error, "kept collateral cannot be used");
                None
            }
        }
    }

    fn load(&self, name: &str) -> Result<Option<(Entry, Arc<Collateral>)>, StoreError> {
        let Some(store) = &self.store else { return Ok(None) };
        let Some(entry) = store.entry(name)? else { return Ok(None) };
        let snapshot = store.snapshot(&entry)?;
        Ok(Some((entry, Arc::new(snapshot))))
    }

    fn keep(&self, entry: Entry, snapshot: Arc<Collateral>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MAX_KEPT {
            // Rare, and the store has everything: begin again.
            kept.clear();
        }
        kept.insert(entry.name.clone(), (entry, snapshot));
    }
}
