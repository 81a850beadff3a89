//! Witness processes for a benchmark, each syncing its state on the same disk.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use treering_log::Log;
use treering_log::publisher::{Cosigner, Publisher, Timing};
use treering_tlog::policy::Policy;

use super::super::processes::{Server, capture, text, witness_config, witness_program};
use super::super::service::witness;
use super::meter::Usage;

/// Where a witness is said to be before it listens.
const NOT_YET: &str = "http://127.0.0.1:1";

/// Witnesses: first their keys, which the ledger must know, then, with the log's key, their processes.
pub(super) struct Witnesses {
    /// None, if there are none.
    program: PathBuf,
    made: Vec<Made>,
    servers: Vec<Server>,
}

/// A witness that has a key.
struct Made {
    name: String,
    vkey: String,
    dir: PathBuf,
}

impl Witnesses {
    /// Makes the keys of `count` witnesses.
    pub(super) async fn make(dir: &Path, program: Option<&Path>, count: usize) -> Result<Self> {
        let program = if count == 0 { PathBuf::new() } else { witness_program(program)? };
        let mut made = Vec::with_capacity(count);
        for number in 1..=count {
            let (name, dir) =
                (format!("witness.bench.example/{number}"), dir.join(format!("witness-{number}")));
            let vkey = capture(&program, &["init", "--dir", text(&dir)?, "--name", &name]).await?;
            made.push(Made { name, vkey: vkey.trim().to_owned(), dir });
        }
        Ok(Self { program, made, servers: Vec::new() })
    }

    /// As `treering init` wants them. Where they listen is not known yet.
    pub(super) fn arguments(&self) -> Vec<String> {
        self.made.iter().map(|made| format!("{}={NOT_YET}", made.vkey)).collect()
    }

    /// Starts them for a log.
    pub(super) async fn serve(&mut self, log_vkey: &str) -> Result<()> {
        for made in &self.made {
            let config = witness_config(&made.dir, &made.name, log_vkey)?;
            let arguments = ["serve", "--config", text(&config)?, "--json"];
            self.servers.push(Server::start(&self.program, &arguments, &made.dir.join("log")).await?);
        }
        Ok(())
    }

    /// Their names, and where they listen.
    pub(super) fn addresses(&self) -> impl Iterator<Item = (&str, String)> {
        let urls = self.servers.iter().map(|server| format!("http://{}", server.listening));
        self.made.iter().map(|made| made.name.as_str()).zip(urls)
    }

    /// Brings them the heads of a log of this process; more than half of them make a quorum.
    pub(super) async fn publish(&self, log: &Log, log_vkey: &str) -> Result<Option<Publisher>> {
        if self.made.is_empty() {
            return Ok(None);
        }
        let (mut policy, mut names) = (format!("log {log_vkey}\n"), String::new());
        let mut cosigners = Vec::<Arc<dyn Cosigner>>::new();
        for (made, (name, url)) in self.made.iter().zip(self.addresses()) {
            writeln!(policy, "witness {name} {} {url}", made.vkey)?;
            write!(names, " {name}")?;
            cosigners.push(Arc::new(witness(name, &url)?));
        }
        let quorum = self.made.len() / 2 + 1;
        writeln!(policy, "group quorum-of-bench {quorum}{names}\nquorum quorum-of-bench")?;
        let policy = Policy::parse(policy.as_bytes())?;
        let publisher = Publisher::spawn(log.clone(), policy, cosigners, Timing::default()).await;
        Ok(Some(publisher.context("ask the witnesses")?))
    }

    /// CPU seconds that all of them have used so far.
    pub(super) fn cpu_s(&self) -> Result<f64> {
        self.servers.iter().map(|server| Ok(Usage::of(server.id())?.cpu_s)).sum()
    }

    /// Stops them.
    pub(super) async fn stop(&mut self) -> Result<()> {
        for server in &mut self.servers {
            server.stop("a witness").await?;
        }
        Ok(())
    }
}
