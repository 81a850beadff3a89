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
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::meter::{Latencies, Window};

/// The largest answer read, head and body.
const MAX_ANSWER_BYTES: usize = 1 << 20;
/// The most header fields of an answer.
const MAX_FIELDS: usize = 32;
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
    pub(super) async fn send(&mut self, request: &[u8]) -> Result<(StatusCode, &[u8])> {
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
        Ok((head.status, self.answer.get(head.len..).unwrap_or_default()))
    }

    async fn read(&mut self) -> Result<()> {
        ensure!(self.answer.len() < MAX_ANSWER_BYTES, "the head of an answer does not end");
        let read = self.stream.read_buf(&mut self.answer).await.context("read an answer")?;
        ensure!(read > 0, "the connection ended within an answer");
        Ok(())
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

/// Runs N clients until the window closes or they have nothing more to ask; `next` gives a client's next request, and
/// `want` is the status of a good answer. Says also for how long there was something to ask.
pub(super) async fn load(
    target: &Target,
    clients: usize,
    window: Window,
    want: StatusCode,
    next: impl Fn() -> Option<Request> + Clone + Send + Sync + 'static,
) -> Result<(Latencies, f64)> {
    let mut connections = Vec::with_capacity(clients);
    for _ in 0..clients {
        connections.push(target.connect().await?);
    }
    let running: Vec<_> = connections
        .into_iter()
        .map(|connection| tokio::spawn(client(connection, window, want, next.clone())))
        .collect();
    let (mut all, mut last) = (Latencies::new()?, window.begin());
    for one in running {
        let (latencies, ended) = one.await??;
        all.add(&latencies)?;
        last = last.max(ended);
    }
    let seconds = last.duration_since(window.begin()).as_secs_f64().min(window.seconds());
    ensure!(all.count() > 0, "no request was answered in the time measured");
    Ok((all, seconds))
}

async fn client(
    mut connection: Connection,
    window: Window,
    want: StatusCode,
    next: impl Fn() -> Option<Request>,
) -> Result<(Latencies, Instant)> {
    let (mut latencies, mut ended) = (Latencies::new()?, window.begin());
    while window.is_open() {
        let Some(request) = next() else { break };
        let begin = Instant::now();
        let (status, body) = connection.send(&request).await?;
        ended = Instant::now();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            // Overload is an answer: try again as told, and count nothing.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        }
        ensure!(status == want, "{status}: {}", String::from_utf8_lossy(body));
        if window.counts(begin, ended) {
            latencies.record(ended - begin);
        }
    }
    Ok((latencies, ended))
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
