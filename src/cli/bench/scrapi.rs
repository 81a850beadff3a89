//! Registration by SCRAPI: a real service, TLS, prepared statements; each answer is 201 with a receipt.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode, header};

use crate::config::Config;

use super::super::service::open_ledger;
use super::append::{Args, Run, WARM_UP, disk, used};
use super::http::load;
use super::ledger::BenchLedger;
use super::meter::{Usage, Window};

/// Statements that are made for each second: more than two cores can register.
const PREPARED_PER_S: usize = 24_000;
/// Connections that fill a log before something else is measured.
const FILLERS: usize = 64;

pub(super) fn run(args: &Args, dir: &Path) -> Result<Run> {
    // One thread makes the load: the service needs the other core.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let mut ledger = BenchLedger::start(dir).await?;
        let seconds = usize::try_from(args.seconds)?;
        let statements = ledger.statements((seconds + 1) * PREPARED_PER_S, args.entry_bytes)?;
        let next = requests(&ledger, statements)?;
        let window = Window::of(WARM_UP, Duration::from_secs(args.seconds));
        let id = ledger.service.id();
        let before = async {
            tokio::time::sleep_until(window.begin().into()).await;
            Ok((Usage::of(id)?, Usage::of(None)?))
        };
        let target = ledger.target()?;
        let (before, loaded) =
            tokio::try_join!(before, load(&target, args.clients, window, StatusCode::CREATED, next))?;
        let (latencies, seconds) = loaded;
        let (service, own) = (Usage::of(id)?, Usage::of(None)?);
        ledger.service.stop("the service").await?;
        let cpu_s = used(before.0, service) + used(before.1, own);
        let begin = Instant::now();
        let (opened, _) = open_ledger(&Config::load(&ledger.config)?, false)?;
        let open_ms = begin.elapsed().as_secs_f64() * 1000.0;
        opened.log().compact()?;
        let disk = disk(opened.log(), None)?;
        Ok(Run { latencies, seconds, cpu_s, rss_peak_bytes: service.rss_peak_bytes, open_ms, disk })
    })
}

/// Registers statements as fast as it goes, unmeasured.
pub(super) async fn register_all(ledger: &BenchLedger, statements: Vec<Vec<u8>>) -> Result<()> {
    let next = requests(ledger, statements)?;
    let window = Window::of(Duration::ZERO, Duration::from_hours(1));
    load(&ledger.target()?, FILLERS, window, StatusCode::CREATED, next).await.map(drop)
}

/// A request for each statement.
fn requests(
    ledger: &BenchLedger,
    statements: Vec<Vec<u8>>,
) -> Result<impl Fn() -> Option<Request<Full<Bytes>>> + Clone + Send + Sync + use<>> {
    let queue = Arc::new(Mutex::new(statements.into_iter()));
    let address = ledger.target()?.address;
    Ok(move || {
        let statement = queue.lock().unwrap_or_else(PoisonError::into_inner).next()?;
        let request = Request::builder()
            .method(Method::POST)
            .uri("/entries")
            .header(header::HOST, &address)
            .header(header::CONTENT_TYPE, "application/cose");
        request.body(Full::new(Bytes::from(statement))).ok()
    })
}
