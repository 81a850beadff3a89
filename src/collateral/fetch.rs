//! Fetching from vendors: what is unchanged is not sent again (ETag), and a vendor in trouble is left alone.
//!
//! After a failure a host is not asked again for a while, twice as long each time; a `Retry-After` is kept to. What a
//! vendor does not have is not asked for again soon. Requests to one host are limited per minute, since AMD's service
//! answers those who ask too often with 429.
//! Out of scope: HTTP itself (`Get`), and what is kept (`Store`).

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use super::vendor::{self, Vendors};
use crate::verifier::{Collateral, Wanted};

/// The pause after the first failure, in seconds; doubled with each further one.
const FIRST_PAUSE_S: u64 = 2;
/// The longest pause, also if a vendor asks for a longer one.
const LONGEST_PAUSE_S: u64 = 900;
/// For how long what a vendor does not have is not asked for again.
const MISSING_S: u64 = 600;
/// What is remembered as missing, at most.
const MAX_MISSING: usize = 10_000;

/// An answer, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
    /// `ETag`.
    pub etag: Option<String>,
    /// `Retry-After` in seconds.
    pub retry_after_s: Option<u64>,
    /// The header in which Intel serves the chain of the signer, percent-encoded PEM.
    pub issuer_chain: Option<String>,
}

/// No answer: why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct GetError(pub String);

/// A question to a vendor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Where.
    pub url: String,
    /// Goes into `If-None-Match`.
    pub etag: Option<String>,
    /// What is posted: media type and octets. Without it, GET.
    pub posted: Option<(&'static str, Vec<u8>)>,
}

/// What asks a question over HTTP.
pub trait Get: Send + Sync {
    /// GET, or POST where there is something to post.
    fn get<'a>(
        &'a self,
        question: &'a Question,
    ) -> Pin<Box<dyn Future<Output = Result<Response, GetError>> + Send + 'a>>;
}

/// What a vendor served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The content.
    pub collateral: Collateral,
    /// The `ETag` to ask by next time.
    pub etag: Option<String>,
    /// The URL.
    pub url: String,
}

/// What came of asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Something new.
    New(Fetched),
    /// What we have is what the vendor has.
    Unchanged,
    /// The vendor does not have it.
    Missing,
    /// Not asked: the vendor is left alone until then.
    Waiting {
        /// Unix seconds.
        until: u64,
    },
    /// Asked in vain.
    Failed {
        /// Why.
        reason: String,
    },
}

/// Asks vendors.
pub struct Fetcher {
    get: Arc<dyn Get>,
    vendors: Vendors,
    per_minute: u32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    hosts: HashMap<String, Host>,
    missing: HashMap<String, u64>,
}

/// How a host has been.
#[derive(Default)]
struct Host {
    failures: u32,
    not_before: u64,
    minute: u64,
    asked: u32,
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetcher").field("vendors", &self.vendors).finish_non_exhaustive()
    }
}

impl Fetcher {
    /// Asks these vendors, each host at most so often a minute.
    pub fn new(get: Arc<dyn Get>, vendors: Vendors, per_minute: u32) -> Self {
        Self { get, vendors, per_minute: per_minute.max(1), state: Mutex::default() }
    }

    /// Asks for something, unless what is known of its vendor says that there is no point.
    pub async fn fetch(&self, wanted: &Wanted, etag: Option<&str>, now: u64) -> Outcome {
        let question = self.vendors.question(wanted, etag);
        let name = wanted.name();
        if let Some(outcome) = self.admit(host(&question.url), &name, now) {
            return outcome;
        }
        let outcome = match self.get.get(&question).await {
            Ok(response) => self.judge(wanted, &question, &response, now),
            Err(error) => self.failed(host(&question.url), None, error.to_string(), now),
        };
        let label = match outcome {
            Outcome::New(_) => "new",
            Outcome::Unchanged => "unchanged",
            Outcome::Missing => "missing",
            Outcome::Waiting { .. } => "waiting",
            Outcome::Failed { .. } => "failed",
        };
        metrics::counter!("treering_collateral_fetches_total", "outcome" => label).increment(1);
        outcome
    }

    /// Whether a host may be asked now; if so it is counted.
    fn admit(&self, host: &str, name: &str, now: u64) -> Option<Outcome> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.missing.get(name).is_some_and(|until| now < *until) {
            return Some(Outcome::Missing);
        }
        let host = state.hosts.entry(host.to_owned()).or_default();
        if now < host.not_before {
            return Some(Outcome::Waiting { until: host.not_before });
        }
        let minute = now / 60;
        if host.minute != minute {
            (host.minute, host.asked) = (minute, 0);
        }
        if host.asked >= self.per_minute {
            return Some(Outcome::Waiting { until: minute.saturating_add(1).saturating_mul(60) });
        }
        host.asked = host.asked.saturating_add(1);
        None
    }

    fn judge(&self, wanted: &Wanted, question: &Question, response: &Response, now: u64) -> Outcome {
        let url = question.url.as_str();
        match response.status {
            200 => match vendor::snapshot(wanted, response) {
                Ok(None) => self.missing(wanted, url, now),
                Ok(Some(collateral)) => {
                    self.well(host(url));
                    Outcome::New(Fetched { collateral, etag: response.etag.clone(), url: url.to_owned() })
                }
                // Not the vendor's form: a captive portal, a proxy's page.
                Err(error) => self.failed(host(url), None, format!("{url}: {error}"), now),
            },
            304 if question.etag.is_some() => {
                self.well(host(url));
                Outcome::Unchanged
            }
            // 403 is what Amazon S3 says of what is not there to those who may not list a bucket.
            404 | 403 | 400 => self.missing(wanted, url, now),
            status => self.failed(host(url), response.retry_after_s, format!("{url}: status {status}"), now),
        }
    }

    /// The vendor is well, and does not have it.
    fn missing(&self, wanted: &Wanted, url: &str, now: u64) -> Outcome {
        self.well(host(url));
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.missing.len() >= MAX_MISSING {
            state.missing.retain(|_, until| now < *until);
        }
        if state.missing.len() < MAX_MISSING {
            state.missing.insert(wanted.name(), now.saturating_add(MISSING_S));
        }
        Outcome::Missing
    }

    fn well(&self, host: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let host = state.hosts.entry(host.to_owned()).or_default();
        (host.failures, host.not_before) = (0, 0);
    }

    fn failed(&self, host: &str, retry_after_s: Option<u64>, reason: String, now: u64) -> Outcome {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let host = state.hosts.entry(host.to_owned()).or_default();
        let doubled = FIRST_PAUSE_S.saturating_mul(1_u64.checked_shl(host.failures).unwrap_or(u64::MAX));
        let pause = doubled.max(retry_after_s.unwrap_or(0)).min(LONGEST_PAUSE_S);
        host.failures = host.failures.saturating_add(1);
        host.not_before = now.saturating_add(pause);
        tracing::warn!(reason, pause_s = pause, "collateral could not be fetched");
        Outcome::Failed { reason }
    }
}

/// Scheme and authority of a URL.
fn host(url: &str) -> &str {
    let after = url.find("://").map_or(0, |at| at.saturating_add(3));
    let path = url.get(after..).and_then(|rest| rest.find('/'));
    path.and_then(|path| url.get(..after.saturating_add(path))).unwrap_or(url)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::attester::recorded;
    use crate::verifier::{Generation, OcspQuestion, SigningKey, Tcb};

    /// Answers in order, and remembers what it was asked.
    #[derive(Default)]
    struct Script {
        answers: Mutex<VecDeque<Result<Response, GetError>>>,
        asked: Mutex<Vec<(String, Option<String>)>>,
    }

    impl Get for Script {
        fn get<'a>(
            &'a self,
            question: &'a Question,
        ) -> Pin<Box<dyn Future<Output = Result<Response, GetError>> + Send + 'a>> {
            self.asked.lock().unwrap().push((question.url.clone(), question.etag.clone()));
            let answer = self.answers.lock().unwrap().pop_front();
            Box::pin(async move { answer.unwrap_or_else(|| Err(GetError("no more answers".to_owned()))) })
        }
    }

    fn vcek() -> Wanted {
        let tcb = Tcb { fmc: None, bootloader: 4, tee: 0, snp: 23, microcode: 213 };
        Wanted::AmdVcek { generation: Generation::Milan, hardware_id: vec![0xab; 64], tcb }
    }

    fn ocsp() -> Wanted {
        let (issuer_name, issuer_key) = ([1; 20], [2; 20]);
        Wanted::NvidiaOcsp(OcspQuestion { issuer_name, issuer_key, serial: vec![3] })
    }

    fn crl() -> Wanted {
        Wanted::AmdCrl { generation: Generation::Milan, key: SigningKey::Vcek }
    }

    #[expect(clippy::unnecessary_wraps, reason = "an answer of the script")]
    fn status(status: u16) -> Result<Response, GetError> {
        Ok(Response { status, ..Response::default() })
    }

    #[expect(clippy::unnecessary_wraps, reason = "an answer of the script")]
    fn good() -> Result<Response, GetError> {
        let body = recorded::milan().unwrap().endorsements.remove(0);
        Ok(Response { status: 200, body, etag: Some("\"1\"".to_owned()), ..Response::default() })
    }

    fn fetcher(answers: impl IntoIterator<Item = Result<Response, GetError>>) -> (Fetcher, Arc<Script>) {
        let script =
            Arc::new(Script { answers: Mutex::new(answers.into_iter().collect()), ..Script::default() });
        let get: Arc<dyn Get> = Arc::clone(&script) as Arc<dyn Get>;
        (Fetcher::new(get, Vendors::default(), 5), script)
    }

    fn asked(script: &Script) -> usize {
        script.asked.lock().unwrap().len()
    }

    #[tokio::test]
    async fn what_is_unchanged_is_asked_by_its_etag() {
        let (fetcher, script) = fetcher([good(), status(304), status(304)]);
        let Outcome::New(fetched) = fetcher.fetch(&vcek(), None, 0).await else { panic!() };
        assert_eq!(fetched.collateral.certificates().len(), 1);
        assert_eq!(fetcher.fetch(&vcek(), fetched.etag.as_deref(), 0).await, Outcome::Unchanged);
        assert_eq!(script.asked.lock().unwrap()[1].1.as_deref(), Some("\"1\""));
        // A 304 to a question without an ETag is nothing that can be used.
        assert!(matches!(fetcher.fetch(&vcek(), None, 0).await, Outcome::Failed { .. }));
    }

    #[tokio::test]
    async fn a_vendor_in_trouble_is_left_alone_for_longer_and_longer() {
        let unreachable = || Err(GetError("no route".to_owned()));
        let (fetcher, script) = fetcher([unreachable(), status(503), unreachable(), good(), status(500)]);
        let mut now = 1000;
        for pause in [2, 4, 8] {
            assert!(matches!(fetcher.fetch(&vcek(), None, now).await, Outcome::Failed { .. }));
            let until = now + pause;
            assert_eq!(fetcher.fetch(&crl(), None, until - 1).await, Outcome::Waiting { until });
            now = until;
        }
        assert_eq!(asked(&script), 3);
        assert!(matches!(fetcher.fetch(&vcek(), None, now).await, Outcome::New(_)));
        // Well again: the next trouble begins with the first pause.
        assert!(matches!(fetcher.fetch(&vcek(), None, now).await, Outcome::Failed { .. }));
        assert_eq!(fetcher.fetch(&vcek(), None, now + 1).await, Outcome::Waiting { until: now + 2 });
    }

    #[tokio::test]
    async fn retry_after_is_kept_to_within_reason() {
        for (asked_for, pause) in [(120, 120), (1, 2), (1_000_000, LONGEST_PAUSE_S)] {
            let limited = Response { status: 429, retry_after_s: Some(asked_for), ..Response::default() };
            let (fetcher, _) = fetcher([Ok(limited)]);
            assert!(matches!(fetcher.fetch(&vcek(), None, 0).await, Outcome::Failed { .. }));
            assert_eq!(fetcher.fetch(&vcek(), None, pause - 1).await, Outcome::Waiting { until: pause });
        }
    }

    #[tokio::test]
    async fn what_a_vendor_does_not_have_is_no_trouble_of_the_vendor() {
        let (fetcher, script) = fetcher([status(404), status(403), good()]);
        assert_eq!(fetcher.fetch(&crl(), None, 0).await, Outcome::Missing);
        assert_eq!(fetcher.fetch(&crl(), None, MISSING_S - 1).await, Outcome::Missing);
        assert_eq!(asked(&script), 1);
        assert_eq!(fetcher.fetch(&crl(), None, MISSING_S).await, Outcome::Missing);
        assert!(matches!(fetcher.fetch(&vcek(), None, 0).await, Outcome::New(_)));
    }

    #[tokio::test]
    async fn a_host_is_asked_so_often_a_minute() {
        let (fetcher, script) = fetcher((0..6).map(|_| good()));
        for _ in 0..5 {
            assert!(matches!(fetcher.fetch(&vcek(), None, 61).await, Outcome::New(_)));
        }
        assert_eq!(fetcher.fetch(&vcek(), None, 119).await, Outcome::Waiting { until: 120 });
        assert!(matches!(fetcher.fetch(&vcek(), None, 120).await, Outcome::New(_)));
        assert_eq!(asked(&script), 6);
    }

    #[tokio::test]
    async fn a_page_that_is_no_collateral_is_a_failure() {
        let page = Response { status: 200, body: b"<html>log in</html>".to_vec(), ..Response::default() };
        for wanted in [vcek(), crl(), ocsp()] {
            let (fetcher, _) = fetcher([Ok(page.clone())]);
            assert!(matches!(fetcher.fetch(&wanted, None, 0).await, Outcome::Failed { .. }));
            assert!(matches!(fetcher.fetch(&wanted, None, 1).await, Outcome::Waiting { .. }));
        }
    }

    /// A responder's own words: it does not answer for this issuer, it has trouble, it speaks of something else.
    #[tokio::test]
    async fn a_responder_that_does_not_answer_is_well_or_in_trouble() {
        let reply = |status: u8| {
            let body = vec![0x30, 3, 0x0a, 1, status];
            Ok(Response { status: 200, body, ..Response::default() })
        };
        let (fetcher, script) = fetcher([reply(6), reply(3)]);
        assert_eq!(fetcher.fetch(&ocsp(), None, 0).await, Outcome::Missing);
        assert_eq!(fetcher.fetch(&ocsp(), None, MISSING_S - 1).await, Outcome::Missing);
        assert_eq!(asked(&script), 1);
        assert!(matches!(fetcher.fetch(&ocsp(), None, MISSING_S).await, Outcome::Failed { .. }));
    }

    #[test]
    fn hosts_are_cut_from_urls() {
        assert_eq!(host("https://a.example/b/c"), "https://a.example");
        assert_eq!(host("https://a.example"), "https://a.example");
        assert_eq!(host("nonsense"), "nonsense");
    }
}
