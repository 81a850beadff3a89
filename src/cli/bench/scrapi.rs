//! Registration by SCRAPI: a real service, TLS, statements signed before; each answer is 201 with a receipt, and of a
//! sample of them the receipt is verified and the entry asked for at once.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hyper::StatusCode;
use tokio::sync::watch;
use treering_provenance::receipt::Receipt;
use treering_provenance::trust::Trust;
use treering_tlog::checkpoint::Checkpoint;
use treering_tlog::hash::Hash;
use treering_tlog::note::Note;

use crate::clock::{Clock, SystemClock};
use crate::governance::rules;

use super::append::{Args, Cpu, Grown, Run, Submitted};
use super::disk::Disk;
use super::http::{Answer, Ask, Asker, Connection, Look, Request, Target, load};
use super::ledger::{BenchLedger, Drafts};
use super::meter::{Usage, Window};
use super::receipts::{Receipts, is_sampled, leaf_of_request};
use super::witnesses::Witnesses;

/// Statements that are made before for each second: more than two cores can register.
const PREPARED_PER_S: usize = 36_000;
/// Seconds for which they are made at most: they lie in memory, and get old.
const PREPARED_S: u64 = 30;
/// Older than this, a statement is not sent any more: the service takes only what was signed just now.
const MAX_AGE: Duration = Duration::from_secs(rules::MAX_SKEW_S - 60);
/// Connections that fill a log before something else is measured.
const FILLERS: usize = 64;
/// How often the service is asked for a cosigned checkpoint.
const POLL: Duration = Duration::from_millis(1);

pub(super) fn run(args: &Args, dir: &Path) -> Result<Run> {
    // One thread makes the load: the service needs the other core.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let witnesses = Witnesses::make(dir, args.witness_bin.as_deref(), args.witnesses).await?;
        let mut ledger = BenchLedger::start(dir, args.clients, witnesses).await?;
        let target = ledger.target()?;
        let before = checkpoint(&mut target.connect().await?, &target).await?.1;
        let queue = Arc::new(Queue::prepare(&ledger, args)?);
        let receipts = Arc::new(Receipts::of(&ledger.trust()?));
        let poll = if args.witnesses > 0 { Some(Poll::start(&target, ledger.trust()?).await?) } else { None };
        let submitter = || Submitter {
            queue: Arc::clone(&queue),
            receipts: Arc::clone(&receipts),
            target: target.clone(),
            witnessed: poll.as_ref().map(|poll| poll.size.clone()),
            sent: 0,
            follow: None,
        };
        let window = Window::of_seconds(args.seconds);
        let begun = async {
            tokio::time::sleep_until(window.begin().into()).await;
            used(&ledger)
        };
        let (begun, loaded) = tokio::try_join!(begun, load(&target, args.clients, window, submitter))?;
        let ended = used(&ledger)?;
        let (server_s, own_s) = (ended.0.cpu_since(begun.0), ended.1.cpu_since(begun.1));
        let witnesses = (args.witnesses > 0).then_some(ended.2 - begun.2);
        let cpu = Cpu { all: server_s + own_s, server: Some(server_s), witnesses };
        drop(poll);
        ledger.stop().await?;
        let begin = Instant::now();
        let opened = ledger.open()?;
        let open_ms = begin.elapsed().as_secs_f64() * 1000.0;
        Ok(Run {
            latencies: loaded.latencies,
            seconds: loaded.seconds,
            cpu,
            memory: ended.0.memory,
            open_ms,
            entries: Grown { before, after: opened.log().size() },
            disk: Disk::of(opened.log(), None)?,
            submitted: Some(Submitted {
                answers: loaded.answers,
                signed_live: queue.live.load(Ordering::Relaxed),
            }),
        })
    })
}

/// What the service, this process and the witnesses have used so far.
fn used(ledger: &BenchLedger) -> Result<(Usage, Usage, f64)> {
    Ok((Usage::of(ledger.service.id())?, Usage::of(None)?, ledger.witnesses.cpu_s()?))
}

/// Registers statements as fast as it goes, unmeasured; an error unless every one is taken.
pub(super) async fn register_all(target: &Target, statements: Vec<Vec<u8>>) -> Result<()> {
    let requests: Vec<_> = statements.iter().map(|statement| post(target, statement)).collect();
    let queue = Arc::new(Mutex::new(requests.into_iter()));
    let window = Window::of(Duration::ZERO, Duration::from_hours(1));
    let loaded = load(target, FILLERS, window, || Filler { queue: Arc::clone(&queue) }).await?;
    ensure!(loaded.answers.is_clean(), "not every statement was registered: {}", loaded.answers.text());
    Ok(())
}

fn post(target: &Target, statement: &[u8]) -> Request {
    target.post("/entries", "application/cose", statement)
}

/// Sends what is in a queue.
struct Filler {
    queue: Arc<Mutex<std::vec::IntoIter<Request>>>,
}

impl Asker for Filler {
    fn next(&mut self) -> Result<Option<Ask>> {
        let request = self.queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        Ok(request.map(|request| Ask { request, want: StatusCode::CREATED, timed: true }))
    }

    fn look(&mut self, _: &Ask, _: &Answer<'_>) -> Look {
        Look::Unchecked
    }
}

/// Statements to be sent: signed before the load begins, and, once these are used up or too old, while it runs.
struct Queue {
    target: Target,
    drafts: Drafts,
    begun: Instant,
    prepared: Mutex<std::vec::IntoIter<Request>>,
    live: AtomicU64,
}

impl Queue {
    fn prepare(ledger: &BenchLedger, args: &Args) -> Result<Self> {
        let (target, drafts, begun) = (ledger.target()?, ledger.drafts(args.entry_bytes)?, Instant::now());
        let seconds = (args.seconds + 1).min(PREPARED_S);
        let count = usize::try_from(seconds)? * PREPARED_PER_S;
        // On a machine that signs slowly the load does not wait for more than it can send.
        let statements = drafts.many(count, Duration::from_secs(args.seconds.min(PREPARED_S)))?;
        let requests: Vec<_> = statements.into_iter().map(|statement| post(&target, &statement)).collect();
        Ok(Self {
            target,
            drafts,
            begun,
            prepared: Mutex::new(requests.into_iter()),
            live: AtomicU64::new(0),
        })
    }

    fn take(&self) -> Result<Request> {
        if self.begun.elapsed() < MAX_AGE {
            let prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner).next();
            if let Some(request) = prepared {
                return Ok(request);
            }
        }
        self.live.fetch_add(1, Ordering::Relaxed);
        Ok(post(&self.target, &self.drafts.sign(SystemClock.now())?))
    }
}

/// One client.
struct Submitter {
    queue: Arc<Queue>,
    receipts: Arc<Receipts>,
    target: Target,
    /// Up to which size a quorum has cosigned, where there are witnesses.
    witnessed: Option<watch::Receiver<u64>>,
    sent: u64,
    /// An entry that was registered just now, to be asked for.
    follow: Option<Follow>,
}

/// A registered entry: where its receipt was said to be, which leaf it is, and where in the tree.
struct Follow {
    location: String,
    leaf: Hash,
    index: u64,
}

impl Submitter {
    /// Verifies the receipt of a registration and notes where to ask again.
    fn registered(&mut self, request: &Request, answer: &Answer<'_>) -> Result<()> {
        let leaf = leaf_of_request(request);
        let index = self.receipts.check(answer.body, &leaf)?.index();
        let location = answer.field("location").context("a registration without a Location")?;
        self.follow = Some(Follow { location, leaf, index });
        Ok(())
    }

    /// Verifies the receipt that the entry has at its Location.
    fn resolved(&mut self, answer: &Answer<'_>) -> Result<()> {
        let Follow { location, leaf, index } = self.follow.take().context("nothing to follow")?;
        let found = self.receipts.check(answer.body, &leaf)?.index();
        ensure!(found == index, "{location} is at {found}, its first receipt said {index}");
        Ok(())
    }
}

impl Asker for Submitter {
    fn next(&mut self) -> Result<Option<Ask>> {
        if let Some(follow) = &self.follow {
            let request = self.target.get(&follow.location);
            return Ok(Some(Ask { request, want: StatusCode::OK, timed: false }));
        }
        Ok(Some(Ask { request: self.queue.take()?, want: StatusCode::CREATED, timed: true }))
    }

    async fn settle(&mut self, answer: &Answer<'_>) -> Result<()> {
        let Some(witnessed) = &mut self.witnessed else { return Ok(()) };
        let receipt = Receipt::parse(answer.body)?;
        let size = receipt.inclusions().first().context("a receipt without a proof")?.size;
        witnessed
            .wait_for(|witnessed| *witnessed >= size)
            .await
            .context("no checkpoint is asked for any more")?;
        Ok(())
    }

    /// A check is of two answers: the receipt of the registration, and the one that is to be had at once.
    fn look(&mut self, ask: &Ask, answer: &Answer<'_>) -> Look {
        let failed = |error: anyhow::Error| Look::Failed(format!("{error:#}"));
        if !ask.timed {
            return self.resolved(answer).map_or_else(failed, |()| Look::Passed);
        }
        self.sent += 1;
        if !is_sampled(self.sent - 1) {
            return Look::Unchecked;
        }
        self.registered(&ask.request, answer).map_or_else(failed, |()| Look::Unchecked)
    }

    fn turned_away(&mut self, ask: &Ask) -> bool {
        self.follow = None;
        !ask.timed
    }
}

/// Asks the service for its latest checkpoint all the time, for all clients.
struct Poll {
    size: watch::Receiver<u64>,
    task: tokio::task::JoinHandle<()>,
}

impl Poll {
    /// Asks once, for errors that come at once.
    async fn start(target: &Target, trust: Trust) -> Result<Self> {
        let mut connection = target.connect().await?;
        checkpoint(&mut connection, target).await?;
        let (sender, size) = watch::channel(0);
        let target = target.clone();
        let task = tokio::spawn(async move {
            // An error ends the sender, and with it the clients that wait.
            while let Ok((note, size)) = checkpoint(&mut connection, &target).await {
                let policy = trust.policy();
                if size > *sender.borrow() && policy.is_some_and(|policy| policy.verify(&note).is_ok()) {
                    sender.send_replace(size);
                }
                tokio::time::sleep(POLL).await;
            }
        });
        Ok(Self { size, task })
    }
}

impl Drop for Poll {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The latest checkpoint, and its size.
pub(super) async fn checkpoint(connection: &mut Connection, target: &Target) -> Result<(Note, u64)> {
    let answer = connection.send(&target.get("/checkpoint")).await?;
    ensure!(answer.status == StatusCode::OK, "GET /checkpoint: {}", answer.status);
    let note = Note::parse(answer.body)?;
    let size = Checkpoint::parse(note.text())?.size();
    Ok((note, size))
}
