//! `treering bench appraise`: appraisals on several threads, beside one signature verified bare on the same threads.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P384_SHA384_FIXED, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, ParsedPublicKey,
};
use serde::Serialize;

use super::super::output;
use super::meter::{Latencies, Memory, Rates, count};
use super::threads;
use crate::attester::simulated::intel::{IntelModel, IntelPlatform, Td, measure};
use crate::attester::{CRL_TYPE, recorded};
use crate::verifier::{
    self, AppraisalPolicy, Collateral, Document, Evidence, HardwareRoots, ReferenceValues, Verifier,
};

/// How long the bare signature is verified on every thread, at most; half the time measured, where that is less.
const BARE: Duration = Duration::from_secs(2);
/// Cold appraisals made, on one thread.
const COLD: u32 = 50;

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// Of which kind: sev-snp or snp, the same (recorded on hardware), or tdx (simulated)
    #[arg(long, value_name = "KIND", default_value = verifier::SUBMOD_SNP)]
    kind: String,
    /// Threads, each with one appraisal at a time
    #[arg(long, value_name = "N", default_value_t = 2)]
    threads: usize,
    /// How long to measure, after a second of warming up
    #[arg(long, value_name = "S", default_value_t = 5)]
    seconds: u64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Figures {
    kind: String,
    threads: usize,
    #[serde(flatten)]
    rates: Rates,
    cpu_us_each: f64,
    /// The same with nothing kept from before, on one thread.
    cold_p50_ms: f64,
    #[serde(flatten)]
    memory: Memory,
    limits: Bare,
}

/// What the machine can do at most.
#[derive(Serialize)]
struct Bare {
    /// Verifications of P-384 over as many octets as a report has signed, by aws-lc, on the same threads.
    p384_verify_per_s: f64,
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    ensure!((1..=256).contains(&args.threads), "--threads is {}, want 1 to 256", args.threads);
    ensure!((1..=3600).contains(&args.seconds), "--seconds is {}, want 1 to 3600", args.seconds);
    let request = Request::of(&args.kind)?;
    let limits =
        Bare { p384_verify_per_s: bare(args.threads, BARE.min(Duration::from_secs(args.seconds) / 2))? };
    let mut cold = Latencies::new()?;
    for _ in 0..COLD {
        let begin = Instant::now();
        request.appraise(&Verifier::new(request.roots.clone()))?;
        cold.record(begin.elapsed());
    }
    // One verifier for all threads, which keeps what it can.
    let verifier = Verifier::new(request.roots.clone());
    let warm = threads::run(args.threads, args.seconds, |_| Ok(|| request.appraise(&verifier)))?;
    let done = count(warm.latencies.count());
    ensure!(done > 0.0, "no appraisal was made in the time measured");
    let figures = Figures {
        kind: args.kind.clone(),
        threads: args.threads,
        rates: Rates::of(&warm.latencies, warm.seconds, 1.0),
        cpu_us_each: warm.cpu_s * 1e6 / done,
        cold_p50_ms: cold.ms(0.50),
        memory: warm.usage.memory,
        limits,
    };
    if args.json {
        output::json(&figures)?;
    } else {
        print(&figures);
    }
    Ok(ExitCode::SUCCESS)
}

/// Octets as a request brings them, of which evidence and collateral are made for every appraisal.
struct Request {
    items: Vec<(&'static str, Vec<u8>)>,
    certificates: Vec<Vec<u8>>,
    crls: Vec<Vec<u8>>,
    documents: Vec<Document>,
    policy: AppraisalPolicy,
    roots: HardwareRoots,
}

impl Request {
    fn of(kind: &str) -> Result<Self> {
        match kind {
            verifier::SUBMOD_SNP | "snp" => {
                let milan = recorded::milan()?;
                Ok(Self {
                    items: milan.items().collect(),
                    certificates: milan.endorsements,
                    crls: Vec::new(),
                    documents: Vec::new(),
                    policy: AppraisalPolicy::baseline(),
                    roots: HardwareRoots::vendors(),
                })
            }
            "tdx" => {
                let platform = IntelPlatform::generate(IntelModel::default(), recorded::INSTANT)?;
                let quote = platform.quote_td(&Td::of(measure(b"firmware")), &[0x5a; 64])?;
                let published = platform.publish(&platform.collateral())?;
                let (crls, documents): (Vec<_>, Vec<_>) =
                    published.into_iter().partition(|item| item.media_type == CRL_TYPE);
                let document = |item: crate::attester::EvidenceItem| Document {
                    media_type: item.media_type.to_owned(),
                    bytes: item.bytes,
                };
                Ok(Self {
                    items: vec![(verifier::TDX_QUOTE, quote)],
                    certificates: vec![platform.signer().to_vec()],
                    crls: crls.into_iter().map(|item| item.bytes).collect(),
                    documents: documents.into_iter().map(document).collect(),
                    policy: AppraisalPolicy::baseline(),
                    roots: HardwareRoots::with_simulated([platform.root_fingerprint()]),
                })
            }
            other => bail!("--kind {other}: want sev-snp or tdx"),
        }
    }

    fn appraise(&self, verifier: &Verifier) -> Result<()> {
        let evidence = Evidence::new(self.items.iter().cloned())?;
        let collateral = Collateral::new(self.certificates.clone(), self.crls.clone())?;
        let collateral = collateral.with_documents(self.documents.clone())?;
        let references = ReferenceValues::none();
        let now = recorded::INSTANT;
        let appraisal = verifier.appraise(&evidence, &collateral, &self.policy, &references, now);
        appraisal.refusal().map_or(Ok(()), |refused| Err(refused.into()))
    }
}

/// How often a second these threads verify one signature and nothing else.
fn bare(threads: usize, length: Duration) -> Result<f64> {
    let message = vec![0x5a; verifier::SIGNED_BYTES];
    let failed = |_| anyhow!("P-384 key or signature could not be made");
    let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).map_err(failed)?;
    let signature = pair.sign(&SystemRandom::new(), &message).map_err(failed)?;
    let key = ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, pair.public_key().as_ref());
    let key = key.context("a key just made")?;
    let begin = Instant::now();
    let verify = || {
        let mut done = 0_u32;
        while begin.elapsed() < length {
            if key.verify_sig(&message, signature.as_ref()).is_ok() {
                done += 1;
            }
        }
        done
    };
    let done = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(verify)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(0)).sum::<u32>()
    });
    Ok(f64::from(done) / begin.elapsed().as_secs_f64())
}

fn print(figures: &Figures) {
    output::line(format!(
        "{:.0}/s appraisals of {}, warm, on {} threads: {}",
        figures.rates.throughput_per_s,
        figures.kind,
        figures.threads,
        figures.rates.text()
    ));
    output::line(format!(
        "  each: {:.0} us of CPU; as long as {:.2} P-384 verifications, of which these threads make {:.0}/s",
        figures.cpu_us_each,
        figures.limits.p384_verify_per_s / figures.rates.throughput_per_s,
        figures.limits.p384_verify_per_s
    ));
    output::line(format!("  cold: p50 {:.2} ms; {}", figures.cold_p50_ms, figures.memory.text()));
}
