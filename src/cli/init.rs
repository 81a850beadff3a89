//! `treering init`: a new ledger in a folder: keys, certificates, configuration, the first two entries, and the trust
//! file of relying parties.

mod clients;

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use serde_json::json;
use treering_log::Sealer;
use treering_provenance::trust::Release;
use treering_tlog::note::VerifierKey;

use crate::attester::simulated::{Platform, Processor, SimulatedTcb};
use crate::authority::{CaFiles, create_ca};
use crate::clock::{Clock, SystemClock};
use crate::config::{
    CollateralSettings, Config, Credentials, Governance, Hardware, Http, LogSettings, Witness,
};
use crate::governance;
use crate::ident::TrustDomain;
use crate::keys::{KeyStore, ReceiptKey};
use crate::ledger::HeadSealer;

use super::{files, output, service};

pub(super) use clients::{Clients, issuer_uri};

const EXAMPLES: &str = "\
Examples:
  A ledger with two witnesses, both of which must cosign:
    treering init --dir /srv/treering --trust-domain prod.bank.example --host identity.bank.example \\
        --witness 'w1.example+…=https://w1.example/treering' \\
        --witness 'w2.example+…=https://w2.example/treering' --quorum 2
  A trial with a simulated SEV-SNP platform:
    treering init --dir trial --trust-domain simulated.example --simulated
  One that also takes the plain statements of a SCITT client, and gives it receipts that it verifies:
    treering init --dir /srv/treering --trust-domain prod.bank.example --issuer client.toml --receipt-alg es256

Writes treering.toml, trust.json (give it to relying parties), and folders with keys. Nothing is overwritten.
The folder is everything: docs/operations.md says which file may be restored from a backup, and which must not.";

/// Make a new ledger: keys, certificates, configuration, and the log's first two entries
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The folder; it must not exist, or be empty
    #[arg(long, value_name = "DIR")]
    pub(super) dir: PathBuf,
    /// The trust domain
    #[arg(long, value_name = "NAME")]
    pub(super) trust_domain: String,
    /// The log's origin, for ever; without it `log.<trust domain>/treering`
    #[arg(long, value_name = "ORIGIN")]
    pub(super) origin: Option<String>,
    /// The address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8443")]
    pub(super) listen: std::net::SocketAddr,
    /// The service's name, for its TLS certificate and the binding
    #[arg(long, value_name = "NAME", default_value = "localhost")]
    pub(super) host: String,
    /// A witness: its verifier key and where it is reached
    #[arg(long, value_name = "VKEY=URL")]
    pub(super) witness: Vec<String>,
    /// How many witnesses make a quorum; without it, more than half
    #[arg(long, value_name = "K")]
    pub(super) quorum: Option<usize>,
    /// An approver of policies, by a short name: a key and a client certificate are made for each
    #[arg(long, value_name = "NAME", default_value = "approver")]
    pub(super) approver: Vec<String>,
    /// How many approvers must consent to a policy
    #[arg(long, value_name = "K", default_value_t = 1)]
    pub(super) threshold: u64,
    /// A third party whose statements are registered: a TOML file with what an [[issuer]] of the configuration has:
    /// iss, kinds, public, high_s, and key or [[anchor]] tables
    #[arg(long, value_name = "FILE")]
    pub(super) issuer: Vec<PathBuf>,
    /// What signs receipts
    #[arg(long, value_name = "ALG", value_enum, default_value_t = ReceiptAlg::Eddsa)]
    pub(super) receipt_alg: ReceiptAlg,
    /// Make a simulated SEV-SNP platform, and trust it: for trials
    #[arg(long)]
    pub(super) simulated: bool,
    /// Trust the simulated platforms of this file too, PEM: their root certificates, or the public key of an Arm CCA
    /// platform. For trials
    #[arg(long, value_name = "FILE")]
    pub(super) simulated_root: Vec<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

/// The algorithm of receipts.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(super) enum ReceiptAlg {
    /// Ed25519
    Eddsa,
    /// ECDSA P-256, which more SCITT clients verify
    Es256,
}

/// The file of the simulated platforms' roots.
const SIMULATED_ROOTS: &str = "platform-root.pem";

/// What was made.
pub(super) struct Made {
    pub(super) config: PathBuf,
    pub(super) log_vkey: String,
    pub(super) origin: String,
}

pub(super) async fn run(args: &Args) -> Result<ExitCode> {
    let made = create(args, SystemClock.now()).await?;
    let trust = args.dir.join("trust.json");
    if args.json {
        output::json(&json!({
            "config": made.config, "trust": trust, "origin": made.origin, "log_vkey": made.log_vkey,
        }))?;
    } else {
        output::line(format!("made the ledger {} in {}", made.origin, args.dir.display()));
        output::line(format!("  log key, for witnesses: {}", made.log_vkey));
        output::line(format!("  trust file, for relying parties: {}", trust.display()));
        output::line(format!("start it: treering serve --config {}", made.config.display()));
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes everything, or leaves nothing: half a ledger is of no use, and would be in the way of the next try.
pub(super) async fn create(args: &Args, now: u64) -> Result<Made> {
    create_with(args, now, |_| ()).await
}

/// As [`create`], with a change to the configuration before the log begins with what it says.
pub(super) async fn create_with(args: &Args, now: u64, change: impl FnOnce(&mut Config)) -> Result<Made> {
    let dir = &args.dir;
    if fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some()) {
        bail!("{} is not empty: a ledger is made in a folder of its own", dir.display());
    }
    let existed = dir.exists();
    let made = make(args, now, change).await;
    if made.is_err() {
        clear(dir, existed);
    }
    made
}

/// Empties a folder that was empty before; what cannot be removed stays, since the first error is the one to tell.
fn clear(dir: &Path, keep: bool) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            fs::remove_dir_all(path).ok()
        } else {
            fs::remove_file(path).ok()
        };
    }
    if !keep {
        fs::remove_dir(dir).ok();
    }
}

async fn make(args: &Args, now: u64, change: impl FnOnce(&mut Config)) -> Result<Made> {
    let dir = &args.dir;
    let trust_domain = TrustDomain::parse(&args.trust_domain)?;
    if !usize::try_from(args.threshold).is_ok_and(|k| (1..=args.approver.len()).contains(&k)) {
        bail!("--threshold is {}, want 1 to {} (the approvers)", args.threshold, args.approver.len());
    }
    let origin = args.origin.clone().unwrap_or_else(|| format!("log.{trust_domain}/treering"));
    for folder in ["", "data", "keys", "tls", "clients", "issuers"] {
        let folder = dir.join(folder);
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.with_context(|| format!("make {}", folder.display()))?;
    }
    let keys = KeyStore::at(dir.join("keys"));
    keys.create_with(match args.receipt_alg {
        ReceiptAlg::Eddsa => ReceiptKey::Ed25519,
        ReceiptAlg::Es256 => ReceiptKey::P256,
    })?;
    let ca = CaFiles { certificate: &dir.join("ca.pem"), key: &dir.join("keys/ca.key") };
    create_ca(&ca, &trust_domain, now)?;
    let sealer = HeadSealer::load(&keys, &origin, &trust_domain)?;
    let log_vkey = sealer.log_key().to_string();
    if let Some(roots) = simulated_roots(args, now)? {
        write(&dir.join(SIMULATED_ROOTS), &roots)?;
    }
    let (witnesses, policy) = witnesses(args, &log_vkey)?;
    if let Some(policy) = &policy {
        write(&dir.join("witness-policy.txt"), policy)?;
    }
    let mut clients = clients::create(dir, &trust_domain, &args.host, &args.approver, now)?;
    for file in &args.issuer {
        clients.issuers.push(files::issuer(file)?);
    }
    let mut config = configuration(args, &trust_domain, &origin, witnesses, clients);
    change(&mut config);
    let path = dir.join("treering.toml");
    write(&path, &config.to_toml()?)?;

    // From here on as the service reads it.
    let config = Config::load(&path)?;
    let (ledger, _) = service::open_ledger(&config, true)?;
    let genesis = service::genesis(&config, &sealer)?;
    governance::create(&ledger, &genesis, now).await?;
    write(&dir.join("trust.json"), &service::trust_file(&ledger, config.log.release())?.to_json()?)?;
    ledger.log().shutdown().await;
    Ok(Made { config: path, log_vkey, origin })
}

/// The roots of the simulated platforms that are to be trusted, PEM; one platform is made, if it is asked for.
fn simulated_roots(args: &Args, now: u64) -> Result<Option<String>> {
    let mut roots = String::new();
    if args.simulated {
        let platform = Platform::generate(Processor::Milan, SimulatedTcb::default(), now)?;
        platform.save(&args.dir.join("platform"))?;
        let (root, ending) = (platform.root_certificate(), pem_rfc7468::LineEnding::LF);
        roots += &pem_rfc7468::encode_string("CERTIFICATE", ending, root)?;
    }
    for file in &args.simulated_root {
        let octets = files::read(file)?;
        service::pinned(&octets).with_context(|| format!("{}", file.display()))?;
        roots += std::str::from_utf8(&octets).with_context(|| format!("{} is no text", file.display()))?;
        roots.push('\n');
    }
    Ok((!roots.is_empty()).then_some(roots))
}

fn configuration(
    args: &Args,
    trust_domain: &TrustDomain,
    origin: &str,
    witnesses: Vec<Witness>,
    clients: Clients,
) -> Config {
    let witnessed = !witnesses.is_empty();
    Config {
        trust_domain: trust_domain.to_string(),
        origin: origin.to_owned(),
        rp_id: match args.listen.port() {
            0 | 443 => format!("https://{}", args.host),
            port => format!("https://{}:{port}", args.host),
        },
        data_dir: "data".into(),
        keys_dir: "keys".into(),
        http: Http::new(args.listen, ["tls/server.pem", "tls/server.key", "tls/ca.pem"].map(PathBuf::from)),
        log: LogSettings {
            release: Some(if witnessed { Release::Witnessed } else { Release::Committed }),
            witness_policy: witnessed.then(|| "witness-policy.txt".into()),
            ..LogSettings::default()
        },
        credentials: Credentials {
            ca_certificate: "ca.pem".into(),
            ca_key: "keys/ca.key".into(),
            max_ttl_s: 3600,
            max_refused_bytes_per_minute: 1024 * 1024,
            embed_parents: true,
        },
        collateral: CollateralSettings::default(),
        hardware: Hardware {
            simulated_root: (args.simulated || !args.simulated_root.is_empty())
                .then(|| SIMULATED_ROOTS.into()),
        },
        governance: Governance { threshold: args.threshold, approvers: clients.approvers },
        witnesses,
        clients: clients.known,
        issuers: clients.issuers,
    }
}

/// The witnesses of the command line, and the C2SP tlog-policy over them.
fn witnesses(args: &Args, log_vkey: &str) -> Result<(Vec<Witness>, Option<String>)> {
    if args.witness.is_empty() {
        return Ok((Vec::new(), None));
    }
    let quorum = args.quorum.unwrap_or(args.witness.len() / 2 + 1);
    if quorum == 0 || quorum > args.witness.len() {
        bail!("--quorum is {quorum}, want 1 to {}", args.witness.len());
    }
    let mut policy = format!("log {log_vkey}\n");
    let mut witnesses = Vec::new();
    for text in &args.witness {
        // The key is base64 and may end in `=`: the URL begins at the last `=http`.
        let Some((vkey, url)) = text.rfind("=http").map(|at| text.split_at(at)) else {
            bail!("`{text}` is not VKEY=URL");
        };
        let key =
            VerifierKey::parse(vkey).with_context(|| format!("`{vkey}` is not a witness's verifier key"))?;
        let url = url.trim_start_matches('=');
        writeln!(policy, "witness {} {vkey} {url}", key.name())?;
        witnesses.push(Witness { name: key.name().to_owned(), url: url.to_owned() });
    }
    let names: Vec<_> = witnesses.iter().map(|witness| witness.name.as_str()).collect();
    writeln!(policy, "group treering-quorum {quorum} {}\nquorum treering-quorum", names.join(" "))?;
    Ok((witnesses, Some(policy)))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("write {}", path.display()))
}
