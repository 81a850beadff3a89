//! Every check of SEV-SNP evidence, in order: one table, one function each.
//!
//! A check sees the report, the verified chain, the policy, the reference values and the instant, and says what it
//! found in words. What a failure means for the result stands beside it in the table.

use super::chain::VerifiedVek;
use super::policy::{AppraisalPolicy, SnpPolicy};
use super::reference::ReferenceValues;
use super::roots::Generation;
use super::sev_snp::{ECDSA_P384_SHA384, Report, SigningKey, Tcb, Unreadable, all_zero};

/// Everything a check may look at.
pub(super) struct Context<'a> {
    pub(super) report: Result<&'a Report, &'a Unreadable>,
    pub(super) vek: &'a VerifiedVek,
    pub(super) policy: &'a AppraisalPolicy,
    pub(super) references: &'a ReferenceValues,
    pub(super) now: u64,
}

/// What a check found.
pub(super) enum Found {
    /// It holds.
    Ok(String),
    /// It does not.
    Failed(String),
    /// It cannot be judged, because of what an earlier check found.
    NotEvaluated(&'static str),
}

type Outcome = Result<String, Found>;

/// What a failure means for the result (AR4SI).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Harm {
    /// Nothing in the evidence can be believed.
    NotAuthentic,
    /// The platform is genuine, but known to be weak.
    Hardware,
    /// The machine is not one of those named.
    Identity,
    /// It is set up in a way that the policy does not allow.
    Configuration,
    /// It is set up so that others can read its memory.
    Exposed,
    /// What runs is not known.
    Executables,
}

/// One check.
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) harm: Harm,
    pub(super) waivable: bool,
    run: fn(&Context<'_>) -> Outcome,
}

impl Check {
    pub(super) fn find(&self, context: &Context<'_>) -> Found {
        match (self.run)(context) {
            Ok(detail) => Found::Ok(detail),
            Err(found) => found,
        }
    }
}

/// All of them. docs/verifier.md explains each; a test holds the two together.
pub(super) const CHECKS: &[Check] = &[
    check("format", Harm::NotAuthentic, false, format),
    check("canonical", Harm::NotAuthentic, false, canonical),
    check("signature-algorithm", Harm::NotAuthentic, false, signature_algorithm),
    check("endorsement", Harm::NotAuthentic, false, endorsement),
    check("chain", Harm::NotAuthentic, false, chain),
    check("root", Harm::NotAuthentic, false, root),
    check("validity", Harm::NotAuthentic, false, validity),
    check("revocation", Harm::Hardware, false, revocation),
    check("signing-key", Harm::NotAuthentic, false, signing_key),
    check("signature", Harm::NotAuthentic, false, signature),
    check("generation", Harm::NotAuthentic, false, generation),
    check("tcb-binding", Harm::NotAuthentic, false, tcb_binding),
    check("chip-binding", Harm::NotAuthentic, false, chip_binding),
    check("allowed-key", Harm::Configuration, false, allowed_key),
    check("allowed-generation", Harm::Hardware, false, allowed_generation),
    check("tcb-order", Harm::Hardware, false, tcb_order),
    check("tcb-floor", Harm::Hardware, true, tcb_floor),
    check("mitigations", Harm::Hardware, true, mitigations),
    check("debug", Harm::Exposed, true, debug),
    check("migration", Harm::Exposed, true, migration),
    check("vmpl", Harm::Configuration, false, vmpl),
    check("guest-policy", Harm::Configuration, true, guest_policy),
    check("platform", Harm::Configuration, true, platform),
    check("machine", Harm::Identity, false, machine),
    check("id-block", Harm::Configuration, false, id_block),
    check("reference-value", Harm::Executables, true, reference_value),
];

const fn check(name: &'static str, harm: Harm, waivable: bool, run: fn(&Context<'_>) -> Outcome) -> Check {
    Check { name, harm, waivable, run }
}

/// The names of the checks that a policy may waive.
pub(super) fn waivable() -> Vec<&'static str> {
    CHECKS.iter().filter(|check| check.waivable).map(|check| check.name).collect()
}

pub(super) fn is_waivable(name: &str) -> bool {
    waivable().contains(&name)
}

impl<'a> Context<'a> {
    fn report(&self) -> Result<&'a Report, Found> {
        self.report.map_err(|_| Found::NotEvaluated("the report could not be read"))
    }

    fn snp(&self) -> &'a SnpPolicy {
        self.policy.snp()
    }

    fn endorsement(&self) -> Result<&'a super::certificate::Endorsement, Found> {
        self.vek
            .endorsement
            .as_ref()
            .map_err(|_| Found::NotEvaluated("there is no endorsement to compare with"))
    }

    /// The generation as far as it is established: by the root the chain ends in.
    fn rooted_generation(&self) -> Result<Generation, Found> {
        let root = self.vek.root.as_ref();
        root.map(|root| root.generation).map_err(|_| Found::NotEvaluated("no pinned root"))
    }
}

fn fail<T>(detail: impl Into<String>) -> Result<T, Found> {
    Err(Found::Failed(detail.into()))
}

fn format(context: &Context<'_>) -> Outcome {
    match context.report {
        Ok(report) => Ok(format!("SEV-SNP report, version {}", report.fields().version)),
        Err(Unreadable::Format(reason)) => fail(reason.as_str()),
        Err(Unreadable::NotCanonical(_)) => Ok("SEV-SNP report".to_owned()),
    }
}

fn canonical(context: &Context<'_>) -> Outcome {
    match context.report {
        Ok(_) => {
            Ok("the octets are the only ones that mean this; what is reserved is as it must be".to_owned())
        }
        Err(Unreadable::NotCanonical(reason)) => fail(reason.as_str()),
        Err(Unreadable::Format(_)) => Err(Found::NotEvaluated("the report could not be read")),
    }
}

fn signature_algorithm(context: &Context<'_>) -> Outcome {
    match context.report()?.fields().sig_algo {
        ECDSA_P384_SHA384 => Ok("ECDSA P-384 with SHA-384".to_owned()),
        other => fail(format!("algorithm {other}, want {ECDSA_P384_SHA384} (ECDSA P-384 with SHA-384)")),
    }
}

fn endorsement(context: &Context<'_>) -> Outcome {
    match &context.vek.endorsement {
        Ok(endorsement) => {
            let provider = endorsement.service_provider.as_ref();
            let provider = provider.map(|name| format!(", service provider {name}")).unwrap_or_default();
            Ok(format!("{} of a {}{provider}", endorsement.kind.name(), endorsement.product))
        }
        Err(reason) => fail(reason.as_str()),
    }
}

fn chain(context: &Context<'_>) -> Outcome {
    context.vek.chain.clone().map_err(Found::Failed)
}

fn root(context: &Context<'_>) -> Outcome {
    if context.vek.chain.is_err() {
        return Err(Found::NotEvaluated("no chain leads to a root"));
    }
    match &context.vek.root {
        Ok(root) if root.simulated => {
            Ok(format!("SIMULATED platform, as {}, pinned by configuration", root.generation))
        }
        Ok(root) => Ok(format!("AMD's root of {}, pinned", root.generation)),
        Err(reason) => fail(reason.as_str()),
    }
}

fn validity(context: &Context<'_>) -> Outcome {
    let now = context.now;
    for window in &context.vek.windows {
        if now < window.not_before {
            let from = crate::clock::rfc3339(window.not_before);
            return fail(format!("{} is not valid before {from}", window.name));
        }
        if now > window.not_after {
            return fail(format!("{} expired at {}", window.name, crate::clock::rfc3339(window.not_after)));
        }
    }
    match context.vek.windows.iter().map(|window| window.not_after).min() {
        Some(until) => {
            Ok(format!("{} certificates, until {}", context.vek.windows.len(), crate::clock::rfc3339(until)))
        }
        None => Err(Found::NotEvaluated("there is no certificate")),
    }
}

fn revocation(context: &Context<'_>) -> Outcome {
    let mut oldest: Option<u64> = None;
    for crl in &context.vek.crls {
        let revocation = crl.as_ref().map_err(|reason| Found::Failed(reason.clone()))?;
        if let Some(revoked) = &revocation.revoked {
            return fail(format!("revoked: {revoked}"));
        }
        let (from, until) = (revocation.crl.this_update, revocation.crl.next_update.unwrap_or(u64::MAX));
        if context.now < from || context.now > until {
            let from = crate::clock::rfc3339(from);
            return fail(format!("the CRL of {from} is not the one of that time"));
        }
        oldest = Some(oldest.map_or(from, |oldest| oldest.min(from)));
    }
    match oldest {
        Some(from) => Ok(format!("not revoked by the CRL of {}", crate::clock::rfc3339(from))),
        None if context.snp().require_crl => fail("no CRL given, and the policy requires one"),
        None => Ok("no CRL given: not checked".to_owned()),
    }
}

fn signing_key(context: &Context<'_>) -> Outcome {
    let named = context.report()?.signing_key().map_err(Found::Failed)?;
    let endorsed = context.endorsement()?.kind;
    if named == endorsed {
        Ok(format!("{}, as its certificate says", named.name()))
    } else {
        fail(format!("the report names a {}, the certificate is a {}'s", named.name(), endorsed.name()))
    }
}

fn signature(context: &Context<'_>) -> Outcome {
    let report = context.report()?;
    let key = context.vek.key.as_ref();
    let key = key.ok_or(Found::NotEvaluated("no key is endorsed under a pinned root"))?;
    match key.verify_sig(report.signed(), &report.signature()) {
        Ok(()) => Ok("over the octets received".to_owned()),
        Err(_) => fail("the endorsed key did not sign this report"),
    }
}

fn generation(context: &Context<'_>) -> Outcome {
    let rooted = context.rooted_generation()?;
    let report = context.report()?;
    let product = &context.endorsement()?.product;
    if product.split_once('-').map_or(product.as_str(), |(name, _)| name) != rooted.name() {
        return fail(format!("the certificate is for a {product}, its root is that of {rooted}"));
    }
    // The layout of the TCB version differs from Turin on; the report must have been read in the right one.
    let turin = report.reported_tcb().fmc.is_some();
    match report.generation() {
        Some(Ok(named)) if named == rooted => Ok(format!("{rooted}, by CPUID and certificates")),
        Some(Ok(named)) => fail(format!("the report is of a {named}, the certificates of a {rooted}")),
        Some(Err(reason)) => fail(reason),
        None if turin || rooted == Generation::Turin => fail("a report of version 2 cannot be of a Turin"),
        None => Ok(format!("{rooted}, by certificates (version 2 does not say)")),
    }
}

fn tcb_binding(context: &Context<'_>) -> Outcome {
    let reported = context.report()?.reported_tcb();
    let endorsed = context.endorsement()?.tcb;
    if reported == endorsed {
        Ok(format!("{reported}: the report and the certificate agree"))
    } else {
        fail(format!("the report says {reported}; the certificate {endorsed}"))
    }
}

fn chip_binding(context: &Context<'_>) -> Outcome {
    let chip_id = &context.report()?.fields().chip_id;
    let endorsement = context.endorsement()?;
    match (endorsement.kind, &endorsement.hardware_id) {
        (SigningKey::Vlek, _) => Ok("a VLEK names no chip".to_owned()),
        (SigningKey::Vcek, None) => fail("the VCEK certificate names no chip"),
        (SigningKey::Vcek, Some(_)) if all_zero(chip_id) => Ok("the host masks the chip id".to_owned()),
        (SigningKey::Vcek, Some(id)) => {
            let (named, rest) = chip_id.split_at(id.len().min(chip_id.len()));
            if named == id.as_slice() && all_zero(rest) {
                Ok(format!("chip {}...", data_encoding::HEXLOWER.encode(id.get(..8).unwrap_or(id))))
            } else {
                fail("the report is of another chip than the certificate")
            }
        }
    }
}

fn allowed_key(context: &Context<'_>) -> Outcome {
    let kind = context.endorsement()?.kind;
    if context.snp().signing_keys.contains(&kind) {
        Ok(format!("the policy allows a {}", kind.name()))
    } else {
        fail(format!("the policy does not allow a {}", kind.name()))
    }
}

fn allowed_generation(context: &Context<'_>) -> Outcome {
    let generation = context.rooted_generation()?;
    if context.snp().denied_generations.contains(&generation) {
        fail(format!("the policy denies {generation}"))
    } else {
        Ok(format!("the policy does not deny {generation}"))
    }
}

fn tcb_order(context: &Context<'_>) -> Outcome {
    let fields = context.report()?.fields();
    let (current, committed) = (Tcb::from(fields.current_tcb), Tcb::from(fields.committed_tcb));
    let version = |version: sev::firmware::guest::Version| (version.major, version.minor, version.build);
    if !current.is_at_least(&committed) || version(fields.current) < version(fields.committed) {
        return fail(format!("current ({current}) is below committed ({committed})"));
    }
    let reported = Tcb::from(fields.reported_tcb);
    if !current.is_at_least(&reported) {
        return fail(format!("reported ({reported}) is above current ({current})"));
    }
    Ok("committed and reported are not above current".to_owned())
}

fn tcb_floor(context: &Context<'_>) -> Outcome {
    let generation = context.rooted_generation()?;
    let Some(floor) = context.snp().tcb_floor.get(&generation) else {
        return if context.snp().require_tcb_floor {
            fail(format!("the policy has no floor for {generation}, and requires one"))
        } else {
            Ok("the policy sets none".to_owned())
        };
    };
    // From the certificate: AMD endorses it. The report repeats it, and adds what the host cannot roll back below.
    let endorsed = context.endorsement()?.tcb;
    let committed = Tcb::from(context.report()?.fields().committed_tcb);
    for (what, tcb) in [("endorsed", endorsed), ("committed", committed)] {
        if !tcb.is_at_least(floor) {
            return fail(format!("{what} TCB ({tcb}) is below the floor for {generation} ({floor})"));
        }
    }
    Ok(format!("at or above the floor for {generation} ({floor})"))
}

fn mitigations(context: &Context<'_>) -> Outcome {
    let generation = context.rooted_generation()?;
    let Some(wanted) = context.snp().mitigations.get(&generation) else {
        return Ok("the policy requires none".to_owned());
    };
    let fields = context.report()?.fields();
    match (fields.launch_mit_vector, fields.current_mit_vector) {
        (Some(launch), Some(current)) if launch & current & wanted == *wanted => {
            Ok(format!("{wanted:#x} are in {current:#x}"))
        }
        (Some(launch), Some(current)) => {
            fail(format!("want {wanted:#x}, got {launch:#x} at launch and {current:#x} now"))
        }
        _ => fail(format!("want {wanted:#x}, a report before version 5 does not say")),
    }
}

fn debug(context: &Context<'_>) -> Outcome {
    if context.report()?.fields().policy.debug_allowed() {
        fail("the guest policy allows debugging: the host can read the guest's memory")
    } else {
        Ok("not allowed".to_owned())
    }
}

fn migration(context: &Context<'_>) -> Outcome {
    let fields = context.report()?.fields();
    if fields.policy.migrate_ma_allowed() {
        fail("the guest policy allows a migration agent")
    } else {
        Ok("not allowed".to_owned())
    }
}

fn vmpl(context: &Context<'_>) -> Outcome {
    let level = context.report()?.fields().vmpl;
    let allowed = &context.snp().vmpl;
    if allowed.contains(&level) {
        Ok(format!("requested at VMPL {level}"))
    } else {
        fail(format!("requested at VMPL {level}, the policy allows {allowed:?}"))
    }
}

fn guest_policy(context: &Context<'_>) -> Outcome {
    let (report, rules) = (context.report()?, &context.snp().guest_policy);
    let policy = &report.fields().policy;
    let broken = [
        (rules.forbid_smt && policy.smt_allowed(), "SMT is allowed"),
        (rules.require_single_socket && !policy.single_socket_required(), "several sockets are allowed"),
        (rules.forbid_cxl && policy.cxl_allowed(), "CXL is allowed"),
        (rules.require_aes_256_xts && !policy.mem_aes_256_xts(), "AES-256-XTS is not required"),
        (rules.require_rapl_disabled && !policy.rapl_dis(), "RAPL is allowed"),
        (rules.require_ciphertext_hiding && !policy.ciphertext_hiding(), "ciphertext hiding is not required"),
        (rules.require_page_swap_disabled && !policy.page_swap_disabled(), "page swapping is not disabled"),
    ];
    let mut broken: Vec<String> = named(&broken);
    let abi = (u64_byte(policy.abi_major()), u64_byte(policy.abi_minor()));
    if let Some(min) = rules.min_abi.filter(|min| abi < *min) {
        broken.push(format!("ABI {}.{} is below {}.{}", abi.0, abi.1, min.0, min.1));
    }
    verdict(&broken, format!("{:#x}, as the policy wants it", report.policy()))
}

fn platform(context: &Context<'_>) -> Outcome {
    let (report, rules) = (context.report()?, &context.snp().platform);
    let info = &report.fields().plat_info;
    let broken = named(&[
        (rules.require_alias_check && !info.alias_check_complete(), "no check for memory aliases (BadRAM)"),
        (rules.require_ecc && !info.ecc_enabled(), "no ECC memory"),
        (rules.require_tsme && !info.tsme_enabled(), "TSME is off"),
        (rules.require_rapl_disabled && !info.rapl_disabled(), "RAPL is on"),
        (rules.require_ciphertext_hiding && !info.ciphertext_hiding_enabled(), "ciphertext hiding is off"),
        (rules.forbid_smt && info.smt_enabled(), "SMT is on"),
        (rules.forbid_tio && info.tio_enabled(), "SEV-TIO is on"),
    ]);
    verdict(&broken, format!("{:#x}, as the policy wants it", u64::from(*info)))
}

fn named(rules: &[(bool, &str)]) -> Vec<String> {
    rules.iter().filter(|(broken, _)| *broken).map(|(_, text)| (*text).to_owned()).collect()
}

fn verdict(broken: &[String], well: String) -> Outcome {
    if broken.is_empty() { Ok(well) } else { fail(broken.join(", ")) }
}

fn u64_byte(value: u64) -> u8 {
    u8::try_from(value & 0xff).unwrap_or(u8::MAX)
}

fn machine(context: &Context<'_>) -> Outcome {
    let machines = &context.snp().machines;
    if machines.is_empty() {
        return Ok("the policy names none".to_owned());
    }
    let chip = context.report()?.facts();
    let Some(chip) = chip.authenticated_chip() else {
        return fail("the policy names machines, and this report names no chip");
    };
    match machines.iter().find(|machine| machine.chip_id == chip) {
        Some(machine) => Ok(format!("{}, named by the policy", machine.name)),
        None => fail("the chip is none of those the policy names"),
    }
}

fn id_block(context: &Context<'_>) -> Outcome {
    let (fields, snp) = (context.report()?.fields(), context.snp());
    if !snp.id_keys.is_empty() && !snp.id_keys.iter().any(|key| key.as_slice() == fields.id_key_digest) {
        return fail("the ID key is none of those the policy names");
    }
    // Without AUTHOR_KEY_EN the field says nothing, whatever it holds.
    let author = fields.key_info.author_key_en().then_some(&fields.author_key_digest);
    let known = |digest: &[u8; 48]| snp.author_keys.iter().any(|key| key.as_slice() == digest);
    if !snp.author_keys.is_empty() && !author.is_some_and(known) {
        return fail("the author key is none of those the policy names");
    }
    match (snp.id_keys.is_empty(), snp.author_keys.is_empty()) {
        (true, true) => Ok("the policy names no keys".to_owned()),
        _ => Ok("signed as the policy wants it".to_owned()),
    }
}

fn reference_value(context: &Context<'_>) -> Outcome {
    let measurement = &context.report()?.fields().measurement;
    if let Some(value) = context.references.find(measurement) {
        return Ok(format!("the measurement is that of {}", value.name));
    }
    let known = context.references.values().len();
    if known == 0 && !context.snp().require_reference_value {
        return Ok("no reference values given: the measurement is not judged".to_owned());
    }
    let hex = data_encoding::HEXLOWER.encode(measurement);
    fail(format!("measurement {hex} is none of the {known} reference values"))
}
