//! Load over HTTP: N keep-alive TLS connections, each with one request at a time.
//!
//! In scope: HTTP/1.1 by hand, as little of it as a load needs: a request is octets that were written before, and an
//! answer is its status and the body that its `Content-Length` announces, read whole. The load shares the machine with
//! what it measures, and a client made for every case would be a good part of the figure.
//! Out of scope: chunked answers, redirects, other versions; an answer that has them fails the run.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hyper::StatusCode;
use rustls::pki_types::ServerName;
use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::meter::{Latencies, Window};

/// The largest answer read, head and body.
const MAX_ANSWER_BYTES: usize = 1 << 20;
/// The most header fields of an answer.
const MAX_FIELDS: usize = 32;
/// How long a client waits after an answer that was not wanted.
const TRY_AGAIN: Duration = Duration::from_millis(50);
/// Room for an answer; it grows for a longer one.
const ANSWER_BYTES: usize = 4096;

/// Where to send, and whom to believe.
#[derive(Clone)]
pub(super) struct Target {
    /// `127.0.0.1:port`.
    pub(super) address: String,
    pub(super) tls: Arc<rustls::ClientConfig>,
}

/// A request as it is sent, head and body.
pub(super) type Request = Vec<u8>;

/// One connection.
pub(super) struct Connection {
    stream: TlsStream<TcpStream>,
    /// The answer, as far as it has come.
    answer: Vec<u8>,
}

impl Target {
    pub(super) async fn connect(&self) -> Result<Connection> {
        let stream = TcpStream::connect(&self.address).await.context("connect")?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from("localhost").context("a server name")?;
        let stream = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await.context("TLS")?;
        Ok(Connection { stream, answer: Vec::with_capacity(ANSWER_BYTES) })
    }

    /// `GET`.
    pub(super) fn get(&self, path: &str) -> Request {
        format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", self.address).into_bytes()
    }

    /// `POST` of a body.
    pub(super) fn post(&self, path: &str, media_type: &str, body: &[u8]) -> Request {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: {media_type}\r\ncontent-length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        [head.as_bytes(), body].concat()
    }
}

impl Connection {
    /// Sends a request and reads the whole answer.
    pub(super) async fn send(&mut self, request: &[u8]) -> Result<Answer<'_>> {
        self.stream.write_all(request).await.context("send a request")?;
        self.stream.flush().await.context("send a request")?;
        self.answer.clear();
        let head = loop {
            self.read().await?;
            if let Some(head) = Head::parse(&self.answer)? {
                break head;
            }
        };
        let end = head.len.saturating_add(head.body);
        ensure!(end <= MAX_ANSWER_BYTES, "an answer of {end} octets, at most {MAX_ANSWER_BYTES} are read");
        while self.answer.len() < end {
            self.read().await?;
        }
        // One request, one answer: whatever follows would be taken for the next one.
        ensure!(self.answer.len() == end, "{} octets follow an answer", self.answer.len() - end);
        let (start, body) = self.answer.split_at_checked(head.len).unwrap_or_default();
        Ok(Answer { status: head.status, head: start, body })
    }

    async fn read(&mut self) -> Result<()> {
        ensure!(self.answer.len() < MAX_ANSWER_BYTES, "the head of an answer does not end");
        let read = self.stream.read_buf(&mut self.answer).await.context("read an answer")?;
        ensure!(read > 0, "the connection ended within an answer");
        Ok(())
    }
}

/// An answer, whole.
pub(super) struct Answer<'a> {
    pub(super) status: StatusCode,
    head: &'a [u8],
    pub(super) body: &'a [u8],
}

impl Answer<'_> {
    /// A field of its head. Read anew: only answers that are looked at pay for it.
    pub(super) fn field(&self, name: &str) -> Option<String> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut parsed = httparse::Response::new(&mut fields);
        parsed.parse(self.head).ok()?;
        let found = parsed.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name))?;
        String::from_utf8(found.value.to_vec()).ok()
    }
}

/// The head of an answer.
struct Head {
    status: StatusCode,
    /// Its own octets, and those of the body.
    len: usize,
    body: usize,
}

impl Head {
    /// `None` while it is not there whole.
    fn parse(octets: &[u8]) -> Result<Option<Self>> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut parsed = httparse::Response::new(&mut fields);
        let httparse::Status::Complete(len) = parsed.parse(octets).context("the head of an answer")? else {
            return Ok(None);
        };
        let mut body = None;
        for field in &*parsed.headers {
            if field.name.eq_ignore_ascii_case("transfer-encoding") {
                bail!("an answer in another form than with a Content-Length");
            }
            if field.name.eq_ignore_ascii_case("content-length") {
                body = std::str::from_utf8(field.value).ok().and_then(|length| length.parse().ok());
            }
        }
        let status = StatusCode::from_u16(parsed.code.unwrap_or_default()).context("a status")?;
        Ok(Some(Self { status, len, body: body.context("an answer without a Content-Length")? }))
    }
}

/// What a client asks, and what it makes of the answers.
pub(super) trait Asker: Send + 'static {
    /// The next request; none when there is nothing more to ask.
    fn next(&mut self) -> Result<Option<Ask>>;

    /// What else must have happened until the time of a timed request ends.
    fn settle(&mut self, answer: &Answer<'_>) -> impl Future<Output = Result<()>> + Send {
        let _: &Answer<'_> = answer;
        std::future::ready(Ok(()))
    }

    /// Looks at a good answer, outside of the time measured: what is wrong with it, or whether it was checked at all.
    fn look(&mut self, ask: &Ask, answer: &Answer<'_>) -> Look;

    /// Hears of another answer than the wanted one: whether this is a check that failed.
    fn turned_away(&mut self, ask: &Ask) -> bool {
        let _: &Ask = ask;
        false
    }
}

/// A request of a client.
pub(super) struct Ask {
    pub(super) request: Request,
    /// The status of a good answer.
    pub(super) want: StatusCode,
    /// Whether its time counts; one that does not is a look at what was answered before.
    pub(super) timed: bool,
}

/// What a look at an answer found.
pub(super) enum Look {
    /// It was not looked at.
    Unchecked,
    /// It is what it should be.
    Passed,
    /// It is not, and why.
    Failed(String),
}

/// What clients were answered, from the first request to the last.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Answers {
    /// 503 and 429: overload is an answer. The client waits a little and goes on with its next request.
    pub(super) refused: u64,
    /// Any other answer that was not wanted.
    pub(super) errors: u64,
    /// Answers that were looked at: each client's first and some of the others.
    pub(super) checked: u64,
    /// Of those, the ones that were what they should be.
    pub(super) passed: u64,
    /// The first that was not, or the first error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) complaint: Option<String>,
}

impl Answers {
    /// For people.
    pub(super) fn text(&self) -> String {
        let complaint = self.complaint.as_ref().map_or(String::new(), |said| format!(" ({said})"));
        format!(
            "answers: {} refused, {} errors; {} of {} checked passed{complaint}",
            self.refused, self.errors, self.passed, self.checked
        )
    }

    /// Whether there was nothing but good answers.
    pub(super) fn is_clean(&self) -> bool {
        self.refused == 0 && self.errors == 0 && self.checked == self.passed
    }

    fn complain(&mut self, said: String) {
        self.complaint.get_or_insert(said);
    }

    fn looked(&mut self, look: Look) {
        match look {
            Look::Unchecked => return,
            Look::Passed => self.passed += 1,
            Look::Failed(why) => self.complain(why),
        }
        self.checked += 1;
    }

    fn turned_away(&mut self, answer: &Answer<'_>) {
        if is_refusal(answer.status) {
            self.refused += 1;
        } else {
            self.errors += 1;
            self.complain(format!("{}: {}", answer.status, String::from_utf8_lossy(answer.body)));
        }
    }

    fn add(&mut self, other: Self) {
        self.refused += other.refused;
        self.errors += other.errors;
        self.checked += other.checked;
        self.passed += other.passed;
        self.complaint = self.complaint.take().or(other.complaint);
    }
}

/// What a load came to.
pub(super) struct Loaded {
    pub(super) latencies: Latencies,
    /// For how long there was something to ask.
    pub(super) seconds: f64,
    pub(super) answers: Answers,
}

/// Runs N clients until the window closes or they have nothing more to ask; `asker` makes each of them.
pub(super) async fn load<A: Asker>(
    target: &Target,
    clients: usize,
    window: Window,
    mut asker: impl FnMut() -> A,
) -> Result<Loaded> {
    let mut connections = Vec::with_capacity(clients);
    for _ in 0..clients {
        connections.push(target.connect().await?);
    }
    let running: Vec<_> =
        connections.into_iter().map(|connection| tokio::spawn(client(connection, window, asker()))).collect();
    let (mut latencies, mut last, mut answers) = (Latencies::new()?, window.begin(), Answers::default());
    for one in running {
        let (theirs, ended, heard) = one.await??;
        latencies.add(&theirs)?;
        last = last.max(ended);
        answers.add(heard);
    }
    let seconds = last.duration_since(window.begin()).as_secs_f64().min(window.seconds());
    ensure!(latencies.count() > 0, "no request was answered in the time measured; {}", answers.text());
    Ok(Loaded { latencies, seconds, answers })
}

async fn client(
    mut connection: Connection,
    window: Window,
    mut asker: impl Asker,
) -> Result<(Latencies, Instant, Answers)> {
    let (mut latencies, mut ended, mut answers) = (Latencies::new()?, window.begin(), Answers::default());
    while window.is_open() {
        let Some(ask) = asker.next()? else { break };
        let begin = Instant::now();
        let answer = connection.send(&ask.request).await?;
        if answer.status != ask.want {
            answers.turned_away(&answer);
            if !is_refusal(answer.status) && asker.turned_away(&ask) {
                answers.checked += 1;
            }
            tokio::time::sleep(TRY_AGAIN).await;
            continue;
        }
        if ask.timed {
            asker.settle(&answer).await?;
            ended = Instant::now();
            if window.counts(begin, ended) {
                latencies.record(ended - begin);
            }
        }
        answers.looked(asker.look(&ask, &answer));
    }
    Ok((latencies, ended, answers))
}

fn is_refusal(status: StatusCode) -> bool {
    matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Option<(u16, usize, usize)>> {
        Ok(Head::parse(text.as_bytes())?.map(|head| (head.status.as_u16(), head.len, head.body)))
    }

    #[test]
    fn an_answer_has_a_status_and_a_length() {
        let head = "HTTP/1.1 201 Created\r\ncontent-type: application/cose\r\nContent-Length: 7\r\n\r\n";
        assert_eq!(parse(&format!("{head}receipt")).unwrap(), Some((201, head.len(), 7)));
        for cut in 0..head.len() {
            assert_eq!(parse(head.get(..cut).unwrap()).unwrap(), None, "{cut}");
        }
    }

    #[test]
    fn a_field_is_found_by_its_name_in_any_case() {
        let head = b"HTTP/1.1 201 Created\r\nlocation: /entries/x\r\nContent-Length: 0\r\n\r\n";
        let answer = Answer { status: StatusCode::CREATED, head, body: b"" };
        assert_eq!(answer.field("Location").as_deref(), Some("/entries/x"));
        assert_eq!(answer.field("content-length").as_deref(), Some("0"));
        assert_eq!(answer.field("retry-after"), None);
    }

    #[test]
    fn answers_are_counted_apart() {
        let mut answers = Answers::default();
        let answer = |code| Answer { status: StatusCode::from_u16(code).unwrap(), head: b"", body: b"why" };
        for code in [503, 429, 404] {
            answers.turned_away(&answer(code));
        }
        for look in [Look::Unchecked, Look::Passed, Look::Failed("not it".to_owned())] {
            answers.looked(look);
        }
        assert_eq!((answers.refused, answers.errors, answers.checked, answers.passed), (2, 1, 2, 1));
        assert_eq!(answers.complaint.as_deref(), Some("404 Not Found: why"), "the first stays");
        assert!(!answers.is_clean() && Answers::default().is_clean());
    }

    #[test]
    fn an_answer_whose_end_is_not_announced_fails() {
        for head in [
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n",
            "SPDY 200\r\n\r\n",
        ] {
            assert!(parse(head).is_err(), "{head}");
        }
    }
}
