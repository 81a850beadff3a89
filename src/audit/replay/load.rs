//! Finds what decisions rest on: policies by their activations, collateral, earlier steps. What many decisions share is
//! kept, up to a number; memory does not grow with the log.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use treering_provenance::content::{self, AnyContent, Mapping, PolicyType};
use treering_tlog::hash::Hash;

use crate::governance::appraisal_references;
use crate::mapper::Manifest;
use crate::verifier::{AppraisalPolicy, Collateral, ReferenceValues};

use super::super::reader::{Reader, unexpected};
use super::super::{Source, TraceError};
use super::decision::{Decision, Inputs, collateral_of};

/// Policies and collateral that are kept; beyond it the cache starts again.
const MAX_SHARED: usize = 1024;
/// Earlier steps that are kept. The steps of one decision are neighbours.
const MAX_STEPS: usize = 64;

/// What an activation brought into force.
#[derive(Debug, Clone)]
enum Governed {
    Appraisal(Arc<AppraisalPolicy>),
    Manifest(Arc<Manifest>),
    References(Arc<ReferenceValues>),
}

/// Something that was found, with its index.
type Found<T> = (u64, T);

/// What finds inputs.
pub(super) struct Loader<'a, S> {
    reader: &'a Reader<'a, S>,
    governed: HashMap<Hash, Found<Governed>>,
    collateral: HashMap<Hash, Found<Arc<Collateral>>>,
    decisions: VecDeque<(Hash, Arc<Decision>)>,
    mappings: VecDeque<(Hash, Arc<Mapping>)>,
}

impl<'a, S: Source> Loader<'a, S> {
    pub(super) fn new(reader: &'a Reader<'a, S>) -> Self {
        Self {
            reader,
            governed: HashMap::new(),
            collateral: HashMap::new(),
            decisions: VecDeque::new(),
            mappings: VecDeque::new(),
        }
    }

    /// The appraisal with this content at an index, and its inputs.
    pub(super) async fn decision(
        &mut self,
        index: u64,
        leaf: Hash,
        logged: content::Appraisal,
    ) -> Result<Arc<Decision>, TraceError> {
        let wrong = |reason: String| TraceError::Entry { index, reason };
        let [references] = logged.reference_values.as_slice() else {
            let count = logged.reference_values.len();
            return Err(wrong(format!("names {count} sets of reference values, this program takes one")));
        };
        let references = Hash::from(*references);
        let other = |wanted: &str| wrong(format!("rests on an activation of something else than {wanted}"));
        let Governed::Appraisal(policy) = self.governed(&Hash::from(logged.policy), index).await? else {
            return Err(other("an appraisal policy"));
        };
        let Governed::References(references) = self.governed(&references, index).await? else {
            return Err(other("reference values"));
        };
        let collateral = self.collateral(&Hash::from(logged.collateral), index).await?;
        let decision = Arc::new(Decision::new(logged, Inputs { collateral, policy, references }));
        keep(&mut self.decisions, leaf, &decision);
        Ok(decision)
    }

    /// The appraisal with this leaf hash, which the entry at `before` rests on.
    pub(super) async fn decision_of(
        &mut self,
        leaf: &Hash,
        before: u64,
    ) -> Result<Arc<Decision>, TraceError> {
        if let Some((_, found)) = self.decisions.iter().find(|(of, _)| of == leaf) {
            return Ok(Arc::clone(found));
        }
        let opened = self.reader.open(leaf).await?;
        earlier(opened.index, before)?;
        match opened.content {
            AnyContent::Appraisal(appraisal) => self.decision(opened.index, *leaf, appraisal).await,
            other => Err(unexpected(opened.index, &other)),
        }
    }

    /// Keeps a mapping that the walk came by.
    pub(super) fn keep_mapping(&mut self, leaf: Hash, mapping: &Arc<Mapping>) {
        keep(&mut self.mappings, leaf, mapping);
    }

    /// The mapping with this leaf hash, which the entry at `before` rests on.
    pub(super) async fn mapping_of(&mut self, leaf: &Hash, before: u64) -> Result<Arc<Mapping>, TraceError> {
        if let Some((_, found)) = self.mappings.iter().find(|(of, _)| of == leaf) {
            return Ok(Arc::clone(found));
        }
        let opened = self.reader.open(leaf).await?;
        earlier(opened.index, before)?;
        match opened.content {
            AnyContent::Mapping(mapping) => Ok(Arc::new(mapping)),
            other => Err(unexpected(opened.index, &other)),
        }
    }

    /// The manifest that an activation brought into force.
    pub(super) async fn manifest(
        &mut self,
        activation: &Hash,
        before: u64,
    ) -> Result<Arc<Manifest>, TraceError> {
        if let Governed::Manifest(manifest) = self.governed(activation, before).await? {
            return Ok(manifest);
        }
        let reason = "rests on an activation of something else than a manifest".to_owned();
        Err(TraceError::Entry { index: before, reason })
    }

    async fn governed(&mut self, activation: &Hash, before: u64) -> Result<Governed, TraceError> {
        if let Some((index, found)) = self.governed.get(activation) {
            earlier(*index, before)?;
            return Ok(found.clone());
        }
        let opened = self.reader.open(activation).await?;
        let index = opened.index;
        earlier(index, before)?;
        let AnyContent::Activation(activated) = &opened.content else {
            return Err(unexpected(index, &opened.content));
        };
        let stated = self.reader.open(&Hash::from(activated.policy)).await?;
        let wrong = |error: &dyn std::fmt::Display| TraceError::Entry {
            index: stated.index,
            reason: format!("cannot be read now: {error}"),
        };
        let governed = match &stated.content {
            AnyContent::Policy(policy) if policy.policy_type == PolicyType::Appraisal => Governed::Appraisal(
                Arc::new(AppraisalPolicy::parse(&policy.body.0).map_err(|error| wrong(&error))?),
            ),
            AnyContent::Policy(policy) if policy.policy_type == PolicyType::Mapping => {
                Governed::Manifest(Arc::new(Manifest::parse(&policy.body.0).map_err(|error| wrong(&error))?))
            }
            AnyContent::ReferenceValues(values) => {
                let values = appraisal_references(values, &stated.statement.leaf());
                Governed::References(Arc::new(values.map_err(|error| wrong(&error))?))
            }
            other => return Err(unexpected(stated.index, other)),
        };
        room(&mut self.governed);
        self.governed.insert(*activation, (index, governed.clone()));
        Ok(governed)
    }

    async fn collateral(&mut self, leaf: &Hash, before: u64) -> Result<Arc<Collateral>, TraceError> {
        if let Some((index, found)) = self.collateral.get(leaf) {
            earlier(*index, before)?;
            return Ok(Arc::clone(found));
        }
        let opened = self.reader.open(leaf).await?;
        let index = opened.index;
        earlier(index, before)?;
        let AnyContent::Collateral(logged) = &opened.content else {
            return Err(unexpected(index, &opened.content));
        };
        let found = collateral_of(logged).map_err(|reason| TraceError::Entry { index, reason })?;
        let found = Arc::new(found);
        room(&mut self.collateral);
        self.collateral.insert(*leaf, (index, Arc::clone(&found)));
        Ok(found)
    }
}

/// Everything that a decision rests on was in the log before it.
fn earlier(index: u64, before: u64) -> Result<(), TraceError> {
    if index < before {
        return Ok(());
    }
    Err(TraceError::Entry { index: before, reason: format!("rests on entry {index}, which came later") })
}

fn room<T>(cache: &mut HashMap<Hash, T>) {
    if cache.len() >= MAX_SHARED {
        cache.clear();
    }
}

fn keep<T>(steps: &mut VecDeque<(Hash, Arc<T>)>, leaf: Hash, step: &Arc<T>) {
    if steps.len() >= MAX_STEPS {
        steps.pop_front();
    }
    steps.push_back((leaf, Arc::clone(step)));
}
