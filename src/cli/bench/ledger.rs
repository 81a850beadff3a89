//! A ledger for a benchmark: made in a temporary folder, served by a real process, stopped at the end.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use treering_provenance::bytes::{Bytes, Fixed};
use treering_provenance::content::{Content, ProvenanceType, V1, WorkloadProvenance};
use treering_provenance::cose::Ed25519Signer;
use treering_provenance::statement::{Draft, Payload};
use treering_provenance::trust::Trust;

use crate::client;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::keys;
use crate::ledger::Ledger;

use super::super::processes::{Server, text, this_program};
use super::super::service::open_ledger;
use super::super::{files, init};
use super::http::Target;
use super::witnesses::Witnesses;

const TRUST_DOMAIN: &str = "simulated.bench.example";
/// The issuer whose statements are registered.
const ISSUER: &str = "ci";
/// Connections beside those of the clients: who asks for checkpoints, and those that are just ending.
const OTHERS: usize = 64;

/// A ledger and the service on it.
pub(super) struct BenchLedger {
    pub(super) dir: PathBuf,
    pub(super) config: PathBuf,
    origin: String,
    pub(super) service: Server,
    pub(super) witnesses: Witnesses,
}

impl BenchLedger {
    /// Makes a ledger whose issuer `ci` may register plain payloads, and starts its service, for so many clients, and
    /// its witnesses, which have their keys.
    pub(super) async fn start(dir: &Path, clients: usize, mut witnesses: Witnesses) -> Result<Self> {
        let args = init::Args {
            dir: dir.join("ledger"),
            trust_domain: TRUST_DOMAIN.to_owned(),
            origin: None,
            listen: std::net::SocketAddr::from(([127, 0, 0, 1], 0)),
            host: "localhost".to_owned(),
            witness: witnesses.arguments(),
            quorum: None,
            approver: vec!["approver".to_owned()],
            threshold: 1,
            issuer: Vec::new(),
            receipt_alg: init::ReceiptAlg::Eddsa,
            simulated: true,
            simulated_root: Vec::new(),
            json: false,
        };
        let iss = init::issuer_uri(TRUST_DOMAIN, ISSUER);
        let made = init::create_with(&args, SystemClock.now(), |config| {
            for issuer in config.issuers.iter_mut().filter(|issuer| issuer.iss == iss) {
                issuer.public = true;
            }
            config.http.max_connections = config.http.max_connections.max(clients + OTHERS);
        })
        .await?;
        witnesses.serve(&made.log_vkey).await?;
        // The ledger had to be made first: the witnesses want its key. Now they listen.
        let mut config = Config::load(&made.config)?;
        for (witness, (_, url)) in config.witnesses.iter_mut().zip(witnesses.addresses()) {
            witness.url = url;
        }
        fs::write(&made.config, config.to_toml()?)?;
        let arguments = ["serve", "--config", text(&made.config)?, "--json", "--log", "warn"];
        let service = Server::start(&this_program()?, &arguments, &dir.join("service.log")).await?;
        Ok(Self { dir: args.dir, config: made.config, origin: made.origin, service, witnesses })
    }

    /// Where the load goes.
    pub(super) fn target(&self) -> Result<Target> {
        let roots = files::read(&self.dir.join("tls/ca.pem"))?;
        let tls = Arc::new(client::tls_config(&roots, None)?);
        Ok(Target { address: format!("127.0.0.1:{}", self.service.port()), tls })
    }

    /// Who makes statements of about so many octets each.
    pub(super) fn drafts(&self, octets: usize) -> Result<Drafts> {
        let key = keys::read_ed25519(&self.dir.join(format!("issuers/{ISSUER}.pem")))?;
        Drafts::new(Ed25519Signer::from_seed(&key.to_bytes())?, &self.origin, octets)
    }

    /// What relying parties know of the service.
    pub(super) fn trust(&self) -> Result<Trust> {
        files::trust(&self.dir.join("trust.json"))
    }

    /// Stops the service, and the witnesses.
    pub(super) async fn stop(&mut self) -> Result<()> {
        self.service.stop("the service").await?;
        self.witnesses.stop().await
    }

    /// Opens the log of the stopped service.
    pub(super) fn open(&self) -> Result<Ledger> {
        Ok(open_ledger(&Config::load(&self.config)?, false)?.0)
    }
}

/// Makes statements of the issuer `ci`, each with a subject of its own.
pub(super) struct Drafts {
    signer: Ed25519Signer,
    origin: String,
    /// Octets of a document.
    body: usize,
}

impl Drafts {
    fn new(signer: Ed25519Signer, origin: &str, octets: usize) -> Result<Self> {
        let mut drafts = Self { signer, origin: origin.to_owned(), body: 0 };
        // What a statement takes beside its document.
        let empty = drafts.sign(SystemClock.now())?.len();
        drafts.body = octets.saturating_sub(empty).max(1);
        Ok(drafts)
    }

    /// So many statements, or as many as can be signed on two threads within a time.
    pub(super) fn many(&self, count: usize, within: Duration) -> Result<Vec<Vec<u8>>> {
        let (now, begin) = (SystemClock.now(), Instant::now());
        let half = |count: usize| -> Result<Vec<_>> {
            (0..count).take_while(|_| begin.elapsed() < within).map(|_| self.sign(now)).collect()
        };
        std::thread::scope(|scope| {
            let other = scope.spawn(|| half(count / 2));
            let mut all = half(count.div_ceil(2))?;
            all.extend(other.join().map_err(|_| anyhow::anyhow!("a signing thread panicked"))??);
            Ok(all)
        })
    }

    /// One statement that was signed at this time.
    pub(super) fn sign(&self, now: u64) -> Result<Vec<u8>> {
        let content = WorkloadProvenance {
            v: V1,
            workload: format!("spiffe://{TRUST_DOMAIN}/bench"),
            provenance_type: ProvenanceType::Build,
            media_type: "application/octet-stream".to_owned(),
            body: Bytes(vec![0x5a; self.body]),
            subjects: Vec::new(),
        };
        let draft = Draft {
            kind: WorkloadProvenance::KIND,
            issuer: &init::issuer_uri(TRUST_DOMAIN, ISSUER),
            subject: &Fixed(keys::random::<32>()?).to_string(),
            audience: &self.origin,
            issued_at: now,
            parents: Vec::new(),
            cred: None,
            payload: Payload::Public {
                content_type: WorkloadProvenance::MEDIA_TYPE.to_owned(),
                bytes: content.to_cbor()?,
            },
        };
        Ok(draft.sign(&self.signer).context("sign a statement")?.entry().to_vec())
    }
}
