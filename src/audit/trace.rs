//! From a credential back to everything it rests on: issuance, mapping, appraisal, evidence, reference values, the
//! workload's provenance, and each policy with those who approved it.

use std::collections::BTreeSet;

use data_encoding::HEXLOWER;
use serde::Serialize;
use treering_provenance::content::{
    Activation, AnyContent, Appraisal, Collateral, Issuance, Mapping, PolicyType, ProvenanceType,
    ReferenceValues, TrustAnchors,
};
use treering_provenance::statement::Statement;
use treering_provenance::trust::Trust;
use treering_tlog::hash::Hash;

use crate::clock;
use crate::governance::objection;
use crate::mapper::Manifest;

use super::credential::{compare, issuance_of};
use super::reader::{Opened, Reader, unexpected};
use super::{Keyring, Source, TraceError};

/// One statement on the way.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    /// Its index.
    pub index: u64,
    /// Its kind.
    pub kind: String,
    /// Who signed it.
    pub issuer: String,
    /// When, as the signer says.
    pub issued_at: Option<String>,
    /// Its leaf hash.
    pub leaf: String,
    /// What it says, in a line.
    pub says: String,
}

/// What was reached.
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one per thing reached; they are reported, not branched on"
)]
pub struct Traced {
    /// The evidence, and that it is the appraisal's.
    pub evidence: bool,
    /// The reference values.
    pub reference_values: bool,
    /// A software bill of materials.
    pub sbom: bool,
    /// Build provenance.
    pub build: bool,
    /// Every policy, each with approvals.
    pub policies: bool,
}

/// A trace.
#[derive(Debug, Clone, Serialize)]
pub struct Trace {
    /// The workload identifier.
    pub identifier: String,
    /// The credential's serial number, hex.
    pub serial: String,
    /// The tree size of the checkpoint under which every entry was checked.
    pub tree_size: u64,
    /// The witnesses that cosigned that checkpoint.
    pub cosigners: Vec<String>,
    /// What was reached.
    #[serde(flatten)]
    pub found: Traced,
    /// What this trace does not show.
    pub not_checked: [&'static str; 2],
    /// Every statement, in the order in which it was reached.
    pub steps: Vec<Step>,
    /// What a replay needs.
    #[serde(skip)]
    pub(super) materials: Materials,
}

/// The inputs of the decision, as logged.
#[derive(Debug, Clone)]
pub(super) struct Materials {
    pub(super) issuance: Issuance,
    pub(super) appraisal: Appraisal,
    pub(super) mapping: Mapping,
    pub(super) collateral: Collateral,
    pub(super) appraisal_policy: Vec<u8>,
    pub(super) manifest: Vec<u8>,
    pub(super) references: (ReferenceValues, Hash),
    pub(super) anchors: TrustAnchors,
}

/// What a trace of one credential cannot show.
const NOT_CHECKED: [&str; 2] = [
    "whether a later activation had replaced one of these policies before the issuance: `treering replay` reads them all",
    "whether the credential was revoked or quarantined since",
];

/// Traces a credential (an X.509 certificate, DER).
pub async fn trace<S: Source>(
    credential: &[u8],
    source: &S,
    trust: &Trust,
    keyring: &Keyring,
) -> Result<Trace, TraceError> {
    let statement = issuance_of(credential, trust)?;
    let mut tracer = Tracer { reader: Reader::new(source, trust, keyring).await?, steps: Vec::new() };
    let trace = tracer.run(&statement).await?;
    compare(credential, trust.trust_domain(), &statement, &trace)?;
    Ok(trace)
}

struct Tracer<'a, S> {
    reader: Reader<'a, S>,
    steps: Vec<Step>,
}

impl<S: Source> Tracer<'_, S> {
    async fn run(&mut self, statement: &Statement) -> Result<Trace, TraceError> {
        let mut found = Traced::default();
        let issuance = self.issuance(statement).await?;
        let mapping = self.mapping(&Hash::from(issuance.mapping)).await?;
        let appraisal = self.appraisal(&Hash::from(mapping.appraisal)).await?;
        found.evidence = !appraisal.evidence.is_empty();
        let collateral = self.collateral(&Hash::from(appraisal.collateral)).await?;

        let (manifest, manifest_approved) =
            self.policy(&Hash::from(mapping.manifest), PolicyType::Mapping, &mapping.identifier).await?;
        let parsed = Manifest::parse(&manifest).map_err(|error| TraceError::Credential(error.to_string()))?;
        let (appraisal_policy, appraisal_approved) = self
            .policy(&Hash::from(appraisal.policy), PolicyType::Appraisal, &parsed.appraisal_policy)
            .await?;
        let set = appraisal.reference_values.first().copied();
        let set =
            set.ok_or_else(|| TraceError::Credential("its appraisal names no reference values".to_owned()))?;
        let (references, references_approved) =
            self.references(&Hash::from(set), &parsed.reference_values).await?;
        found.reference_values = !references.0.values.is_empty();
        found.policies = appraisal_approved && manifest_approved && references_approved;
        for leaf in &references.0.provenance {
            self.provenance(&Hash::from(*leaf), &references.0.workload, &mut found).await?;
        }

        let anchors = self.reader.founding()?.1.clone();
        Ok(Trace {
            identifier: issuance.identifier.clone(),
            serial: HEXLOWER.encode(&issuance.serial.0),
            tree_size: self.reader.checkpoint().size(),
            cosigners: self.reader.cosigners().iter().map(|(name, _)| name.clone()).collect(),
            found,
            not_checked: NOT_CHECKED,
            steps: std::mem::take(&mut self.steps),
            materials: Materials {
                issuance,
                appraisal,
                mapping,
                collateral,
                appraisal_policy,
                manifest,
                references,
                anchors,
            },
        })
    }

    async fn open(
        &mut self,
        leaf: &Hash,
        says: impl FnOnce(&AnyContent) -> String,
    ) -> Result<Opened, TraceError> {
        let opened = self.reader.open(leaf).await?;
        self.steps.push(Step {
            index: opened.index,
            kind: opened.content.kind().to_string(),
            issuer: opened.statement.issuer().to_owned(),
            issued_at: opened.statement.issued_at().map(clock::rfc3339),
            leaf: opened.statement.leaf().to_hex(),
            says: says(&opened.content),
        });
        Ok(opened)
    }

    async fn issuance(&mut self, statement: &Statement) -> Result<Issuance, TraceError> {
        let says = |content: &AnyContent| match content {
            AnyContent::Issuance(issuance) => format!(
                "{} credential for {}, valid {} to {}",
                issuance.credential,
                issuance.identifier,
                clock::rfc3339(issuance.not_before),
                clock::rfc3339(issuance.not_after),
            ),
            _ => String::new(),
        };
        let opened = self.open(&statement.leaf(), says).await?;
        match opened.content {
            AnyContent::Issuance(issuance) => Ok(issuance),
            other => Err(unexpected(opened.index, &other)),
        }
    }

    async fn mapping(&mut self, leaf: &Hash) -> Result<Mapping, TraceError> {
        let says = |content: &AnyContent| match content {
            AnyContent::Mapping(mapping) => mapping.explanation.clone(),
            _ => String::new(),
        };
        let opened = self.open(leaf, says).await?;
        match opened.content {
            AnyContent::Mapping(mapping) => Ok(mapping),
            other => Err(unexpected(opened.index, &other)),
        }
    }

    async fn appraisal(&mut self, leaf: &Hash) -> Result<Appraisal, TraceError> {
        let says = |content: &AnyContent| match content {
            AnyContent::Appraisal(appraisal) => {
                format!("{} by {} under {}", appraisal.status, appraisal.verifier.build, appraisal.policy_id)
            }
            _ => String::new(),
        };
        let opened = self.open(leaf, says).await?;
        let issued_at = opened.statement.issued_at();
        match opened.content {
            AnyContent::Appraisal(appraisal) if issued_at == Some(appraisal.now) => Ok(appraisal),
            AnyContent::Appraisal(_) => {
                let reason = "was appraised for another time than it was signed at".to_owned();
                Err(TraceError::Entry { index: opened.index, reason })
            }
            other => Err(unexpected(opened.index, &other)),
        }
    }

    async fn collateral(&mut self, leaf: &Hash) -> Result<Collateral, TraceError> {
        let says = |content: &AnyContent| match content {
            AnyContent::Collateral(collateral) => {
                format!("{} items for {}", collateral.items.len(), collateral.platform)
            }
            _ => String::new(),
        };
        let opened = self.open(leaf, says).await?;
        match opened.content {
            AnyContent::Collateral(collateral) => Ok(collateral),
            other => Err(unexpected(opened.index, &other)),
        }
    }

    /// An activation of this type and name, the statement that it activates, and whether enough approvers had
    /// consented to exactly it.
    async fn activated(
        &mut self,
        leaf: &Hash,
        kind: PolicyType,
        name: &str,
    ) -> Result<(Opened, bool), TraceError> {
        let says = |content: &AnyContent| match content {
            AnyContent::Activation(activation) => {
                format!("{} `{}` comes into force", activation.policy_type.as_str(), activation.name)
            }
            _ => String::new(),
        };
        let opened = self.open(leaf, says).await?;
        let (index, activated_at) = (opened.index, opened.statement.issued_at().unwrap_or_default());
        let activation: Activation = match opened.content {
            AnyContent::Activation(activation) => activation,
            other => return Err(unexpected(index, &other)),
        };
        // Everything that a decision rests on was in the log before it.
        if self.steps.first().is_some_and(|issuance| index > issuance.index) {
            let reason = "came into force after the issuance that rests on it".to_owned();
            return Err(TraceError::Entry { index, reason });
        }
        if activation.policy_type != kind || activation.name != name {
            let reason = format!("activates another policy than the {} `{name}`", kind.as_str());
            return Err(TraceError::Entry { index, reason });
        }
        let approved = self.approved(&activation, activated_at).await?;
        let says = |content: &AnyContent| match content {
            AnyContent::Policy(policy) => {
                format!(
                    "{} policy `{}`, {} octets",
                    policy.policy_type.as_str(),
                    policy.name,
                    policy.body.0.len()
                )
            }
            AnyContent::ReferenceValues(values) => format!(
                "{} for `{}`",
                values.values.iter().map(|value| value.name.as_str()).collect::<Vec<_>>().join(", "),
                values.workload
            ),
            _ => String::new(),
        };
        Ok((self.open(&Hash::from(activation.policy), says).await?, approved))
    }

    /// Whether as many approvers as the registration policy wants consented to this policy, in place of this
    /// predecessor, at that time.
    async fn approved(&mut self, activation: &Activation, activated_at: u64) -> Result<bool, TraceError> {
        let mut approvers = BTreeSet::new();
        for approval in &activation.approvals {
            let says = |_: &AnyContent| format!("consents to `{}`", activation.name);
            let opened = self.open(&Hash::from(*approval), says).await?;
            let AnyContent::Approval(approval) = &opened.content else {
                return Err(unexpected(opened.index, &opened.content));
            };
            let issuer = opened.statement.issuer().to_owned();
            let (rules, _) = self.reader.founding()?;
            let predecessor = activation.predecessor.map(Hash::from);
            let objection = objection(approval, rules, &issuer, predecessor, activated_at);
            if approval.policy == activation.policy && objection.is_none() {
                approvers.insert(issuer);
            }
        }
        let threshold = self.reader.founding()?.0.approvals_threshold;
        Ok(u64::try_from(approvers.len()).is_ok_and(|count| count >= threshold))
    }

    async fn policy(
        &mut self,
        activation: &Hash,
        kind: PolicyType,
        name: &str,
    ) -> Result<(Vec<u8>, bool), TraceError> {
        let (opened, approved) = self.activated(activation, kind, name).await?;
        match opened.content {
            AnyContent::Policy(policy) => Ok((policy.body.0, approved)),
            other => Err(unexpected(opened.index, &other)),
        }
    }

    async fn references(
        &mut self,
        activation: &Hash,
        name: &str,
    ) -> Result<((ReferenceValues, Hash), bool), TraceError> {
        let (opened, approved) = self.activated(activation, PolicyType::ReferenceValues, name).await?;
        match opened.content {
            AnyContent::ReferenceValues(values) => Ok(((values, opened.statement.leaf()), approved)),
            other => Err(unexpected(opened.index, &other)),
        }
    }

    async fn provenance(
        &mut self,
        leaf: &Hash,
        workload: &str,
        found: &mut Traced,
    ) -> Result<(), TraceError> {
        let says = |content: &AnyContent| match content {
            AnyContent::WorkloadProvenance(document) => format!(
                "{} of `{}`: {}, {} octets",
                document.provenance_type.as_str(),
                document.workload,
                document.media_type,
                document.body.0.len()
            ),
            _ => String::new(),
        };
        let opened = self.open(leaf, says).await?;
        match opened.content {
            AnyContent::WorkloadProvenance(document) => {
                let same = document.workload == workload;
                found.sbom |= same && document.provenance_type == ProvenanceType::Sbom;
                found.build |= same && document.provenance_type == ProvenanceType::Build;
                Ok(())
            }
            other => Err(unexpected(opened.index, &other)),
        }
    }
}
