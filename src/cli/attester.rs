//! `treering attester`: evidence from this machine, by the interfaces that Linux has for it, or by a program.

mod program;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use serde_json::json;

use crate::attester::nsm::Nsm;
use crate::attester::simulated::{Guest, Launch, Platform};
use crate::attester::tsm::{self, Linux, Tsm};
use crate::attester::{Attestation, Attester};
use crate::client::evidence_of;
use crate::wire::collection;

use super::output;
use program::Program;

const EXAMPLES: &str = "\
Examples:
  What can attest here:
    treering attester detect
  Evidence of it, bound to 64 octets, and what a Verifier says of it:
    treering attester report --report-data 5a5a… --out evidence
    treering appraise --evidence evidence/evidence-0.bin --endorsements evidence/endorsements.pem";

const DETECT_EXAMPLES: &str = "\
Examples:
  What can attest here:
    treering attester detect
  Prints each interface and whether it is there. Exit status: 0 if any is, 1 if none.";

const REPORT_EXAMPLES: &str = "\
Examples:
  Of a confidential VM, by configfs-tsm (SEV-SNP, TDX), bound to 64 octets:
    treering attester report --report-data 5a5a… --out evidence
  Of an AWS Nitro enclave:
    treering attester report --interface nsm --report-data 5a5a… --out evidence
  Of a simulated SEV-SNP guest whose image is app.img:
    treering attester report --simulated platform --image app.img --report-data 5a5a… --out evidence
  Of whatever a program of yours attests to, such as a GPU by its vendor's tools:
    treering attester report --program ./attest --report-data 5a5a… --out evidence
  Then, on any machine:
    treering appraise --evidence evidence/evidence-0.bin --endorsements evidence/endorsements.pem

Writes evidence-0.bin, endorsements.pem and list-0.crl where there are any, and evidence.cmw.json, the whole as a CMW \
collection.";

/// Evidence from this machine: what can attest here, and a report bound to a value
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Say which interfaces this machine has
    #[command(after_help = DETECT_EXAMPLES)]
    Detect {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Have evidence made, bound to a value
    #[command(after_help = REPORT_EXAMPLES)]
    Report {
        #[command(flatten)]
        source: Box<Source>,
        /// The binding value that the evidence is to carry, 64 octets in hex
        #[arg(long, value_name = "HEX")]
        report_data: String,
        /// Where the evidence goes
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

/// What makes the evidence.
#[derive(Debug, clap::Args)]
pub(super) struct Source {
    /// By which interface; without it, the one that is there
    #[arg(long, value_enum, conflicts_with = "simulated")]
    interface: Option<Interface>,
    /// This program makes the evidence: it is given the value to be carried, 64 octets in hex, and prints a CMW of
    /// evidence and endorsements (RFC 9999), JSON or CBOR
    #[arg(long, value_name = "FILE", conflicts_with_all = ["simulated", "interface"])]
    program: Option<PathBuf>,
    /// How long the program may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    program_timeout: u64,
    /// Where configfs-tsm is
    #[arg(long, value_name = "DIR", default_value = tsm::DEFAULT_ROOT)]
    tsm_root: PathBuf,
    /// The Nitro Security Module's device
    #[arg(long, value_name = "FILE", default_value = treering_nsm::DEVICE)]
    nsm_device: PathBuf,
    /// The privilege level (VMPL) that the report is to be of, where the platform has levels
    #[arg(long, value_name = "0..3", value_parser = clap::value_parser!(u8).range(0..=3))]
    privilege_level: Option<u8>,
    /// The simulated SEV-SNP platform in this folder
    #[arg(long, value_name = "DIR")]
    simulated: Option<PathBuf>,
    /// The simulated guest's image: its measurement is the SHA-384 of the file
    #[arg(long, value_name = "FILE", requires = "simulated", conflicts_with = "measurement")]
    image: Option<PathBuf>,
    /// Or the measurement itself, hex
    #[arg(long, value_name = "HEX", requires = "simulated")]
    measurement: Option<String>,
}

/// An interface of Linux.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Interface {
    /// configfs-tsm: SEV-SNP and TDX guests
    Tsm,
    /// The Nitro Security Module: AWS Nitro enclaves
    Nsm,
}

/// Runs it.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    match &args.command {
        Command::Detect { json } => detect(*json),
        Command::Report { source, report_data, out, json } => report(source, report_data, out, *json),
    }
}

fn detect(json: bool) -> Result<ExitCode> {
    let (tsm, nsm) = (Tsm::detect().is_some(), Nsm::detect().is_some());
    if json {
        output::json(&json!({ "tsm": tsm, "nsm": nsm }))?;
    } else {
        let shown = |there: bool| if there { "there" } else { "not there" };
        output::line(format!("tsm  {:34} {}", tsm::DEFAULT_ROOT, shown(tsm)));
        output::line(format!("nsm  {:34} {}", treering_nsm::DEVICE, shown(nsm)));
    }
    Ok(ExitCode::from(u8::from(!tsm && !nsm)))
}

fn report(source: &Source, report_data: &str, out: &Path, json: bool) -> Result<ExitCode> {
    let data = HEXLOWER_PERMISSIVE.decode(report_data.as_bytes()).context("--report-data is not hex")?;
    let length = data.len();
    let data: [u8; 64] =
        data.try_into().ok().with_context(|| format!("--report-data has {length} octets, want 64"))?;
    let attestation = source.attester()?.report(&data)?;
    let written = write(&attestation, out)?;
    if json {
        let evidence: Vec<_> = attestation
            .evidence
            .iter()
            .map(|item| json!({ "media_type": item.media_type, "bytes": item.bytes.len() }))
            .collect();
        output::json(
            &json!({ "evidence": evidence, "files": written, "report_data": HEXLOWER.encode(&data) }),
        )?;
    } else {
        for item in &attestation.evidence {
            output::line(format!("{}, {} octets", item.media_type, item.bytes.len()));
        }
        for path in written {
            output::line(format!("  {}", path.display()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The items one by one, for tools; and the whole as it is posted.
fn write(attestation: &Attestation, out: &Path) -> Result<Vec<PathBuf>> {
    let (evidence, collateral) = evidence_of(attestation.clone())?;
    fs::create_dir_all(out).with_context(|| format!("make {}", out.display()))?;
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    for (number, item) in attestation.evidence.iter().enumerate() {
        files.push((format!("evidence-{number}.bin"), item.bytes.clone()));
    }
    if !collateral.certificates().is_empty() {
        files.push(("endorsements.pem".to_owned(), collateral.to_pem().into_bytes()));
    }
    for (number, list) in collateral.crls().iter().enumerate() {
        files.push((format!("list-{number}.crl"), list.clone()));
    }
    let whole = serde_json::to_vec_pretty(&collection(&evidence, &collateral))?;
    files.push(("evidence.cmw.json".to_owned(), whole));
    let write = |(name, bytes): (String, Vec<u8>)| {
        let path = out.join(name);
        fs::write(&path, bytes).with_context(|| format!("write {}", path.display()))?;
        Ok(path)
    };
    files.into_iter().map(write).collect()
}

impl Source {
    /// The attester that these options name, or the one of this machine.
    pub(super) fn attester(&self) -> Result<Box<dyn Attester>> {
        if let Some(program) = &self.program {
            return Ok(Box::new(Program::new(program.clone(), Duration::from_secs(self.program_timeout))));
        }
        if let Some(platform) = &self.simulated {
            return Ok(Box::new(simulated_guest(platform, self.launch()?)?));
        }
        let tsm = || {
            let tsm = Tsm::new(self.tsm_root.clone(), Linux);
            match self.privilege_level {
                Some(level) => tsm.with_privilege_level(level),
                None => tsm,
            }
        };
        match self.interface {
            Some(Interface::Tsm) => Ok(Box::new(tsm())),
            Some(Interface::Nsm) => Ok(Box::new(Nsm::open(&self.nsm_device)?)),
            None if self.tsm_root.is_dir() => Ok(Box::new(tsm())),
            None if self.nsm_device.exists() => Ok(Box::new(Nsm::open(&self.nsm_device)?)),
            None => bail!(
                "nothing attests here: {} and {} are not there (is configfs mounted?); for trials, name a \
                 simulated platform with --simulated",
                self.tsm_root.display(),
                self.nsm_device.display()
            ),
        }
    }

    fn launch(&self) -> Result<Launch> {
        match (&self.image, &self.measurement) {
            (Some(image), _) => {
                let image = fs::read(image).with_context(|| format!("read {}", image.display()))?;
                Ok(Launch::of_image(&image))
            }
            (None, Some(hex)) => Ok(Launch::of(measurement(hex)?)),
            (None, None) => bail!("name the simulated guest's --image or its --measurement"),
        }
    }
}

/// A guest on the simulated platform in a folder.
pub(super) fn simulated_guest(platform: &Path, launch: Launch) -> Result<Guest> {
    let platform = Platform::load(platform)
        .with_context(|| format!("load the simulated platform in {}", platform.display()))?;
    Ok(Arc::new(platform).guest(launch)?)
}

fn measurement(hex: &str) -> Result<[u8; 48]> {
    let bytes = HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).context("the measurement is not hex")?;
    let length = bytes.len();
    <[u8; 48]>::try_from(bytes).ok().with_context(|| format!("the measurement has {length} octets, want 48"))
}
