//! `POST /entries`, and the resource that its Location names (SCRAPI sections 2.3 and 2.4).

use std::time::Duration;

use hyper::StatusCode;
use hyper::header;
use treering_tlog::hash::Hash;

use crate::keys;

use super::book::{Book, Verdict};
use super::caller::{Answer, COSE, Caller};
use super::keys::PublishedKey;
use super::statements::Sample;
use super::{Settings, problem, receipt};

/// How often a service that says "later" is asked again.
const MAX_TRIES: usize = 4;
/// The longest pause between two polls, if the service names none.
const MAX_PAUSE: Duration = Duration::from_secs(8);

/// Rules that only a registration that was begun can decide.
const REGISTRATION: &[&str] = &[
    "register.status",
    "register.location",
    "register.created.receipt",
    "register.accepted.empty",
    "register.same-location",
    "register.distinct-location",
    "register.unprotected",
    "resolve.receipt",
    "resolve.location",
    "resolve.same-place",
    "resolve.running",
    "receipt.sign1",
    "receipt.detached",
    "receipt.alg",
    "receipt.claims",
    "receipt.kid",
    "receipt.vds",
    "receipt.inclusion",
    "receipt.signature",
];

/// Registers a statement and looks at everything that comes of it.
pub(super) async fn check(
    caller: &Caller,
    book: &mut Book,
    sample: &Sample<'_>,
    settings: &Settings,
    keys: &[PublishedKey],
) {
    let run = Run { caller, sample, settings, keys };
    if let Err(reason) = run.all(book).await {
        // Only for what nothing has decided yet.
        for id in REGISTRATION {
            book.not_run(id, reason.clone());
        }
    }
}

struct Run<'a> {
    caller: &'a Caller,
    sample: &'a Sample<'a>,
    settings: &'a Settings,
    keys: &'a [PublishedKey],
}

impl Run<'_> {
    async fn all(&self, book: &mut Book) -> Result<(), String> {
        if !self.sample.is_meant_for_the_service() {
            return Err(
                "no statement that the service takes was given, nor a key to make one with".to_owned()
            );
        }
        let statement = self.sample.base();
        let leaf = receipt::leaf(statement, self.settings.entry)?;
        let answer = self.submit(statement).await?;
        if answer.is_error() {
            return Err(format!("the service does not take the statement: {}", problem::describe(&answer)));
        }
        let location = self.begun(book, &answer, &leaf)?;
        let resolved = self.poll(book, &location).await;
        match resolved {
            Ok(resolved) => self.resolved(book, &location, &resolved, &leaf).await,
            Err(reason) => book.fail("resolve.receipt", reason),
        }
        self.again(book, &location).await;
        self.dressed(book, &leaf).await;
        self.other(book, &location).await;
        Ok(())
    }

    /// POST, again if the service says "later".
    async fn submit(&self, statement: &[u8]) -> Result<Answer, String> {
        let mut answer = self.caller.post(Some(COSE), statement.to_vec()).await?;
        for _ in 1..MAX_TRIES {
            let busy =
                matches!(answer.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
            let wait = Duration::from_secs(answer.retry_after().unwrap_or(1));
            if !busy || wait > self.settings.patience {
                break;
            }
            tokio::time::sleep(wait).await;
            answer = self.caller.post(Some(COSE), statement.to_vec()).await?;
        }
        Ok(answer)
    }

    /// 201 with a receipt, or 202 with nothing; the Location.
    fn begun(&self, book: &mut Book, answer: &Answer, leaf: &Hash) -> Result<String, String> {
        let location = answer.header(header::LOCATION).map(str::to_owned);
        match answer.status {
            StatusCode::CREATED => {
                book.pass("register.status", "201");
                book.not_applicable("register.accepted.empty", "the receipt came at once");
                if answer.media_type() == COSE && !answer.body.is_empty() {
                    book.pass("register.created.receipt", format!("{} octets", answer.body.len()));
                } else {
                    let detail = format!(
                        "{} octets of type `{}`, want `{COSE}`",
                        answer.body.len(),
                        answer.media_type()
                    );
                    book.fail("register.created.receipt", detail);
                }
                receipt::check(book, &answer.body, leaf, self.keys);
            }
            StatusCode::ACCEPTED => {
                book.pass("register.status", "202");
                book.not_applicable("register.created.receipt", "the service answers 202");
                match answer.body.len() {
                    0 => book.pass("register.accepted.empty", "no body"),
                    more => book.fail("register.accepted.empty", format!("{more} octets of body")),
                }
            }
            other => {
                let drafts = if other.is_redirection() { " (drafts -04 to -10 redirected)" } else { "" };
                book.fail("register.status", format!("{}, want 201 or 202{drafts}", other.as_u16()));
            }
        }
        let location = location.ok_or_else(|| {
            book.fail(
                "register.location",
                format!("an answer of {} without Location", answer.status.as_u16()),
            );
            "there is no Location to go on with".to_owned()
        })?;
        match self.caller.resolve(&location) {
            Ok(_) => book.pass("register.location", location.clone()),
            Err(reason) => {
                book.fail("register.location", reason.clone());
                return Err(reason);
            }
        }
        Ok(location)
    }

    /// GET of the Location until it is more than "running".
    async fn poll(&self, book: &mut Book, location: &str) -> Result<Answer, String> {
        let mut waited = Duration::ZERO;
        let mut pause = Duration::from_millis(250);
        loop {
            let answer = self.caller.follow(location, COSE).await?;
            if answer.status != StatusCode::NO_CONTENT {
                book.not_applicable("resolve.running", "no registration was seen running");
                return Ok(answer);
            }
            let no_store =
                answer.header(header::CACHE_CONTROL).is_some_and(|value| value.contains("no-store"));
            let detail = format!("Retry-After {:?}, no-store {no_store}", answer.retry_after());
            let good = answer.headers.contains_key(header::RETRY_AFTER) && no_store && answer.body.is_empty();
            book.judge("resolve.running", if good { Ok(detail) } else { Err(detail) });
            let wait = answer.retry_after().map_or(pause + jitter(pause), Duration::from_secs);
            waited += wait;
            if waited > self.settings.patience {
                return Err(format!("still running after {} s", self.settings.patience.as_secs()));
            }
            tokio::time::sleep(wait).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }

    async fn resolved(&self, book: &mut Book, location: &str, answer: &Answer, leaf: &Hash) {
        if answer.status != StatusCode::OK || answer.media_type() != COSE {
            let detail = format!("GET {location}: {}, want 200 `{COSE}`", problem::describe(answer));
            book.fail("resolve.receipt", detail);
            return;
        }
        book.pass("resolve.receipt", format!("{} octets", answer.body.len()));
        let finding = match answer.header(header::LOCATION).map(|own| self.caller.resolve(own)) {
            Some(own) if own == self.caller.resolve(location) => Ok(location.to_owned()),
            Some(own) => Err(format!("{own:?}, want {location}")),
            None => Err("no Location".to_owned()),
        };
        book.judge("resolve.location", finding);
        let first = receipt::check(book, &answer.body, leaf, self.keys);
        // A fresh receipt may be of a larger tree, never of another place.
        let later = match self.caller.follow(location, COSE).await {
            Ok(later) => receipt::check(book, &later.body, leaf, self.keys),
            Err(reason) => return book.fail("resolve.same-place", reason),
        };
        match (first, later) {
            (Some(first), Some(later)) if first == later => {
                book.pass("resolve.same-place", format!("leaf {first} both times"));
            }
            (Some(first), Some(later)) => {
                book.fail("resolve.same-place", format!("leaf {first}, then {later}"));
            }
            _ => book.not_run("resolve.same-place", "no receipt that verifies"),
        }
    }

    /// The same statement again has the same Location, finished or not.
    async fn again(&self, book: &mut Book, location: &str) {
        let id = "register.same-location";
        match self.submit(self.sample.base()).await {
            Ok(answer) if answer.is_error() => book.fail(id, problem::describe(&answer)),
            Ok(answer) => match answer.header(header::LOCATION) {
                Some(again) if self.caller.resolve(again) == self.caller.resolve(location) => {
                    book.pass(id, location);
                }
                again => book.fail(id, format!("{location}, then {}", again.unwrap_or("none"))),
            },
            Err(reason) => book.fail(id, reason),
        }
    }

    /// What is in the unprotected header is not part of the entry.
    async fn dressed(&self, book: &mut Book, leaf: &Hash) {
        let id = "register.unprotected";
        if book.verdict("receipt.signature") != Some(Verdict::Pass) {
            return book.not_run(id, "the receipt of the plain statement does not verify either");
        }
        let answer = match self.sample.dressed() {
            Ok(statement) => self.submit(&statement).await,
            Err(reason) => return book.not_run(id, reason),
        };
        let (location, answer) = match answer {
            Ok(answer) if answer.is_error() => {
                let detail = format!("refused: {}", problem::describe(&answer));
                return book.not_applicable(id, detail);
            }
            Ok(answer) => match answer.header(header::LOCATION) {
                Some(location) => (location.to_owned(), answer),
                None => return book.fail(id, "no Location"),
            },
            Err(reason) => return book.not_run(id, reason),
        };
        let receipt = match answer.status {
            StatusCode::CREATED => answer.body,
            _ => match self.poll(book, &location).await {
                Ok(answer) => answer.body,
                Err(reason) => return book.not_run(id, reason),
            },
        };
        // Judged by itself: the receipt must be one of the entry with an empty unprotected header.
        let mut own = Book::new();
        match receipt::check(&mut own, &receipt, leaf, self.keys) {
            Some(index) => book.pass(id, format!("leaf {index} is the statement with an empty one")),
            None => book.fail(id, "the receipt is not one of the statement with an empty unprotected header"),
        }
    }

    async fn other(&self, book: &mut Book, location: &str) {
        let id = "register.distinct-location";
        let Some(statement) = self.sample.another() else {
            return book.not_run(id, "only one statement was given");
        };
        match self.submit(&statement).await {
            Ok(answer) if answer.is_error() => book.not_run(id, problem::describe(&answer)),
            Ok(answer) => match answer.header(header::LOCATION) {
                Some(other) if other != location => book.pass(id, "two statements, two Locations"),
                Some(_) => book.fail(id, format!("{location} for two statements")),
                None => book.fail(id, "no Location"),
            },
            Err(reason) => book.not_run(id, reason),
        }
    }
}

/// Up to as much again, so that many clients do not come back at once.
fn jitter(pause: Duration) -> Duration {
    let share = keys::random::<1>().map_or(0, |[octet]| u32::from(octet));
    pause * share / 256
}
