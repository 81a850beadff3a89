//! A ledger for a benchmark: made in a temporary folder, served by a real process, stopped at the end.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use treering_provenance::bytes::{Bytes, Fixed};
use treering_provenance::content::{Content, ProvenanceType, V1, WorkloadProvenance};
use treering_provenance::cose::{Ed25519Signer, Signer};
use treering_provenance::statement::{Draft, Payload};

use crate::client;
use crate::clock::{Clock, SystemClock};
use crate::keys;

use super::super::processes::{Server, text, this_program};
use super::super::{files, init};
use super::http::Target;

const TRUST_DOMAIN: &str = "simulated.bench.example";
/// The issuer whose statements are registered.
const ISSUER: &str = "ci";

/// A ledger and the service on it.
pub(super) struct BenchLedger {
    pub(super) dir: PathBuf,
    pub(super) config: PathBuf,
    origin: String,
    pub(super) service: Server,
}

impl BenchLedger {
    /// Makes a ledger whose issuer `ci` may register plain payloads, and starts its service.
    pub(super) async fn start(dir: &Path) -> Result<Self> {
        let args = init::Args {
            dir: dir.join("ledger"),
            trust_domain: TRUST_DOMAIN.to_owned(),
            origin: None,
            listen: std::net::SocketAddr::from(([127, 0, 0, 1], 0)),
            host: "localhost".to_owned(),
            witness: Vec::new(),
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
        })
        .await?;
        let arguments = ["serve", "--config", text(&made.config)?, "--json", "--log", "warn"];
        let service = Server::start(&this_program()?, &arguments, &dir.join("service.log")).await?;
        Ok(Self { dir: args.dir, config: made.config, origin: made.origin, service })
    }

    /// Where the load goes.
    pub(super) fn target(&self) -> Result<Target> {
        let roots = files::read(&self.dir.join("tls/ca.pem"))?;
        let tls = Arc::new(client::tls_config(&roots, None)?);
        Ok(Target { address: format!("127.0.0.1:{}", self.service.port()), tls })
    }

    /// Makes and signs statements of about so many octets each, on two threads.
    pub(super) fn statements(&self, count: usize, octets: usize) -> Result<Vec<Vec<u8>>> {
        let key = keys::read_ed25519(&self.dir.join(format!("issuers/{ISSUER}.pem")))?;
        let signer = Ed25519Signer::from_seed(&key.to_bytes())?;
        let now = SystemClock.now();
        // What a statement takes beside its document.
        let empty = self.statement(&signer, 0, now)?.len();
        let body = octets.saturating_sub(empty).max(1);
        let half = || -> Result<Vec<_>> {
            (0..count.div_ceil(2)).map(|_| self.statement(&signer, body, now)).collect()
        };
        std::thread::scope(|scope| {
            let other = scope.spawn(half);
            let mut all = half()?;
            all.extend(other.join().map_err(|_| anyhow::anyhow!("a signing thread panicked"))??);
            Ok(all)
        })
    }

    fn statement(&self, signer: &dyn Signer, body: usize, now: u64) -> Result<Vec<u8>> {
        let content = WorkloadProvenance {
            v: V1,
            workload: format!("spiffe://{TRUST_DOMAIN}/bench"),
            provenance_type: ProvenanceType::Build,
            media_type: "application/octet-stream".to_owned(),
            body: Bytes(vec![0x5a; body]),
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
        Ok(draft.sign(signer).context("sign a statement")?.entry().to_vec())
    }
}
