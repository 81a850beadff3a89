//! `treering appraise`: is this evidence genuine, and is it what the policy asks for?
//!
//! Needs no server and no network: evidence, collateral and policy are files. Out of scope: freshness. A report on a
//! disk is bound to whatever it carries; `--report-data` compares that with what it should be.

mod hints;
mod input;
mod report;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use serde_json::json;
use treering_provenance::cose::Ed25519Signer;

use crate::clock::{self, Clock, SystemClock};
use crate::keys;
use crate::verifier::{
    self, Appraisal, AppraisalPolicy, Evidence, HardwareRoots, ReferenceValues, Refused, TokenOptions,
};

use hints::HINT_INPUT;
use report::{Bound, Explained, Style};

const AFFIRMING: u8 = 0;
const REFUSED: u8 = 1;
const CANNOT_EVALUATE: u8 = 2;

const EXAMPLES: &str = "\
Examples:
  A report of today, with the certificate of the key that signed it (from AMD's KDS or the host):
    treering appraise --evidence report.bin --endorsements vcek.pem
  A TDX quote of then, with what Intel's PCS said then:
    treering appraise --kind tdx --evidence quote.bin --collateral pcs/ --at 2025-06-25T00:00:00Z
  A report of then, signed by a VLEK, whose issuer (ASVK) is not built in:
    treering appraise --evidence report.bin --endorsements vlek.der milan_ask_ark_asvk.pem \\
        --at 2025-06-01T00:00:00Z
  Against a policy and reference values, bound to a value, for a program:
    treering appraise --evidence report.bin --endorsements vcek.pem --policy policy.toml \\
        --reference reference.toml --report-data 5a5a… --json
  NVIDIA's, Trustee's and attestation-rs' files as they are, or a CMW; the result signed for others:
    treering appraise --evidence evidence.json --signing-key verifier.pem --ear-jwt result.jwt
  What each check reads, octet by octet:
    treering appraise --evidence report.bin --endorsements vcek.pem --explain

Exit status: 0 affirming, or a warning that the policy waives; 1 refused; 2 cannot be evaluated.
A sample policy, with every key explained: docs/samples/appraisal-policy.toml";

/// Appraise evidence: every check, its verdict, and the result (EAR)
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// What the evidence is; guessed when left out: snp, tdx, sgx, nitro, tpm, az-snp, az-tdx, cca, nvidia, or cmw for a collection. Evidence of another kind is not appraised
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// The evidence, as its platform gives it, or the same in hex or base64
    #[arg(long, value_name = "FILE")]
    evidence: PathBuf,
    /// What only comes along with it, such as an event log
    #[arg(long, value_name = "FILE", num_args = 1..)]
    event_log: Vec<PathBuf>,
    /// Certificates that come with it and their issuers; PEM (also bundles) or DER. AMD's ARK and ASK are built in
    #[arg(long, alias = "ask", value_name = "FILE", num_args = 1..)]
    endorsements: Vec<PathBuf>,
    /// What the vendor publishes: certificates, CRLs, TCB information; files, folders of them, or a store
    #[arg(long, value_name = "FILE|DIR", num_args = 1..)]
    collateral: Vec<PathBuf>,
    /// Certificate revocation lists; PEM or DER
    #[arg(long, value_name = "FILE", num_args = 1..)]
    crl: Vec<PathBuf>,
    /// The instant to appraise for, RFC 3339; without it, now
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Appraisal policy, TOML; without it: genuine, not debuggable, not migratable, and the verdict says what was not asked
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Reference values, TOML or JSON
    #[arg(long, value_name = "FILE")]
    reference: Option<PathBuf>,
    /// The binding value that it must carry, 64 octets in hex
    #[arg(long, value_name = "HEX")]
    report_data: Option<String>,
    /// Trust these certificates (PEM or DER) as the roots of simulated platforms
    #[arg(long, value_name = "FILE")]
    simulated_root: Option<PathBuf>,
    /// Write the result as a signed JWT into this file
    #[arg(long, value_name = "FILE", requires = "signing_key")]
    ear_jwt: Option<PathBuf>,
    /// Write the result as a signed CWT into this file
    #[arg(long, value_name = "FILE", requires = "signing_key")]
    ear_cwt: Option<PathBuf>,
    /// The Verifier's Ed25519 key for them, PKCS#8 in PEM
    #[arg(long, value_name = "FILE")]
    signing_key: Option<PathBuf>,
    /// Say where the parts of the evidence are, and of every check which of them it reads
    #[arg(long)]
    explain: bool,
    /// Print one JSON object: status, submods, checks, ear
    #[arg(long)]
    json: bool,
}

/// Evidence in a file, for other commands.
pub(super) fn read_evidence(kind: Option<&str>, path: &std::path::Path) -> Result<Evidence> {
    Ok(input::evidence(kind, path, &[])?.0)
}

/// Runs it. What cannot be read is told here, so that the exit status is this command's own.
pub fn run(args: &Args) -> Result<ExitCode> {
    let (text, code) = match appraise(args) {
        Ok(Done { appraisal, bound, style }) => {
            let text = if args.json {
                report::for_programs(&appraisal, bound.as_ref(), &style)?
            } else {
                report::for_people(&appraisal, bound.as_ref(), &style)
            };
            (text, code(&appraisal, bound.as_ref()))
        }
        Err(error) => {
            let what = format!("{error:#}");
            writeln!(std::io::stderr().lock(), "cannot evaluate: {what}\n{HINT_INPUT}")?;
            let value = json!({"status": "cannot-evaluate", "submods": {}, "checks": [], "error": what});
            (if args.json { format!("{value}\n") } else { String::new() }, CANNOT_EVALUATE)
        }
    };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(ExitCode::from(code))
}

/// What came of it, and what is to be said of it.
#[derive(Debug)]
struct Done {
    appraisal: Appraisal,
    bound: Option<Bound>,
    style: Style,
}

fn appraise(args: &Args) -> Result<Done> {
    let binding = args.report_data.as_deref().map(input::binding).transpose()?;
    let (evidence, brought) = input::evidence(args.kind.as_deref(), &args.evidence, &args.event_log)?;
    let files = args.endorsements.iter().chain(&args.collateral).chain(&args.crl);
    let collateral = input::collateral(&evidence, brought, files)?;
    let policy = match &args.policy {
        Some(path) => AppraisalPolicy::parse(&input::read(path)?).with_context(|| input::shown(path))?,
        None => AppraisalPolicy::baseline(),
    };
    let references = match &args.reference {
        Some(path) => ReferenceValues::parse(&input::read(path)?).with_context(|| input::shown(path))?,
        None => ReferenceValues::none(),
    };
    let roots = match &args.simulated_root {
        Some(path) => input::simulated_roots(path)?,
        None => HardwareRoots::vendors(),
    };
    let now = match &args.at {
        Some(text) => clock::parse_rfc3339(text).with_context(|| format!("--at {text}"))?,
        None => SystemClock.now(),
    };
    let appraisal = verifier::appraise(&evidence, &collateral, &policy, &references, &roots, now);
    sign(args, &appraisal)?;
    let bound = binding.map(|value| Bound {
        unbound: appraisal.unbound(&value).map(|component| component.name().to_owned()).collect(),
    });
    let explained = args.explain.then(|| explained(args, &evidence)).transpose()?;
    let not_asked = if args.policy.is_none() { not_asked(&appraisal, &policy, args) } else { Vec::new() };
    Ok(Done { appraisal, bound, style: Style { explained, not_asked } })
}

/// What the baseline does not ask, what runs excepted where the caller gave reference values.
fn not_asked(appraisal: &Appraisal, policy: &AppraisalPolicy, args: &Args) -> Vec<String> {
    let mut keys = verifier::not_asked(appraisal, policy);
    keys.retain(|key| args.reference.is_none() || !key.ends_with("require_reference_value"));
    if args.report_data.is_none() {
        keys.push("report_data".to_owned());
    }
    keys
}

/// Where each component is in the file, and its parts in the component.
fn explained(args: &Args, evidence: &Evidence) -> Result<Vec<Explained>> {
    let file = input::read(&args.evidence)?;
    let shown = input::shown(&args.evidence);
    let one = |(component, octets, parts): (String, &[u8], _)| {
        let place = match input::place_in_file(&file, octets) {
            Some((range, form)) => format!("{:#06x}..{:#06x} of {shown}{form}", range.start, range.end),
            None => format!("0x0000..{:#06x}, written anew from {shown}", octets.len()),
        };
        Explained { component, place, parts }
    };
    Ok(verifier::parts_of(evidence).into_iter().map(one).collect())
}

/// The result as tokens, whatever it says: a refusal can be shown too.
fn sign(args: &Args, appraisal: &Appraisal) -> Result<()> {
    let Some(path) = &args.signing_key else { return Ok(()) };
    let signer = Ed25519Signer::from_seed(&keys::read_ed25519(path)?.to_bytes())?;
    let options = TokenOptions::default();
    if let Some(path) = &args.ear_jwt {
        let token = verifier::write_jwt(appraisal, options, &signer)?;
        std::fs::write(path, token).with_context(|| input::shown(path))?;
    }
    if let Some(path) = &args.ear_cwt {
        let token = verifier::write_cwt(appraisal, options, &signer)?;
        std::fs::write(path, token).with_context(|| input::shown(path))?;
    }
    Ok(())
}

fn code(appraisal: &Appraisal, bound: Option<&Bound>) -> u8 {
    match appraisal.refusal() {
        None if bound.is_none_or(|bound| bound.unbound.is_empty()) => AFFIRMING,
        None | Some(Refused::Check { .. }) => REFUSED,
        Some(Refused::NotEvidence(_)) => CANNOT_EVALUATE,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::Value;

    use super::*;
    use crate::attester::recorded;

    fn args(evidence: &Path, endorsements: &Path) -> Args {
        Args {
            kind: None,
            evidence: evidence.to_owned(),
            event_log: Vec::new(),
            endorsements: vec![endorsements.to_owned()],
            collateral: Vec::new(),
            report_data: None,
            explain: false,
            ear_jwt: None,
            ear_cwt: None,
            signing_key: None,
            crl: Vec::new(),
            at: Some("2026-03-01T00:00:00Z".to_owned()),
            policy: None,
            reference: None,
            simulated_root: None,
            json: true,
        }
    }

    fn recorded_files(dir: &Path) -> Args {
        let milan = recorded::milan().unwrap();
        std::fs::write(dir.join("report.bin"), &milan.evidence[0].bytes).unwrap();
        std::fs::write(dir.join("vcek.der"), &milan.endorsements[0]).unwrap();
        args(&dir.join("report.bin"), &dir.join("vcek.der"))
    }

    fn programs(appraisal: &Appraisal) -> Result<String> {
        report::for_programs(appraisal, None, &Style { explained: Some(Vec::new()), not_asked: Vec::new() })
    }

    #[test]
    fn a_genuine_report_is_affirming_and_its_json_has_the_promised_keys() {
        let dir = tempfile::tempdir().unwrap();
        let Done { appraisal, .. } = appraise(&recorded_files(dir.path())).unwrap();
        assert_eq!(code(&appraisal, None), AFFIRMING, "{:?}", appraisal.refusal());
        let value: Value = serde_json::from_str(&programs(&appraisal).unwrap()).unwrap();
        assert_eq!(value["status"], "affirming");
        assert_eq!(value["submods"]["sev-snp"]["ear_trustworthiness_vector"]["executables"], 0);
        assert!(value["checks"].as_array().unwrap().iter().all(|check| {
            check["name"].is_string() && check["ok"] == true && check["detail"].is_string()
        }));
        assert_eq!(value["ear"]["eat_profile"], verifier::EAR_PROFILE);
        let text = report::for_people(&appraisal, None, &Style::default());
        assert!(text.contains("ok      signature") && text.ends_with("affirming.\n"), "{text}");
    }

    #[test]
    fn the_binding_value_is_compared() {
        let dir = tempfile::tempdir().unwrap();
        let mut args = recorded_files(dir.path());
        let Done { appraisal, .. } = appraise(&args).unwrap();
        let own = appraisal.components()[0].claim("report_data").unwrap().to_owned();
        for (value, status) in [(own, AFFIRMING), ("00".repeat(64), REFUSED)] {
            args.report_data = Some(value);
            let Done { appraisal, bound, .. } = appraise(&args).unwrap();
            assert_eq!(code(&appraisal, bound.as_ref()), status);
        }
        args.report_data = Some("00".to_owned());
        appraise(&args).unwrap_err();
    }

    #[test]
    fn every_check_of_every_kind_says_what_it_reads() {
        for (kind, _) in verifier::kinds() {
            for check in verifier::checks_of(kind).unwrap() {
                assert!(
                    verifier::reads(kind, check).is_some_and(|reads| !reads.is_empty()),
                    "{kind}: {check}"
                );
            }
        }
    }

    #[test]
    fn kinds_are_named_or_guessed() {
        let dir = tempfile::tempdir().unwrap();
        let mut args = recorded_files(dir.path());
        for kind in [None, Some("snp"), Some("sev-snp")] {
            args.kind = kind.map(str::to_owned);
            assert_eq!(code(&appraise(&args).unwrap().appraisal, None), AFFIRMING);
        }
        args.kind = Some("abacus".to_owned());
        assert!(appraise(&args).unwrap_err().to_string().contains("there is no such kind"));
    }

    #[test]
    fn hex_is_read_too() {
        let dir = tempfile::tempdir().unwrap();
        let mut args = recorded_files(dir.path());
        let hex = data_encoding::HEXUPPER.encode(&std::fs::read(&args.evidence).unwrap());
        args.evidence = dir.path().join("report.hex");
        std::fs::write(&args.evidence, format!("{hex}\n")).unwrap();
        assert_eq!(code(&appraise(&args).unwrap().appraisal, None), AFFIRMING);
    }

    #[test]
    fn a_report_out_of_its_time_is_refused_with_a_hint() {
        let dir = tempfile::tempdir().unwrap();
        let mut args = recorded_files(dir.path());
        args.at = Some("2040-01-01T00:00:00Z".to_owned());
        let Done { appraisal, .. } = appraise(&args).unwrap();
        assert_eq!(code(&appraisal, None), REFUSED);
        let text = report::for_people(&appraisal, None, &Style::default());
        assert!(text.contains("check validity failed") && text.contains("--at"), "{text}");
    }

    #[test]
    fn garbage_cannot_be_evaluated() {
        let dir = tempfile::tempdir().unwrap();
        let mut args = recorded_files(dir.path());
        for garbage in [&b""[..], b"hello", &[0; 1184], &[0xff; 1184], &[2; 1183]] {
            std::fs::write(&args.evidence, garbage).unwrap();
            let Done { appraisal, .. } = appraise(&args).unwrap();
            assert_eq!(code(&appraisal, None), CANNOT_EVALUATE);
            assert!(programs(&appraisal).unwrap().contains("cannot-evaluate"));
        }
        args.evidence = dir.path().join("missing");
        appraise(&args).unwrap_err();
        let mut args = recorded_files(dir.path());
        std::fs::write(dir.path().join("vcek.der"), b"no certificate").unwrap();
        appraise(&args).unwrap_err();
        args = recorded_files(dir.path());
        args.at = Some("yesterday".to_owned());
        appraise(&args).unwrap_err();
    }
}
