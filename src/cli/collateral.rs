//! `treering collateral`: the store of what vendors publish.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::client::VendorClient;
use crate::clock::{self, Clock, SystemClock};
use crate::collateral::{Collaterals, Fetcher, Imported, Outcome, Rules, Store};
use crate::config::CollateralSettings;
use crate::verifier::{self, Wanted};

use super::appraise::read_evidence;
use super::output;

/// Where the store is when nobody says.
const STORE: &str = "collateral";

const EXAMPLES: &str = "\
Examples:
  What evidence calls for, from its vendor, and what is there then:
    treering collateral fetch --store data/collateral --evidence report.bin
    treering collateral list --store data/collateral
  On a machine without a network, what another one fetched:
    treering collateral import --store data/collateral carried/";

const IMPORT_EXAMPLES: &str = "\
Examples:
  What was carried here from a machine with a network (VCEKs, CRLs, Intel's JSON; folders too):
    treering collateral import --store data/collateral kds/ pcs/
  Each file is kept under the names that its content has, unless something newer is there.
  Nothing is trusted for being there.

Exit status: 0 all of it is collateral, 1 some file is none; the others are taken in.";

const LIST_EXAMPLES: &str = "\
Examples:
  What is kept, since when, and from where:
    treering collateral list --store data/collateral";

const FETCH_EXAMPLES: &str = "\
Examples:
  What evidence calls for, from the services of AMD, Intel, AWS and NVIDIA:
    treering collateral fetch --store data/collateral --evidence report.bin
  From a mirror in the machine room:
    treering collateral fetch --store data/collateral --evidence report.bin \\
        --amd-kds http://mirror.internal/kds --allow-http

Exit status: 0 all of it is in the store, 1 something is missing.";

/// The store of what vendors publish: certificates, revocation lists, TCB information
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Take files in, for machines without a network
    #[command(after_help = IMPORT_EXAMPLES)]
    Import {
        /// The folder of the store; made if it is missing
        #[arg(long, value_name = "DIR", default_value = STORE)]
        store: PathBuf,
        /// Files, or folders of them
        #[arg(value_name = "FILE|DIR", required = true)]
        paths: Vec<PathBuf>,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Say what is kept
    #[command(after_help = LIST_EXAMPLES)]
    List {
        /// The folder of the store
        #[arg(long, value_name = "DIR", default_value = STORE)]
        store: PathBuf,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Ask vendors for what evidence calls for
    #[command(after_help = FETCH_EXAMPLES)]
    Fetch(Fetch),
}

#[derive(Debug, clap::Args)]
struct Fetch {
    /// The folder of the store; made if it is missing
    #[arg(long, value_name = "DIR", default_value = STORE)]
    store: PathBuf,
    /// The evidence
    #[arg(long, value_name = "FILE")]
    evidence: PathBuf,
    /// What the evidence is; guessed when left out
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// AMD's Key Distribution Service, or a mirror
    #[arg(long, value_name = "URL")]
    amd_kds: Option<String>,
    /// Intel's Provisioning Certification Service, or a mirror
    #[arg(long, value_name = "URL")]
    intel_pcs: Option<String>,
    /// AWS's revocation lists of Nitro Enclaves, or a mirror of those of the root and all regions
    #[arg(long, value_name = "URL")]
    aws_nitro_crl: Option<String>,
    /// NVIDIA's revocation lists, or a mirror
    #[arg(long, value_name = "URL")]
    nvidia_crl: Option<String>,
    /// NVIDIA's OCSP responder, or another that answers for it
    #[arg(long, value_name = "URL")]
    nvidia_ocsp: Option<String>,
    /// The certificates that their TLS rests on, PEM
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// Ask `http://` addresses too
    #[arg(long)]
    allow_http: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub(super) async fn run(args: &Args) -> Result<ExitCode> {
    match &args.command {
        Command::Import { store, paths, json } => import(store, paths, *json),
        Command::List { store, json } => list(store, *json),
        Command::Fetch(fetch) => fetch.run().await,
    }
}

fn import(store: &Path, paths: &[PathBuf], json: bool) -> Result<ExitCode> {
    let store = Store::open(store)?;
    let now = SystemClock.now();
    let mut imported = Vec::new();
    for path in paths {
        imported.extend(store.import(path, now)?);
    }
    let refused = imported.iter().any(|file| file.refused.is_some());
    if json {
        output::json(&json!({ "imported": imported }))?;
    } else {
        for file in &imported {
            output::line(format!("{}: {}", file.file.display(), told(file)));
        }
    }
    Ok(ExitCode::from(u8::from(refused)))
}

/// What became of a file, in words.
fn told(file: &Imported) -> String {
    if let Some(reason) = &file.refused {
        return format!("NOT TAKEN IN: {reason}");
    }
    let kept = Some(file.names.join(", ")).filter(|names| !names.is_empty());
    let older = Some(file.older.join(", ")).filter(|names| !names.is_empty());
    match (kept, older) {
        (None, None) => "nothing that is asked for by name".to_owned(),
        (Some(names), None) => names,
        (None, Some(older)) => format!("older than what is kept: {older}"),
        (Some(names), Some(older)) => format!("{names}; older than what is kept: {older}"),
    }
}

fn list(store: &Path, json: bool) -> Result<ExitCode> {
    let entries = Store::open(store)?.entries()?;
    if json {
        output::json(&json!({ "entries": entries }))?;
        return Ok(ExitCode::SUCCESS);
    }
    for entry in entries {
        let digest = entry.digest.get(..16).unwrap_or(&entry.digest);
        output::line(format!("{}  {}  {digest}…  {}", clock::rfc3339(entry.as_of), entry.name, entry.source));
    }
    Ok(ExitCode::SUCCESS)
}

impl Fetch {
    async fn run(&self) -> Result<ExitCode> {
        let evidence = read_evidence(self.kind.as_deref(), &self.evidence)?;
        let store = Store::open(&self.store)?;
        let fetcher = fetcher(&self.settings())?;
        let now = SystemClock.now();
        let (mut told, mut missing) = (Vec::new(), 0_u32);
        for wanted in verifier::wanted(&evidence) {
            let (what, there) = fetch_one(&store, &fetcher, &wanted, now).await?;
            missing = missing.saturating_add(u32::from(!there));
            if !self.json {
                output::line(format!("{}: {what}", wanted.name()));
            }
            told.push(json!({ "name": wanted.name(), "outcome": what, "kept": there }));
        }
        if self.json {
            output::json(&json!({ "wanted": Value::from(told) }))?;
        }
        Ok(ExitCode::from(u8::from(missing > 0)))
    }

    fn settings(&self) -> CollateralSettings {
        let mut settings =
            CollateralSettings { allow_http: self.allow_http, ..CollateralSettings::default() };
        if let Some(url) = &self.amd_kds {
            settings.vendors.amd_kds.clone_from(url);
        }
        if let Some(url) = &self.intel_pcs {
            settings.vendors.intel_pcs.clone_from(url);
            settings.vendors.intel_certificates.clone_from(url);
        }
        if let Some(url) = &self.aws_nitro_crl {
            settings.vendors.aws_nitro_crl.clone_from(url);
            settings.vendors.aws_nitro_regional_crl.clone_from(url);
        }
        if let Some(url) = &self.nvidia_crl {
            settings.vendors.nvidia_crl.clone_from(url);
        }
        if let Some(url) = &self.nvidia_ocsp {
            settings.vendors.nvidia_ocsp.clone_from(url);
        }
        if let Some(path) = &self.tls_ca {
            settings.tls_ca.clone_from(path);
        }
        settings
    }
}

/// Asks for one thing, keeps it, and says in words what came of it, and whether it is in the store now.
async fn fetch_one(store: &Store, fetcher: &Fetcher, wanted: &Wanted, now: u64) -> Result<(String, bool)> {
    let name = wanted.name();
    let entry = store.entry_of(wanted)?;
    let etag = entry.as_ref().and_then(|entry| entry.etag.clone());
    Ok(match (fetcher.fetch(wanted, etag.as_deref(), now).await, entry) {
        (Outcome::New(fetched), _) => {
            let from = (fetched.url.as_str(), fetched.etag.as_deref());
            let kept = store.put_newer(&name, &fetched.collateral, now, now, from)?;
            let what = if kept.is_some() { "fetched" } else { "older than what is kept" };
            (what.to_owned(), true)
        }
        (Outcome::Unchanged, Some(entry)) => {
            store.confirm(&entry, now)?;
            ("unchanged".to_owned(), true)
        }
        (Outcome::Failed { reason }, entry) => (format!("failed: {reason}"), entry.is_some()),
        (Outcome::Waiting { until }, entry) => {
            (format!("not asked before {}", clock::rfc3339(until)), entry.is_some())
        }
        (Outcome::Missing | Outcome::Unchanged, entry) => {
            ("the vendor does not have it".to_owned(), entry.is_some())
        }
    })
}

/// The collateral that a configuration names: a store, and vendors to ask.
pub(super) fn collaterals(settings: &CollateralSettings) -> Result<Collaterals> {
    let Some(dir) = &settings.dir else { return Ok(Collaterals::none()) };
    let store = Store::open(dir)?;
    let rules = Rules { refresh_s: settings.refresh_s };
    let fetcher = if settings.fetch { Some(fetcher(settings)?) } else { None };
    Ok(Collaterals::new(store, fetcher, rules))
}

/// What asks vendors, as it is configured.
fn fetcher(settings: &CollateralSettings) -> Result<Fetcher> {
    let ca = &settings.tls_ca;
    let roots = fs::read(ca).with_context(|| format!("read collateral.tls_ca {}", ca.display()))?;
    let client = VendorClient::new(&roots, settings.allow_http)?;
    Ok(Fetcher::new(Arc::new(client), settings.vendors.clone(), settings.requests_per_minute))
}
