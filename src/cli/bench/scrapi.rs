//! Registration by SCRAPI: a real service, TLS, prepared statements; each answer is 201 with a receipt.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use hyper::StatusCode;

use crate::config::Config;

use super::super::service::open_ledger;
use super::append::{Args, Run, WARM_UP, disk, used};
use super::http::{Request, load};
use super::ledger::BenchLedger;
use super::meter::{Usage, Window};

/// Statements that are made for each second: more than two cores can register.
const PREPARED_PER_S: usize = 36_000;
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

/// A request for each statement, written before the load begins.
fn requests(
    ledger: &BenchLedger,
    statements: Vec<Vec<u8>>,
) -> Result<impl Fn() -> Option<Request> + Clone + Send + Sync + use<>> {
    let target = ledger.target()?;
    let requests: Vec<_> = statements
        .into_iter()
        .map(|statement| target.post("/entries", "application/cose", &statement))
        .collect();
    let queue = Arc::new(Mutex::new(requests.into_iter()));
    Ok(move || queue.lock().unwrap_or_else(PoisonError::into_inner).next())
}
