//! The commands beside `serve`: mirror, compare, evidence, bench.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use rustls::ClientConfig;
use tokio::{
    net::TcpListener,
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};
use treering_tlog::note::VerifierKey;
use treering_witness::{
    bench,
    client::WitnessClient,
    clock,
    compare::{self, Peer, Subject},
    config::Config,
    evidence::{Evidence, EvidenceDir, MAX_EVIDENCE_LEN},
    fetch, http,
    mirror::{self, Mirror, Outcome},
    tiles::LogClient,
};

use crate::print;

/// Nothing was found, and everything was looked at.
const FINE: u8 = 0;
/// A log has forked.
const FORKED: u8 = 1;
/// Something could not be looked at.
const OPEN: u8 = 2;

pub(crate) fn mirror(path: &Path, once: bool) -> Result<ExitCode> {
    let config = read(path)?;
    let tls = tls(&config)?;
    let evidence = EvidenceDir::new(&config.evidence_dir);
    let timeout = Duration::from_secs(config.mirror.timeout_s);
    let mut keys = config.logs()?;
    let mut mirrors = Vec::new();
    for (origin, url) in config.urls() {
        let log = LogClient::new(url, tls.clone(), timeout)?;
        let keys = keys.remove(&origin).unwrap_or_default();
        mirrors.push(Mirror::open(&config.mirror.dir, log, &origin, keys, evidence.clone())?);
    }
    if mirrors.is_empty() {
        bail!("no [[log]] has a url\na mirror needs to know where a log's tiles are");
    }
    let runtime = Runtime::new()?;
    if once {
        return runtime.block_on(pass_once(mirrors));
    }
    let metrics = metrics_recorder()?;
    runtime.block_on(async {
        let mut following = JoinSet::new();
        let every = Duration::from_secs(config.mirror.every_s);
        for mirror in mirrors {
            following.spawn(mirror::follow(mirror, every, clock::system()));
        }
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let stop = async move {
            tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        };
        let Some(listen) = config.mirror.listen else {
            stop.await;
            return Ok(());
        };
        let listener =
            TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
        let listening = listener.local_addr()?.to_string();
        // As `serve --json`: with port 0 that is how to learn the port.
        print(&serde_json::json!({ "listening": listening }).to_string())?;
        http::serve_metrics(listener, metrics, stop).await.context("the server failed")
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn pass_once(mirrors: Vec<Mirror>) -> Result<ExitCode> {
    let (mut forked, mut open) = (false, false);
    for mut mirror in mirrors {
        let origin = mirror.origin().to_owned();
        match mirror.pass().await {
            Ok(Outcome::Advanced { from, to }) => print(&format!("{origin}: verified {from} to {to}"))?,
            Ok(Outcome::Unchanged { size }) => print(&format!("{origin}: unchanged at {size}"))?,
            Ok(Outcome::Forked { kept }) => {
                forked = true;
                let kept = kept.map_or_else(|| "kept before".to_owned(), |path| path.display().to_string());
                print(&format!("{origin}: FORKED, evidence {kept}"))?;
            }
            Err(error) => {
                open = true;
                print(&format!("{origin}: not verified beyond {}: {error}", mirror.verified()))?;
            }
        }
    }
    Ok(code(forked, open))
}

pub(crate) fn compare(path: &Path) -> Result<ExitCode> {
    let config = read(path)?;
    let tls = tls(&config)?;
    let timeout = Duration::from_secs(config.mirror.timeout_s);
    let mut peers = Vec::new();
    for (key, url) in config.peers()? {
        peers.push(Peer { key, client: WitnessClient::new(url, tls.clone(), timeout)? });
    }
    if peers.is_empty() {
        bail!("no [[peer]] is configured\nname the witnesses to compare, also this one");
    }
    let urls = config.urls();
    let subject = |(origin, keys): (String, Vec<VerifierKey>)| -> Result<Subject> {
        let tiles = urls.get(&origin).map(|url| LogClient::new(url, tls.clone(), timeout)).transpose()?;
        Ok(Subject { origin, keys, tiles })
    };
    let logs: BTreeMap<String, Vec<VerifierKey>> = config.logs()?;
    let subjects = logs.into_iter().map(subject).collect::<Result<Vec<_>>>()?;
    let evidence = EvidenceDir::new(&config.evidence_dir);
    let runtime = Runtime::new()?;
    let (mut forked, mut open) = (false, false);
    for subject in subjects {
        let origin = &subject.origin;
        let found = runtime.block_on(compare::compare(&subject, &peers));
        for (who, size) in &found.views {
            print(&format!("{origin}: {who} has {size}"))?;
        }
        for why in &found.open {
            open = true;
            print(&format!("{origin}: not compared: {why}"))?;
        }
        for fork in &found.forks {
            forked = true;
            let kept = evidence.keep(fork).context("the evidence cannot be kept")?;
            let kept = kept.map_or_else(|| "kept before".to_owned(), |path| path.display().to_string());
            print(&format!("{origin}: FORKED, evidence {kept}"))?;
        }
    }
    Ok(code(forked, open))
}

fn code(forked: bool, open: bool) -> ExitCode {
    ExitCode::from(if forked {
        FORKED
    } else if open {
        OPEN
    } else {
        FINE
    })
}

/// A file that cannot be read, or a key that cannot, is not the same as a file that proves nothing.
pub(crate) fn verify_evidence(path: &Path, vkeys: &[String], origin: Option<&str>) -> ExitCode {
    let read = || -> Result<(Evidence, Vec<VerifierKey>)> {
        let keys = vkeys.iter().map(|vkey| VerifierKey::parse(vkey).with_context(|| format!("key {vkey:?}")));
        let keys = keys.collect::<Result<Vec<_>>>()?;
        let len = std::fs::metadata(path).with_context(|| path.display().to_string())?.len();
        if len > MAX_EVIDENCE_LEN as u64 {
            bail!("{} is {len} bytes, want at most {MAX_EVIDENCE_LEN}", path.display());
        }
        let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
        Ok((Evidence::parse(&bytes)?, keys))
    };
    let (said, code) = match read() {
        Err(error) => (format!("cannot be evaluated: {error:#}"), OPEN),
        Ok((evidence, keys)) => {
            let origin = origin.or_else(|| keys.first().map(VerifierKey::name)).unwrap_or_default();
            match evidence.verify(origin, &keys) {
                Err(error) => (format!("does not prove a fork: {error}"), FORKED),
                Ok(fork) => (
                    format!(
                        "proved: {} signed size {} with root {}, and size {} of a tree whose root at {} is {}",
                        fork.origin,
                        fork.first_size,
                        fork.signed_root,
                        fork.second_size,
                        fork.first_size,
                        fork.other_root
                    ),
                    FINE,
                ),
            }
        }
    };
    match print(&said) {
        Ok(()) => ExitCode::from(code),
        Err(_) => ExitCode::from(OPEN),
    }
}

pub(crate) fn measure(options: &bench::Options, json: bool) -> Result<()> {
    let report = bench::run(options)?;
    if json {
        return print(&serde_json::to_string(&report)?);
    }
    let limits = &report.limits;
    print(&format!(
        "cosigned        {} in {} s, {:.0} a second, {} refused\n\
         latency         p50 {} ms, p99 {} ms, p99.9 {} ms, max {} ms ({} clients, {} logs)\n\
         start           {} ms, after kill -9 {} ms\n\
         machine         {} cores, load {} before; fdatasync p50 {} ms, p99 {} ms;\n\
         \x20               one core makes {} leaf hashes, signs {} and verifies {} a second\n\
         ratios          p50 is {:.1} syncs; cosignatures a second are {:.2} of one core's verifications",
        report.cosigned,
        report.seconds,
        report.throughput_per_s,
        report.refused,
        report.p50_ms,
        report.p99_ms,
        report.p999_ms,
        report.max_ms,
        report.clients,
        report.origins,
        report.start_ms,
        report.restart_ms,
        limits.cores,
        limits.load_before,
        limits.fdatasync_p50_ms,
        limits.fdatasync_p99_ms,
        limits.sha256_per_s,
        limits.ed25519_sign_per_s,
        limits.ed25519_verify_per_s,
        report.p50_ms / limits.fdatasync_p50_ms,
        report.throughput_per_s / f64::from(limits.ed25519_verify_per_s),
    ))
}

/// Installs the recorder of the process, with buckets where a quantile of the last minutes would say too little.
pub(crate) fn metrics_recorder() -> Result<PrometheusHandle> {
    let buckets = |name: &str, buckets: &[f64]| (Matcher::Full(name.to_owned()), buckets.to_vec());
    let mut builder = PrometheusBuilder::new();
    for (name, buckets) in [
        buckets(
            "treering_witness_sync_seconds",
            &[0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.25, 1.0],
        ),
        buckets(
            "treering_witness_commit_batch_states",
            &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 1024.0],
        ),
        buckets(
            "treering_witness_add_checkpoint_seconds",
            &[0.001, 0.002, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.5, 1.0],
        ),
    ] {
        builder = builder.set_buckets_for_metric(name, &buckets).context("metrics")?;
    }
    builder.install_recorder().context("cannot install metrics")
}

fn read(path: &Path) -> Result<Config> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_target(false).init();
    Ok(Config::read(path)?)
}

fn tls(config: &Config) -> Result<Option<Arc<ClientConfig>>> {
    Ok(config.ca_file.as_deref().map(fetch::tls).transpose()?)
}
