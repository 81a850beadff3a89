//! The demo's ledger without its story: a workload whose policies are in force, for who measures what the demo shows.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use treering_provenance::trust::Trust;

use crate::attester::simulated::Launch;
use crate::audit::LocalSource;
use crate::client::Client;
use crate::config::Config;
use crate::ledger::Ledger;

use super::super::attester::simulated_guest;
use super::super::files;
use super::super::processes::Server;
use super::super::service::open_ledger;
use super::super::trace::{auditor_key, follow};
use super::stage::Stage;
use super::story::Story;
use super::{materials, register};

/// A service and a witness that run, and a workload that may get credentials.
pub(in crate::cli) struct Scene {
    stage: Stage,
}

impl Scene {
    /// Makes and starts everything.
    pub(in crate::cli) async fn set(dir: &Path, witness_bin: Option<&Path>) -> Result<Self> {
        let stage = Stage::start(dir, witness_bin).await?;
        register::run(&mut Story::new(true), &stage).await?;
        Ok(Self { stage })
    }

    /// The service's process.
    pub(in crate::cli) fn service(&self) -> &Server {
        self.stage.service()
    }

    /// The witness's process.
    pub(in crate::cli) fn witness(&self) -> &Server {
        self.stage.witness()
    }

    /// A workload's connection to the service.
    pub(in crate::cli) fn workload(&self) -> Result<Client> {
        self.stage.stranger()
    }

    /// One credential for a new key, from challenge to release; its certificate, PEM.
    pub(in crate::cli) async fn acquire(&self, client: &Client) -> Result<String> {
        let guest = simulated_guest(&self.stage.ledger("platform"), Launch::of_image(&materials::image()))?;
        let acquired = client.acquire(&guest, &materials::identifier(), &self.stage.rp_id).await?;
        Ok(acquired.response.credential)
    }

    /// Stops the processes; what was logged can be traced then.
    pub(in crate::cli) async fn stop(mut self) -> Result<Stopped> {
        self.stage.stop().await?;
        Ok(Stopped { stage: self.stage })
    }
}

/// A scene whose processes have ended.
pub(in crate::cli) struct Stopped {
    stage: Stage,
}

impl Stopped {
    /// The log, to read from.
    pub(in crate::cli) fn source(&self) -> Result<LocalSource> {
        Ok(LocalSource::open(&self.stage.ledger("data"))?)
    }

    /// Opens the log, to measure what it takes.
    pub(in crate::cli) fn open(&self) -> Result<Ledger> {
        Ok(open_ledger(&Config::load(&self.stage.ledger("treering.toml"))?, false)?.0)
    }

    /// What a relying party knows.
    pub(in crate::cli) fn trust(&self) -> Result<Trust> {
        self.stage.trust()
    }

    /// Traces a credential and makes its decision again; an error unless it comes out the same.
    pub(in crate::cli) async fn replay(&self, credential: &str, source: &LocalSource) -> Result<()> {
        let certificates = files::certificates(credential.as_bytes());
        let auditor = auditor_key(&self.stage.dir.join("auditor.key"))?;
        let certificate = certificates.first().context("no certificate")?;
        let (_, replay) = follow(certificate, source, &self.stage.trust()?, &auditor).await?;
        ensure!(replay.identical, "the replay differs: {}", replay.notes.join("; "));
        Ok(())
    }
}
