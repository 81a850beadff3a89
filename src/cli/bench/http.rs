//! Load over HTTP: N keep-alive TLS connections, each with one request at a time.
//!
//! Not the client of the other subcommands: that one pools connections and reads any answer, which would measure itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::meter::{Latencies, Window};

/// The largest answer read.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// Where to send, and whom to believe.
#[derive(Clone)]
pub(super) struct Target {
    /// `127.0.0.1:port`.
    pub(super) address: String,
    pub(super) tls: Arc<rustls::ClientConfig>,
}

/// One connection.
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
}

impl Target {
    pub(super) async fn connect(&self) -> Result<Connection> {
        let stream = TcpStream::connect(&self.address).await.context("connect")?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from("localhost").context("a server name")?;
        let stream = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await.context("TLS")?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Connection { sender })
    }
}

impl Connection {
    /// Sends a request and reads the whole answer.
    pub(super) async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes)> {
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("read an answer: {error}"))?;
        Ok((status, body.to_bytes()))
    }
}

/// Runs N clients until the window closes or they have nothing more to ask; `next` makes a client's next request, and
/// `want` is the status of a good answer. Says also for how long there was something to ask.
pub(super) async fn load(
    target: &Target,
    clients: usize,
    window: Window,
    want: StatusCode,
    next: impl Fn() -> Option<Request<Full<Bytes>>> + Clone + Send + Sync + 'static,
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
    next: impl Fn() -> Option<Request<Full<Bytes>>>,
) -> Result<(Latencies, Instant)> {
    let (mut latencies, mut ended) = (Latencies::new()?, window.begin());
    while window.is_open() {
        let Some(request) = next() else { break };
        let begin = Instant::now();
        let (status, body) = connection.send(request).await?;
        ended = Instant::now();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            // Overload is an answer: try again as told, and count nothing.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        }
        ensure!(status == want, "{status}: {}", String::from_utf8_lossy(&body));
        if window.counts(begin, ended) {
            latencies.record(ended - begin);
        }
    }
    Ok((latencies, ended))
}
