//! The stage: folders, a witness process and a service process, and how to reach them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use treering_log::fsck;
use treering_log::{Log, export};
use treering_provenance::cose::Ed25519Signer;
use treering_provenance::trust::Trust;

use crate::client::Client;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::keys;

use super::super::{connect, files, init};

/// The trust domain of the demo.
pub(super) const TRUST_DOMAIN: &str = "simulated.treering.example";
const WITNESS_NAME: &str = "witness.treering.example/demo";
/// How long a process may take to be ready, on a slow machine under load.
const READY_TIMEOUT: Duration = Duration::from_mins(1);
/// How long a process may take to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// Everything that runs, and where it is.
pub(super) struct Stage {
    /// The folder of the demo.
    pub(super) dir: PathBuf,
    /// The log's origin.
    pub(super) origin: String,
    /// The relying-party id of the service.
    pub(super) rp_id: String,
    url: String,
    witness: Child,
    service: Child,
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
                simulated: true,
                json: false,
            },
            SystemClock.now(),
        )
        .await?;

        let config = witness_dir.join("witness.toml");
        let settings = format!(
            "name = \"{WITNESS_NAME}\"\nkey_file = \"witness.key\"\nstate_dir = \"state\"\nlisten = \"127.0.0.1:0\"\n\n[[log]]\nvkey = \"{}\"\n",
            made.log_vkey
        );
        fs::write(&config, settings)?;
        let (witness, listening) =
            spawn(&program, &["serve", "--config", text(&config)?, "--json"], &dir.join("witness.log"))
                .await?;
        set_witness_url(&made.config, &format!("http://{listening}"))?;

        let this = std::env::current_exe().context("find this program")?;
        let arguments = ["serve", "--config", text(&made.config)?, "--json", "--log", "warn"];
        let (service, listening) = spawn(&this, &arguments, &dir.join("service.log")).await?;
        let port = listening.rsplit(':').next().unwrap_or_default();
        for (from, to) in [("trust.json", "trust.json"), ("ca.pem", "ca.pem")] {
            fs::copy(ledger.join(from), dir.join(to))?;
        }
        keys::write_secret(&dir.join("auditor.key"), &keys::read_secret(&ledger.join("auditor.key"))?)?;
        Ok(Self {
            dir: dir.to_owned(),
            origin: made.origin,
            rp_id: Config::load(&made.config)?.rp_id,
            url: format!("https://localhost:{port}"),
            witness,
            service,
        })
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
        stop(&mut self.service, "the service").await?;
        stop(&mut self.witness, "the witness").await
    }
}

fn witness_program(given: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = given {
        return Ok(path.to_owned());
    }
    let beside = std::env::current_exe().context("find this program")?.with_file_name("treering-witness");
    ensure!(
        beside.exists(),
        "{} does not exist: build it (cargo build --workspace), or name it with --witness-bin",
        beside.display()
    );
    Ok(beside)
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}

async fn capture(program: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).output().await;
    let output = output.with_context(|| format!("run {}", program.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} {}: {said}", program.display(), arguments.join(" "));
    Ok(String::from_utf8(output.stdout)?)
}

/// Starts a server and waits for the line in which it says where it listens.
async fn spawn(program: &Path, arguments: &[&str], log: &Path) -> Result<(Child, String)> {
    let shown = program.display();
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(fs::File::create(log).with_context(|| format!("make {}", log.display()))?)
        // Whatever ends the demo ends its servers.
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("start {shown}"))?;
    let stdout = child.stdout.take().context("a child without output")?;
    let mut lines = BufReader::new(stdout).lines();
    let line = tokio::time::timeout(READY_TIMEOUT, lines.next_line()).await;
    let line = line.with_context(|| format!("{shown} was not ready in {} s", READY_TIMEOUT.as_secs()))??;
    let said = || fs::read_to_string(log).unwrap_or_default();
    let line = line.with_context(|| format!("{shown} ended before it was ready: {}", said()))?;
    let ready: Value = serde_json::from_str(&line).with_context(|| format!("{shown} said `{line}`"))?;
    let listening = ready.get("listening").and_then(Value::as_str);
    Ok((child, listening.with_context(|| format!("{shown} said `{line}`"))?.to_owned()))
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

async fn stop(child: &mut Child, name: &str) -> Result<()> {
    let id = child.id().with_context(|| format!("{name} has stopped already"))?;
    let kill = Command::new("kill").args(["-TERM", &id.to_string()]).status().await?;
    ensure!(kill.success(), "{name} could not be told to stop");
    let status = tokio::time::timeout(STOP_TIMEOUT, child.wait()).await;
    let status = status.with_context(|| format!("{name} did not stop in {} s", STOP_TIMEOUT.as_secs()))??;
    ensure!(status.success(), "{name} stopped with {status}");
    Ok(())
}
