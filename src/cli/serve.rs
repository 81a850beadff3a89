//! `treering serve`: the service.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::Config;
use crate::http::{Server, TlsFiles, router, tls_config};

use super::{files, output, service};

/// How often recorded values become summaries.
const SUMMARISE: Duration = Duration::from_secs(5);

const EXAMPLES: &str = "\
Examples:
  Until a signal stops it:
    treering serve --config treering.toml
  For a supervisor that waits until it listens:
    treering serve --config treering.toml --json

SIGTERM and SIGINT end open requests, drain the log's pool, and stop.

With --json, once it listens: listening, origin.
Exit status: 0 stopped by a signal; 3 it could not start; 4 the log stopped by itself, and said why: a write failed, or what \
it rests on could not be read. Look after the disk and start it again.";

/// Run the service: SCRAPI, tiles, credentials, governance and audit on one TLS listener
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Print one JSON object when listening, and log in JSON
    #[arg(long)]
    json: bool,
    /// What is logged to stderr, such as `info` or `treering=debug`
    #[arg(long, value_name = "FILTER", default_value = "info")]
    log: String,
}

pub(super) async fn run(args: &Args) -> Result<ExitCode> {
    start_logging(args)?;
    let config = Config::load(&args.config)?;
    let metrics = PrometheusBuilder::new().install_recorder().context("install the metrics recorder")?;
    tokio::spawn(summarise(metrics.clone()));
    if config.hardware.simulated_root.is_some() {
        tracing::warn!(
            trust_domain = config.trust_domain,
            "a SIMULATED hardware root is trusted: credentials of this trust domain prove nothing about hardware"
        );
    }
    let assembled = service::assemble(&config, metrics).await?;
    let tls = tls_config(&TlsFiles {
        certificate: &files::read(&config.http.tls_certificate)?,
        key: &crate::keys::read_secret(&config.http.tls_key)?,
        client_ca: &files::read(&config.http.client_ca)?,
    })?;
    let server = Server::bind(config.http.listen, tls, config.http.limits()).await?;
    let address = server.address();
    tracing::info!(%address, origin = config.origin, "listening");
    if args.json {
        output::json(&json!({ "listening": address.to_string(), "origin": config.origin }))?;
    }
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let log = assembled.log.clone();
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("stopping"),
            _ = interrupt.recv() => tracing::info!("stopping"),
            () = log.stopped() => tracing::error!(
                why = log.why_stopped(),
                "stopping, since the log stopped: make sure of the disk and of room on it, and start again; \
                 what is on the disk is verified then, and nothing that was answered is lost"
            ),
        }
    };
    server.run(router(assembled.service), stop).await;
    let stopped_by_itself = !assembled.log.is_running();
    if let Some(publisher) = assembled.publisher {
        publisher.shutdown().await;
    }
    assembled.log.shutdown().await;
    tracing::info!("stopped");
    Ok(if stopped_by_itself { ExitCode::from(output::LOG_STOPPED) } else { ExitCode::SUCCESS })
}

/// What is recorded is kept one by one until it becomes part of a summary, which a scrape would do, too: without one,
/// or between two, it must not pile up.
async fn summarise(metrics: PrometheusHandle) {
    loop {
        tokio::time::sleep(SUMMARISE).await;
        metrics.run_upkeep();
    }
}

fn start_logging(args: &Args) -> Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_new(&args.log)
        .with_context(|| format!("--log `{}` is not a filter", args.log))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if args.json {
        builder.json().init();
    } else {
        builder.init();
    }
    Ok(())
}
