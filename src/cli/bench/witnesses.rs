//! Witness processes for a benchmark, each syncing its state on the same disk, and the publisher that brings them heads.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use treering_log::Log;
use treering_log::publisher::{Cosigner, Publisher, Timing};
use treering_tlog::policy::Policy;

use super::super::processes::{Server, capture, text, witness_config, witness_program};
use super::super::service::witness;

/// Witnesses that run.
pub(super) struct Witnesses {
    servers: Vec<Server>,
    publisher: Publisher,
}

impl Witnesses {
    /// Makes and starts `count` witnesses of a log, more than half of which make a quorum.
    pub(super) async fn start(dir: &Path, program: Option<&Path>, log: &Log, count: usize) -> Result<Self> {
        let program = witness_program(program)?;
        let log_vkey = log.log_key().context("a log that is open for writing")?.to_string();
        let (mut servers, mut cosigners) = (Vec::new(), Vec::<Arc<dyn Cosigner>>::new());
        let (mut policy, mut names) = (format!("log {log_vkey}\n"), String::new());
        for number in 1..=count {
            let (name, dir) =
                (format!("witness.bench.example/{number}"), dir.join(format!("witness-{number}")));
            let vkey = capture(&program, &["init", "--dir", text(&dir)?, "--name", &name]).await?;
            let config = witness_config(&dir, &name, &log_vkey)?;
            let arguments = ["serve", "--config", text(&config)?, "--json"];
            let server = Server::start(&program, &arguments, &dir.join("log")).await?;
            let url = format!("http://{}", server.listening);
            writeln!(policy, "witness {name} {} {url}", vkey.trim())?;
            write!(names, " {name}")?;
            cosigners.push(Arc::new(witness(&name, &url)?));
            servers.push(server);
        }
        writeln!(policy, "group quorum-of-bench {}{names}\nquorum quorum-of-bench", count / 2 + 1)?;
        let policy = Policy::parse(policy.as_bytes())?;
        let publisher = Publisher::spawn(log.clone(), policy, cosigners, Timing::default()).await?;
        Ok(Self { servers, publisher })
    }

    /// Stops the publisher and the witnesses.
    pub(super) async fn stop(mut self) -> Result<()> {
        self.publisher.shutdown().await;
        for server in &mut self.servers {
            server.stop("a witness").await?;
        }
        Ok(())
    }
}
