//! AWS Nitro Enclaves: attestation documents, COSE_Sign1 (ES384) over a CBOR map, with all their certificates inside.
//!
//! In scope: the document, its chain up to the pinned root, CRLs if there are any, the checks.
//! Out of scope: attestation documents of NitroTPM, which have the same envelope and root, and whose PCRs mean other
//! things: they are refused by name.
//! References: *AWS* is the AWS Nitro Enclaves User Guide, "Verifying the root of trust"; *NSM* is the attestation
//! process of aws-nitro-enclaves-nsm-api.

mod authenticity;
mod chain;
mod claims;
mod document;
mod explain;
mod lint;
mod policy;
mod requirements;
mod revocation;
mod wanted;

pub(in crate::verifier) use chain::Verified;
pub(in crate::verifier) use policy::Policy;

use serde_json::Value;

use super::{About, Assurance, Finding, Input, Kind};
use crate::verifier::binding::Carriage;
use crate::verifier::cache;
use crate::verifier::certificates::ends as certificates_end;
use crate::verifier::checks::{self, Check, CheckInfo, Found, Harm};
use crate::verifier::collateral::Collateral;
use crate::verifier::ear::TrustVector;
use crate::verifier::evidence::{EvidenceItem, NITRO_DOCUMENT};
use crate::verifier::lint::Remark;
use crate::verifier::parts::{Part, of_cbor};
use crate::verifier::policy::{AppraisalPolicy, CollateralPolicy};
use crate::verifier::reference::{ReferenceValue, ReferenceValues, Registers};
use crate::verifier::sign1::Unreadable;
use crate::verifier::wanted::Wanted;

use chain::VerifiedChain;
use document::{Document, PCR_BYTES};
use revocation::Listed;

/// The name of this kind.
pub const NAME: &str = "nitro";

/// This kind.
pub(in crate::verifier) struct Nitro;

/// Everything a check may look at.
struct Context<'a> {
    document: Result<&'a Document, &'a Unreadable>,
    chain: Option<&'a VerifiedChain>,
    crls: &'a [&'a Listed],
    policy: &'a Policy,
    freshness: &'a CollateralPolicy,
    references: &'a ReferenceValues,
    now: u64,
}

/// All of them, in order.
fn table<'a>() -> [Check<Context<'a>>; 13] {
    [
        Check::firm("format", Harm::NotAuthentic, authenticity::format),
        Check::firm("canonical", Harm::NotAuthentic, authenticity::canonical),
        Check::firm("chain", Harm::NotAuthentic, authenticity::chain),
        Check::firm("leaf", Harm::NotAuthentic, authenticity::leaf),
        Check::firm("root", Harm::NotAuthentic, authenticity::root),
        Check::firm("validity", Harm::NotAuthentic, authenticity::validity),
        Check::waivable("revocation", Harm::Hardware, authenticity::revocation),
        Check::firm("signature", Harm::NotAuthentic, authenticity::signature),
        Check::firm("timestamp", Harm::Configuration, requirements::timestamp),
        Check::waivable("debug", Harm::Exposed, requirements::debug),
        Check::firm("parent", Harm::Configuration, requirements::parent),
        Check::firm("machine", Harm::Identity, requirements::machine),
        Check::waivable("reference-value", Harm::Executables, requirements::reference_value),
    ]
}

/// What it is.
const ABOUT: About = About {
    name: NAME,
    media_types: &[NITRO_DOCUMENT],
    supplements: &[],
    documents: &[],
    reads: explain::octets,
    has_register: |name, octets| {
        octets == PCR_BYTES && document::INDEXES.map(register).any(|one| one == name)
    },
    vouches,
    recognises: document::looks_like_a_document,
    is_a_device: false,
};

impl Kind for Nitro {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn checks(&self) -> Vec<CheckInfo> {
        checks::infos(&table())
    }

    fn wants(&self, octets: &[u8]) -> Vec<Wanted> {
        wanted::wants(octets)
    }

    fn named(&self, collateral: &Collateral) -> Vec<(String, Collateral)> {
        wanted::named(collateral)
    }

    fn vendor_roots(&self) -> Vec<(String, [u8; 32])> {
        vec![("aws-nitro-enclaves-g1".to_owned(), chain::AWS_ROOT_G1)]
    }

    fn parts(&self, octets: &[u8]) -> Vec<Part> {
        of_cbor(octets, |path| path == "[2]", explain::part)
    }

    fn ends(&self, item: &EvidenceItem) -> Vec<u64> {
        let Ok(document) = Document::read(item.bytes()) else { return Vec::new() };
        let mut ends = certificates_end(&document.cabundle);
        ends.extend(certificates_end(&[document.certificate]));
        ends
    }

    fn made_at(&self, claims: &Value) -> Option<u64> {
        Some(claims.get("timestamp")?.as_u64()? / 1000)
    }

    fn lint(&self, policy: &AppraisalPolicy, remarks: &mut Vec<Remark>) {
        lint::lint(&policy.kinds().nitro, remarks);
    }

    fn is_off(&self, policy: &AppraisalPolicy, check: &str) -> bool {
        lint::is_off(&policy.kinds().nitro, check)
    }

    fn appraise(&self, input: &Input<'_>) -> Finding {
        let document = Document::read(input.item.bytes());
        let verified = document.as_ref().ok().map(|document| {
            let certificates = document.cabundle.iter().chain([&document.certificate]);
            input.caches.nitro.get_or_make(
                cache::key(input.collateral, certificates.map(Vec::as_slice)),
                || Verified::of(document, input.collateral.crls(), input.roots),
                Verified::holds,
            )
        });
        let chain = verified.as_ref().map(|verified| &verified.chain);
        let crls = verified.as_ref().map(|verified| revocation::in_force(&verified.crls, input.now));
        let crls = crls.unwrap_or_default();
        let policy = &input.policy.kinds().nitro;
        let context = Context {
            document: document.as_ref(),
            chain,
            crls: &crls,
            policy,
            freshness: input.policy.collateral(),
            references: input.references,
            now: input.now,
        };
        let document = document.as_ref().ok();
        let reference = document.and_then(|document| input.references.find(NAME, &registers(document)));
        let simulated = chain.is_some_and(|chain| chain.root == Ok(chain::Root::Simulated));
        Finding {
            recognised: self.recognises(input.item.bytes()),
            checks: checks::run(NAME, &table(), &context, input.policy, input.now),
            affirms: TrustVector {
                instance_identity: policy.machines.instance_identity(),
                configuration: 2,
                executables: reference.map_or(0, ReferenceValue::vouches),
                hardware: 2,
                // The document says nothing about the encryption of memory.
                runtime_opaque: 0,
            },
            claims: document.map(claims::of),
            carriage: document.and_then(Document::carriage).map(Carriage::Whole),
            assurance: if simulated { Assurance::Simulated } else { Assurance::Hardware },
            generation: None,
            machine: document.and_then(Document::instance).map(|instance| instance.as_bytes().to_vec()),
            reference: reference.cloned(),
            // The certificates are in the document; only CRLs come from elsewhere.
            collateral: Collateral::of_parts(
                Vec::new(),
                crls.iter().filter_map(|one| input.collateral.crls().get(one.position).cloned()).collect(),
                Vec::new(),
            ),
        }
    }
}

/// The name of a PCR.
fn register(index: u8) -> String {
    format!("pcr{index}")
}

/// What the document measures.
fn registers(document: &Document) -> Registers {
    document.pcrs.iter().map(|(index, value)| (register(*index), value.to_vec())).collect()
}

/// PCR0 covers the whole image, and so do PCR1 and PCR2 together; a part of it, or who signed it, is less. A value of
/// others, such as the parent's role, says nothing of what runs.
fn vouches(registers: &Registers) -> i8 {
    let names = |index: u8| registers.contains_key(&register(index));
    match (names(0) || (names(1) && names(2)), names(1) || names(2) || names(8)) {
        (true, _) => 2,
        (false, true) => 3,
        (false, false) => 0,
    }
}

impl<'a> Context<'a> {
    fn document(&self) -> Result<&'a Document, Found> {
        self.document.map_err(|_| Found::NotEvaluated("the document could not be read"))
    }

    fn chain(&self) -> Result<&'a VerifiedChain, Found> {
        self.chain.ok_or(Found::NotEvaluated("the document could not be read"))
    }
}
