//! Arm CCA: attestation tokens (CBOR tag 399) of two parts: what the platform's attestation key says of the platform
//! and of the realm's key, and what the realm's key says of the realm.
//!
//! In scope: the tokens of RMM 1.0 (profiles of 2023, and the older one without a profile in the realm's part) and of
//! the draft of RMM 2.0 (2024), under platform keys that the policy names: Arm has no public root.
//! Out of scope: CMW collections (tag 907, draft-ffm-rats-cca-token-04), devices assigned to a realm and extensions of
//! a platform: they are refused by name.
//! References: *RMM* is Arm DEN0137, section A7.2.3; *TOKEN* is draft-ffm-rats-cca-token.

mod authenticity;
mod claims;
mod explain;
mod keys;
mod lint;
mod platform;
mod policy;
mod realm;
mod requirements;
mod token;

pub(in crate::verifier) use policy::Policy;

use super::{About, Assurance, Finding, Input, Kind};
use crate::verifier::binding::Carriage;
use crate::verifier::checks::{self, Check, CheckInfo, Found, Harm};
use crate::verifier::collateral::Collateral;
use crate::verifier::ear::TrustVector;
use crate::verifier::evidence::CCA_TOKEN;
use crate::verifier::lint::Remark;
use crate::verifier::parts::{Part, of_cbor};
use crate::verifier::policy::AppraisalPolicy;
use crate::verifier::reference::{ReferenceValue, ReferenceValues, Registers};
use crate::verifier::sign1::Unreadable;

use keys::Candidates;
use platform::MAX_COMPONENTS;
use token::Token;

/// The name of this kind.
pub const NAME: &str = "cca";

/// Registers of the realm that are measurements, the first one at its creation.
const REALM_REGISTERS: [&str; 5] = ["rim", "rem0", "rem1", "rem2", "rem3"];
/// The realm's personalization value, its owner's.
const PERSONALIZATION: &str = "rpv";
/// The platform's implementation and configuration, which count with its components.
const IMPLEMENTATION: &str = "implementation";
const CONFIG: &str = "config";
/// Octets of a configuration that a reference value can name: the platforms' have a few.
const MAX_CONFIG_REGISTER: usize = 64;

/// This kind.
pub(in crate::verifier) struct Cca;

/// Everything a check may look at.
struct Context<'a> {
    token: Result<&'a Token, &'a Unreadable>,
    keys: Option<&'a Candidates<'a>>,
    policy: &'a Policy,
    references: &'a ReferenceValues,
}

/// All of them, in order.
fn table<'a>() -> [Check<Context<'a>>; 12] {
    [
        Check::firm("format", Harm::NotAuthentic, authenticity::format),
        Check::firm("canonical", Harm::NotAuthentic, authenticity::canonical),
        Check::firm("platform-key", Harm::NotAuthentic, authenticity::platform_key),
        Check::firm("platform-signature", Harm::NotAuthentic, authenticity::platform_signature),
        Check::firm("realm-signature", Harm::NotAuthentic, authenticity::realm_signature),
        Check::firm("key-binding", Harm::NotAuthentic, authenticity::key_binding),
        Check::firm("hash-algorithms", Harm::Configuration, requirements::hash_algorithms),
        Check::waivable("lifecycle", Harm::Exposed, requirements::lifecycle),
        Check::firm("implementation", Harm::Hardware, requirements::implementation),
        Check::firm("machine", Harm::Identity, requirements::machine),
        Check::waivable("platform-reference", Harm::WeakHardware, requirements::platform_reference),
        Check::waivable("reference-value", Harm::Executables, requirements::reference_value),
    ]
}

/// What it is.
const ABOUT: About = About {
    name: NAME,
    media_types: &[CCA_TOKEN],
    supplements: &[],
    documents: &[],
    reads: explain::octets,
    has_register,
    vouches,
    recognises: token::looks_like_a_token,
    is_a_device: false,
};

impl Kind for Cca {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn checks(&self) -> Vec<CheckInfo> {
        checks::infos(&table())
    }

    fn lint(&self, policy: &AppraisalPolicy, remarks: &mut Vec<Remark>) {
        lint::lint(&policy.kinds().cca, remarks);
    }

    fn parts(&self, octets: &[u8]) -> Vec<Part> {
        of_cbor(octets, explain::opens, explain::part)
    }

    fn impossible(&self, policy: &AppraisalPolicy) -> Option<String> {
        lint::impossible(&policy.kinds().cca)
    }

    fn appraise(&self, input: &Input<'_>) -> Finding {
        let token = Token::read(input.item.bytes());
        let policy = &input.policy.kinds().cca;
        let keys = token.as_ref().ok().map(|token| Candidates::of(token, policy, input.roots));
        let context =
            Context { token: token.as_ref(), keys: keys.as_ref(), policy, references: input.references };
        let token = token.as_ref().ok();
        let reference = token.and_then(|token| input.references.find(NAME, &realm_registers(token)));
        let simulated = keys.as_ref().is_some_and(Candidates::is_simulated);
        Finding {
            recognised: self.recognises(input.item.bytes()),
            checks: checks::run(NAME, &table(), &context, input.policy, input.now),
            affirms: TrustVector {
                instance_identity: policy.machines.instance_identity(),
                configuration: 2,
                executables: reference.map_or(0, ReferenceValue::vouches),
                hardware: 2,
                // A realm with a memory encryption context of its own says so; else it is isolated, and what is
                // encrypted is in the platform's configuration, in a form of its vendor's.
                runtime_opaque: if token.is_some_and(|token| token.realm.has_private_context()) {
                    2
                } else {
                    32
                },
            },
            claims: token.map(claims::of),
            carriage: token.map(|token| Carriage::Whole(token.realm.challenge)),
            assurance: if simulated { Assurance::Simulated } else { Assurance::Hardware },
            generation: None,
            machine: token.map(|token| token.platform.instance_id.to_vec()),
            reference: reference.cloned(),
            // The keys are in the policy; nothing else comes from elsewhere.
            collateral: Collateral::default(),
        }
    }
}

fn has_register(name: &str, octets: usize) -> bool {
    let hash = [32, 48, 64].contains(&octets);
    let component = || (0..MAX_COMPONENTS).any(|at| name == component(at) || name == signer(at));
    match name {
        PERSONALIZATION => octets == 64,
        IMPLEMENTATION => octets == 32,
        CONFIG => (1..=MAX_CONFIG_REGISTER).contains(&octets),
        _ => hash && (REALM_REGISTERS.contains(&name) || component()),
    }
}

/// The name of a component's measurement: `sw0` is the first one of the list.
fn component(at: usize) -> String {
    format!("sw{at}")
}

/// The name of who signed a component.
fn signer(at: usize) -> String {
    format!("sw{at}-signer")
}

/// What the realm's part measures.
fn realm_registers(token: &Token) -> Registers {
    let realm = &token.realm;
    let values = std::iter::once(&realm.initial_measurement).chain(&realm.extensible_measurements);
    let named = REALM_REGISTERS.iter().zip(values).map(|(name, value)| ((*name).to_owned(), value.clone()));
    named.chain([(PERSONALIZATION.to_owned(), realm.personalization.to_vec())]).collect()
}

/// What the platform's part measures.
fn platform_registers(token: &Token) -> Registers {
    let platform = &token.platform;
    let components = platform.components.iter().enumerate();
    let each = components
        .flat_map(|(at, one)| [(component(at), one.measurement.clone()), (signer(at), one.signer.clone())]);
    let whole = [
        (IMPLEMENTATION.to_owned(), platform.implementation_id.to_vec()),
        (CONFIG.to_owned(), platform.config.clone()),
    ];
    each.chain(whole).collect()
}

/// Whether a reference value is one of a platform: it names a register of one.
fn is_of_a_platform(value: &ReferenceValue) -> bool {
    let of_a_realm = |name: &str| REALM_REGISTERS.contains(&name) || name == PERSONALIZATION;
    value.tee == NAME && value.registers.keys().any(|name| !of_a_realm(name))
}

/// All of the realm's measurements, its initial one, or not that: what extends the others is what the initial one measures.
fn vouches(registers: &Registers) -> i8 {
    let names = |name: &&str| registers.contains_key(*name);
    match (REALM_REGISTERS.iter().all(names), names(&"rim")) {
        (true, _) => 2,
        (false, true) => 3,
        (false, false) => 0,
    }
}

/// Whether a reference value names the measurement of each of a platform's components. Its implementation and
/// configuration are not what runs on it.
fn names_components(value: &ReferenceValue, token: &Token) -> bool {
    let mut components = 0..token.platform.components.len();
    components.all(|at| value.registers.contains_key(&component(at)))
}

impl<'a> Context<'a> {
    fn token(&self) -> Result<&'a Token, Found> {
        self.token.map_err(|_| Found::NotEvaluated("the token could not be read"))
    }

    fn keys(&self) -> Result<&'a Candidates<'a>, Found> {
        self.keys.ok_or(Found::NotEvaluated("the token could not be read"))
    }
}
