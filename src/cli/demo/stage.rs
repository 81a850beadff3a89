//! The stage: folders, a witness process and a service process, and how to reach them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use treering_log::fsck;
use treering_log::{Log, export};
use treering_provenance::cose::Ed25519Signer;
use treering_provenance::trust::Trust;

use crate::attester::simulated::intel::{IntelModel, IntelPlatform};
use crate::attester::simulated::nvidia::{Device, Model};
use crate::client::Client;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::keys;

use super::super::processes::{Server, capture, text, this_program, witness_config, witness_program};
use super::super::{connect, files, init};

/// The trust domain of the demo.
pub(super) const TRUST_DOMAIN: &str = "simulated.treering.example";
const WITNESS_NAME: &str = "witness.treering.example/demo";

/// Hardware beside the SEV-SNP platform that `init` makes: simulated, and its roots in the ledger's configuration.
pub(super) struct Machine {
    /// A host of TDX guests.
    pub(super) host: Arc<IntelPlatform>,
    /// A GPU in it.
    pub(super) gpu: Arc<Device>,
}

impl Machine {
    fn make(now: u64) -> Result<Self> {
        let host = Arc::new(IntelPlatform::generate(IntelModel::default(), now)?);
        Ok(Self { host, gpu: Arc::new(Device::generate(Model::Gh100, now)?) })
    }

    /// The roots of both, PEM.
    fn roots(&self) -> Result<String> {
        let ([.., host], [.., gpu]) = (self.host.chain(), self.gpu.chain());
        let pem = |der: &[u8]| pem_rfc7468::encode_string("CERTIFICATE", pem_rfc7468::LineEnding::LF, der);
        Ok(pem(host)? + &pem(gpu)?)
    }
}

/// Everything that runs, and where it is.
pub(super) struct Stage {
    /// The folder of the demo.
    pub(super) dir: PathBuf,
    /// The log's origin.
    pub(super) origin: String,
    /// The relying-party id of the service.
    pub(super) rp_id: String,
    /// The machine of the second workload.
    pub(super) machine: Machine,
    url: String,
    witness: Server,
    service: Server,
}

impl Stage {
    /// Makes and starts everything.
    pub(super) async fn start(dir: &Path, witness_bin: Option<&Path>) -> Result<Self> {
        let program = witness_program(witness_bin)?;
        let witness_dir = dir.join("witness");
        let vkey = capture(&program, &["init", "--dir", text(&witness_dir)?, "--name", WITNESS_NAME]).await?;

        // The witness must know the log's key, and the ledger the witness's: the ledger is made first, with the
        // address of the witness left open until it listens.
        let ledger = dir.join("ledger");
        let machine = Machine::make(SystemClock.now())?;
        let roots = dir.join("machine-roots.pem");
        fs::write(&roots, machine.roots()?)?;
        let made = init::create(
            &init::Args {
                dir: ledger.clone(),
                trust_domain: TRUST_DOMAIN.to_owned(),
                origin: None,
                listen: std::net::SocketAddr::from(([127, 0, 0, 1], 0)),
                host: "localhost".to_owned(),
                witness: vec![format!("{}=http://127.0.0.1:1", vkey.trim())],
                quorum: None,
                approver: vec!["approver".to_owned()],
                threshold: 1,
                issuer: Vec::new(),
                receipt_alg: init::ReceiptAlg::Eddsa,
                simulated: true,
                simulated_root: vec![roots],
                json: false,
            },
            SystemClock.now(),
        )
        .await?;

        let config = witness_config(&witness_dir, WITNESS_NAME, &made.log_vkey)?;
        let arguments = ["serve", "--config", text(&config)?, "--json"];
        let witness = Server::start(&program, &arguments, &dir.join("witness.log")).await?;
        set_witness_url(&made.config, &format!("http://{}", witness.listening))?;

        let arguments = ["serve", "--config", text(&made.config)?, "--json", "--log", "warn"];
        let service = Server::start(&this_program()?, &arguments, &dir.join("service.log")).await?;
        for (from, to) in [("trust.json", "trust.json"), ("ca.pem", "ca.pem")] {
            fs::copy(ledger.join(from), dir.join(to))?;
        }
        keys::write_secret(&dir.join("auditor.key"), &keys::read_secret(&ledger.join("auditor.key"))?)?;
        Ok(Self {
            dir: dir.to_owned(),
            origin: made.origin,
            rp_id: Config::load(&made.config)?.rp_id,
            machine,
            url: format!("https://localhost:{}", service.port()),
            witness,
            service,
        })
    }

    /// The service's process.
    pub(super) fn service(&self) -> &Server {
        &self.service
    }

    /// The witness's process.
    pub(super) fn witness(&self) -> &Server {
        &self.witness
    }

    /// What was started, in words.
    pub(super) fn introduction(&self) -> String {
        format!(
            "log {} with its registration policy and trust anchors; witness {WITNESS_NAME}; service at {}",
            self.origin, self.url
        )
    }

    /// A file of the ledger's folder.
    pub(super) fn ledger(&self, path: &str) -> PathBuf {
        self.dir.join("ledger").join(path)
    }

    /// A client without a certificate, as a workload or a relying party has.
    pub(super) fn stranger(&self) -> Result<Client> {
        Ok(Client::new(&self.url, &files::read(&self.ledger("tls/ca.pem"))?, None)?)
    }

    /// A client that the configuration knows.
    pub(super) fn client(&self, name: &str) -> Result<Client> {
        let identity = connect::identity(
            &self.ledger(&format!("clients/{name}.pem")),
            &self.ledger(&format!("clients/{name}.key")),
        )?;
        Ok(Client::new(&self.url, &files::read(&self.ledger("tls/ca.pem"))?, Some(&identity))?)
    }

    /// The statement key of an issuer.
    pub(super) fn signer(&self, name: &str) -> Result<Ed25519Signer> {
        let key = keys::read_ed25519(&self.ledger(&format!("issuers/{name}.pem")))?;
        Ok(Ed25519Signer::from_seed(&key.to_bytes())?)
    }

    /// The trust file that relying parties have.
    pub(super) fn trust(&self) -> Result<Trust> {
        files::trust(&self.dir.join("trust.json"))
    }

    /// Checks a mirror of the log.
    pub(super) fn fsck_mirror(&self, dir: &Path) -> Result<fsck::Report> {
        let source = export::StaticDir::new(dir, Some(self.trust()?.log_key().clone()));
        Ok(fsck::check(&source, |_, _| ()))
    }

    /// Checks the stopped log's folder.
    pub(super) fn fsck(&self) -> Result<fsck::Report> {
        let log = Log::open_read_only(self.ledger("data")).context("open the stopped log")?;
        Ok(fsck::check(&log, |_, _| ()))
    }

    /// Figures of the stopped log's folder.
    pub(super) fn figures(&self) -> Result<String> {
        let figures = treering_log::stats(&Log::open_read_only(self.ledger("data"))?)?;
        let (entries, bytes) = (figures.entries, figures.table_bytes());
        Ok(format!(
            "{entries} entries, witnessed up to {}, {bytes} octets in tables",
            figures.witnessed.unwrap_or(0)
        ))
    }

    /// Stops service and witness as an operator would, and waits for them.
    pub(super) async fn stop(&mut self) -> Result<()> {
        self.service.stop("the service").await?;
        self.witness.stop("the witness").await
    }
}

fn set_witness_url(config: &Path, url: &str) -> Result<()> {
    let text = fs::read_to_string(config)?;
    let mut settings: toml::Table = text.parse()?;
    let witnesses = settings.get_mut("witness").and_then(toml::Value::as_array_mut);
    let Some([toml::Value::Table(witness)]) = witnesses.map(Vec::as_mut_slice) else {
        bail!("{} does not name one witness", config.display());
    };
    witness.insert("url".to_owned(), url.into());
    Ok(fs::write(config, toml::to_string_pretty(&settings)?)?)
}
