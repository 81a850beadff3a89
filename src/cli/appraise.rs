//! `treering appraise`: is this evidence genuine, and is it what the policy asks for?
//!
//! Needs no server and no network: evidence, certificates and policy are files. Out of scope: freshness. A report on
//! a disk is bound to whatever its REPORT_DATA says, which is printed for the reader to compare.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use serde_json::{Map, Value, json};

use crate::clock::{self, Clock, SystemClock};
use crate::verifier::{
    self, Appraisal, AppraisalPolicy, Assurance, CheckResult, Collateral, Evidence, HardwareRoots,
    ReferenceValues, Refused,
};

/// Largest file read: reports have 1184 octets, certificates and policies a few KiB, reference values a few MiB.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

const AFFIRMING: u8 = 0;
const REFUSED: u8 = 1;
const CANNOT_EVALUATE: u8 = 2;

const EXAMPLES: &str = "\
Examples:
  A report of today, with the certificate of the key that signed it (from AMD's KDS or the host):
    treering appraise --evidence report.bin --endorsements vcek.pem
  A report of then, signed by a VLEK, whose issuer (ASVK) is not built in:
    treering appraise --evidence report.bin --endorsements vlek.der --ask milan_ask_ark_asvk.pem \\
        --at 2025-06-01T00:00:00Z
  Against a policy and reference values, for a program:
    treering appraise --evidence report.bin --endorsements vcek.pem --policy policy.toml \\
        --reference reference.toml --json

Exit status: 0 affirming, 1 refused, 2 cannot be evaluated.
A sample policy, with every key explained: docs/samples/appraisal-policy.toml";

/// Appraise hardware evidence (SEV-SNP): every check, its verdict, and the result (EAR)
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The report: 1184 octets, or the same in hex
    #[arg(long, value_name = "FILE")]
    evidence: PathBuf,
    /// Certificates that come with it: the VCEK or VLEK, perhaps its issuers; PEM (also bundles) or DER
    #[arg(long, value_name = "FILE", num_args = 1..)]
    endorsements: Vec<PathBuf>,
    /// Certificates of issuers (ASK, ASVK, ARK); AMD's ARK and ASK are built in and used where none are given
    #[arg(long, value_name = "FILE", num_args = 1..)]
    ask: Vec<PathBuf>,
    /// Certificate revocation lists of the root; PEM or DER
    #[arg(long, value_name = "FILE", num_args = 1..)]
    crl: Vec<PathBuf>,
    /// The instant to appraise for, RFC 3339; without it, now
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Appraisal policy, TOML; without it: genuine, not debuggable, not migratable
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Reference values, TOML or JSON
    #[arg(long, value_name = "FILE")]
    reference: Option<PathBuf>,
    /// Trust this certificate (PEM or DER) as the root of a simulated platform
    #[arg(long, value_name = "FILE")]
    simulated_root: Option<PathBuf>,
    /// Print one JSON object: status, submods, checks, ear
    #[arg(long)]
    json: bool,
}

/// Runs it. What cannot be read is told here, so that the exit status is this command's own.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (text, code) = match appraise(args) {
        Ok(appraisal) => {
            (if args.json { for_programs(&appraisal)? } else { for_people(&appraisal) }, code(&appraisal))
        }
        Err(error) => {
            let what = format!("{error:#}");
            let mut err = std::io::stderr().lock();
            writeln!(err, "cannot evaluate: {what}\n{HINT_INPUT}")?;
            let value = json!({"status": "cannot-evaluate", "submods": {}, "checks": [], "error": what});
            (if args.json { format!("{value}\n") } else { String::new() }, CANNOT_EVALUATE)
        }
    };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(ExitCode::from(code))
}

const HINT_INPUT: &str =
    "Check the file named above; `treering appraise --help` shows what each option takes.";

fn appraise(args: &Args) -> anyhow::Result<Appraisal> {
    let evidence = read_evidence(&args.evidence)?;
    let mut collateral = Collateral::default();
    for path in args.endorsements.iter().chain(&args.ask) {
        let more = Collateral::read(&read(path)?).with_context(|| shown(path))?;
        collateral = collateral.merged(more).with_context(|| shown(path))?;
    }
    for path in &args.crl {
        let bytes = read(path)?;
        let more = Collateral::read_crl(&bytes).with_context(|| shown(path))?;
        collateral = collateral.merged(more).with_context(|| shown(path))?;
    }
    let policy = match &args.policy {
        Some(path) => AppraisalPolicy::parse(&read(path)?).with_context(|| shown(path))?,
        None => AppraisalPolicy::baseline(),
    };
    let references = match &args.reference {
        Some(path) => ReferenceValues::parse(&read(path)?).with_context(|| shown(path))?,
        None => ReferenceValues::none(),
    };
    let roots = match &args.simulated_root {
        Some(path) => simulated_roots(path)?,
        None => HardwareRoots::vendors(),
    };
    let now = match &args.at {
        Some(text) => clock::parse_rfc3339(text).with_context(|| format!("--at {text}"))?,
        None => SystemClock.now(),
    };
    Ok(verifier::appraise(&evidence, &collateral, &policy, &references, &roots, now))
}

fn read_evidence(path: &Path) -> anyhow::Result<Evidence> {
    let bytes = read(path)?;
    let text = bytes.trim_ascii();
    // A report is never text: its version alone has three zero octets.
    let from_hex = data_encoding::HEXLOWER_PERMISSIVE.decode(text).ok().filter(|_| !text.is_empty());
    Evidence::snp(from_hex.unwrap_or(bytes)).with_context(|| shown(path))
}

fn simulated_roots(path: &Path) -> anyhow::Result<HardwareRoots> {
    let collateral = Collateral::read(&read(path)?).with_context(|| shown(path))?;
    if collateral.certificates().is_empty() {
        return Err(anyhow!("{}: no certificate", shown(path)));
    }
    Ok(HardwareRoots::with_simulated(
        collateral.certificates().iter().map(|root| verifier::fingerprint(root)),
    ))
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let length = std::fs::metadata(path).with_context(|| shown(path))?.len();
    if length > MAX_FILE_BYTES {
        return Err(anyhow!("{}: at most {MAX_FILE_BYTES} octets, got {length}", shown(path)));
    }
    std::fs::read(path).with_context(|| shown(path))
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn code(appraisal: &Appraisal) -> u8 {
    match appraisal.refusal() {
        None => AFFIRMING,
        Some(Refused::Check { .. }) => REFUSED,
        Some(Refused::NotEvidence(_)) => CANNOT_EVALUATE,
    }
}

fn for_programs(appraisal: &Appraisal) -> anyhow::Result<String> {
    let ear: Value = serde_json::from_slice(appraisal.ear())?;
    let mut out = Map::new();
    let status = if appraisal.is_evidence() { appraisal.status().name() } else { "cannot-evaluate" };
    out.insert("status".to_owned(), json!(status));
    out.insert("submods".to_owned(), ear.get("submods").cloned().unwrap_or_default());
    out.insert("checks".to_owned(), serde_json::to_value(appraisal.checks().collect::<Vec<_>>())?);
    if let Some(refusal) = appraisal.refusal() {
        out.insert("refused".to_owned(), json!({"check": refusal.check(), "reason": refusal.to_string()}));
    }
    out.insert("ear".to_owned(), ear);
    Ok(format!("{}\n", Value::Object(out)))
}

/// A table of the checks, what they amount to, the EAR, and on refusal one line of what to do.
fn for_people(appraisal: &Appraisal) -> String {
    let mut out = String::new();
    let width = appraisal.checks().map(|check| check.name().len()).max().unwrap_or_default();
    for component in appraisal.components() {
        if appraisal.components().len() > 1 {
            line(&mut out, format_args!("{}:", component.name()));
        }
        table(&mut out, component.checks(), width);
        out.push('\n');
        for (name, value) in component.claims().and_then(Value::as_object).into_iter().flatten() {
            line(&mut out, format_args!("{name:22} {}", shortened(value)));
        }
        out.push('\n');
    }
    if !appraisal.composite_checks().is_empty() {
        line(&mut out, format_args!("together:"));
        table(&mut out, appraisal.composite_checks(), width);
        out.push('\n');
    }
    line(&mut out, format_args!("appraised at {}\n", clock::rfc3339(appraisal.now())));
    line(&mut out, format_args!("EAR: {}\n", String::from_utf8_lossy(appraisal.ear())));
    match appraisal.refusal() {
        None if simulated(appraisal) => {
            line(&mut out, format_args!("{}, of a SIMULATED platform.", appraisal.status().name()));
        }
        None => line(&mut out, format_args!("{}.", appraisal.status().name())),
        Some(refusal @ Refused::NotEvidence(_)) => {
            line(&mut out, format_args!("cannot evaluate: {refusal}\n{HINT_INPUT}"));
        }
        Some(refusal) => {
            let hint = hint(refusal.check().unwrap_or_default());
            line(&mut out, format_args!("refused ({}): {refusal}\n{hint}", appraisal.status().name()));
        }
    }
    out
}

fn table(out: &mut String, checks: &[CheckResult], width: usize) {
    for check in checks {
        line(out, format_args!("{:7} {:width$}  {}", verdict(check), check.name(), detail(check)));
    }
}

/// A claim on one line: what it is, not all of it. The EAR has all.
fn shortened(value: &Value) -> String {
    const MOST: usize = 160;
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match text.char_indices().nth(MOST) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text,
    }
}

fn simulated(appraisal: &Appraisal) -> bool {
    appraisal.components().iter().any(|component| component.assurance() == Some(Assurance::Simulated))
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing into a String cannot fail.
    if writeln!(out, "{text}").is_err() {
        out.push('\n');
    }
}

fn verdict(check: &CheckResult) -> &'static str {
    match (check.ok(), check.waiver().is_some(), check.failed()) {
        (true, _, _) => "ok",
        (false, true, _) => "waived",
        (false, false, true) => "FAILED",
        (false, false, false) => "-",
    }
}

fn detail(check: &CheckResult) -> String {
    match check.waiver() {
        Some(reason) => format!("{} (waived: {reason})", check.detail()),
        None => check.detail().to_owned(),
    }
}

fn hint(check: &str) -> &'static str {
    match check {
        "endorsement" => {
            "Give the certificate of the key that signed it: --endorsements FILE (VCEK or VLEK)."
        }
        "chain" => {
            "Give the certificate of its issuer, of the same generation: --ask FILE (AMD's ASK, or ASVK for a VLEK)."
        }
        "root" => {
            "Only AMD's roots are trusted; for a simulated platform name its root: --simulated-root FILE."
        }
        "validity" => "Appraise for the instant at which the report was made: --at 2025-06-01T00:00:00Z.",
        "revocation" => {
            "Give AMD's CRL of that time: --crl FILE (https://kdsintf.amd.com/vcek/v1/Milan/crl)."
        }
        "tcb-binding" | "chip-binding" | "signature" | "signing-key" => {
            "Fetch the VCEK for this chip id and reported TCB from AMD's KDS; if it is the right one, the report is not genuine."
        }
        "reference-value" => "If this image is meant, have its measurement vouched for: --reference FILE.",
        "debug" | "migration" | "guest-policy" => {
            "Launch the guest with another policy; its owner sets these bits."
        }
        "tcb-floor" | "mitigations" | "platform" | "tcb-order" => {
            "Update or reconfigure the host, or change the policy."
        }
        _ => "See docs/verifier.md for what this check reads and why.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attester::recorded;

    fn args(evidence: &Path, endorsements: &Path) -> Args {
        Args {
            evidence: evidence.to_owned(),
            endorsements: vec![endorsements.to_owned()],
            ask: Vec::new(),
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

    #[test]
    fn a_genuine_report_is_affirming_and_its_json_has_the_promised_keys() {
        let dir = tempfile::tempdir().unwrap();
        let appraisal = appraise(&recorded_files(dir.path())).unwrap();
        assert_eq!(code(&appraisal), AFFIRMING, "{:?}", appraisal.refusal());
        let value: Value = serde_json::from_str(&for_programs(&appraisal).unwrap()).unwrap();
        assert_eq!(value["status"], "affirming");
        assert_eq!(value["submods"]["sev-snp"]["ear_trustworthiness_vector"]["executables"], 0);
        assert!(value["checks"].as_array().unwrap().iter().all(|check| {
            check["name"].is_string() && check["ok"] == true && check["detail"].is_string()
        }));
        assert_eq!(value["ear"]["eat_profile"], verifier::EAR_PROFILE);
        let text = for_people(&appraisal);
        assert!(text.contains("ok      signature") && text.ends_with("affirming.\n"), "{text}");
    }

    #[test]
    fn hex_is_read_too() {
        let dir = tempfile::tempdir().unwrap();
        let mut args = recorded_files(dir.path());
        let hex = data_encoding::HEXUPPER.encode(&std::fs::read(&args.evidence).unwrap());
        args.evidence = dir.path().join("report.hex");
        std::fs::write(&args.evidence, format!("{hex}\n")).unwrap();
        assert_eq!(code(&appraise(&args).unwrap()), AFFIRMING);
    }

    #[test]
    fn a_report_out_of_its_time_is_refused_with_a_hint() {
        let dir = tempfile::tempdir().unwrap();
        let mut args = recorded_files(dir.path());
        args.at = Some("2040-01-01T00:00:00Z".to_owned());
        let appraisal = appraise(&args).unwrap();
        assert_eq!(code(&appraisal), REFUSED);
        let text = for_people(&appraisal);
        assert!(text.contains("check validity failed") && text.contains("--at"), "{text}");
    }

    #[test]
    fn garbage_cannot_be_evaluated() {
        let dir = tempfile::tempdir().unwrap();
        let mut args = recorded_files(dir.path());
        for garbage in [&b""[..], b"hello", &[0; 1184], &[0xff; 1184], &[2; 1183]] {
            std::fs::write(&args.evidence, garbage).unwrap();
            let appraisal = appraise(&args).unwrap();
            assert_eq!(code(&appraisal), CANNOT_EVALUATE);
            assert!(for_programs(&appraisal).unwrap().contains("cannot-evaluate"));
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
