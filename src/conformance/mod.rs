//! Conformance of a transparency service, seen from outside: which requirements of SCRAPI (draft -11), and of the
//! documents that it rests on, the service at a URL meets. It knows nothing of Treering's own service: any will do.
//!
//! In scope: the rules, each with its section ([`RULES`]); the requests that show whether a rule is kept; the report.
//! Out of scope: what cannot be seen from outside, which is listed with the reason, and what is printed (`cli`).
//!
//! A run is bounded: a fixed number of requests, each with a time limit and a limit on its answer, and polling that
//! ends. A rule that no request could decide is `not-run`, never passed.

mod book;
mod caller;
mod errors;
mod keys;
mod problem;
mod receipt;
mod register;
mod rules;
mod statements;

use std::time::Duration;

use crate::client::Identity;

pub use book::{Check, Level, Outcome, Report, Rule, Verdict};
pub use caller::ConformanceError;
pub use rules::RULES;
pub use statements::{Maker, Supply};

use book::Book;
use caller::Caller;
use statements::Sample;

/// The revision that the rules are of.
pub const SPEC: &str = "draft-ietf-scitt-scrapi-11";

/// What the leaves of the service's tree are hashes of. No specification says, and a receipt does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryProfile {
    /// The tagged statement with an empty unprotected header.
    Statement,
    /// The SHA-256 of that.
    Digest,
}

/// The service, and how it is reached.
pub struct Target {
    /// Its URL, before `/entries`.
    pub url: String,
    /// The CAs of its TLS certificate, PEM; needed for `https`.
    pub roots: Option<Vec<u8>>,
    /// A client certificate.
    pub identity: Option<Identity>,
    /// Whether `http` is allowed.
    pub insecure_http: bool,
    /// How long one request may take.
    pub timeout: Duration,
}

/// How to run.
pub struct Settings {
    /// Where statements that the service should take come from.
    pub supply: Supply,
    /// What the leaves are hashes of.
    pub entry: EntryProfile,
    /// How long to poll a registration that is running.
    pub patience: Duration,
    /// Octets of the body that should be too large.
    pub oversize_bytes: usize,
}

/// Runs every check. An error means that the service could not be reached at all, or the settings cannot be used.
pub async fn run(target: &Target, settings: &Settings) -> Result<Report, ConformanceError> {
    let caller = Caller::new(target)?;
    let sample = Sample::new(&settings.supply).map_err(ConformanceError::Setup)?;
    let mut book = Book::new();
    // If not even the keys can be asked for, there is nothing to judge.
    let set = caller.keys().await.map_err(ConformanceError::Unreachable)?;
    if target.url.starts_with("https://") {
        book.pass("transport.tls", "the connection is TLS with a certificate that the given CAs vouch for");
    } else if is_this_machine(&target.url) {
        book.not_applicable("transport.tls", "plain HTTP to this machine: nothing is in transit");
    } else {
        book.fail("transport.tls", "plain HTTP: nothing protects what is in transit");
    }
    let published = keys::check(&caller, &mut book, &set).await;
    register::check(&caller, &mut book, &sample, settings, &published).await;
    errors::check(&caller, &mut book, &sample, settings.oversize_bytes).await;
    caller.report_waits(&mut book);
    Ok(book.close(&target.url))
}

/// Whether a URL says by itself that it leads nowhere else.
fn is_this_machine(url: &str) -> bool {
    let host =
        url.parse::<hyper::Uri>().ok().and_then(|uri| uri.host().map(str::to_owned)).unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}
