//! The TLS listener: limits, client certificates, graceful shutdown. It knows nothing of routes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use rustls::server::WebPkiClientVerifier;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use super::access::Peer;
use super::peers::{Connections, Network};
use super::progress::Progress;

/// A TLS handshake that takes longer is dropped.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the request head may trickle in.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// An HTTP/2 connection that does not answer a ping sent after this long is closed.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Requests at a time on one HTTP/2 connection: each may hold a body in memory.
const MAX_STREAMS: u32 = 16;
/// ALPN's name of HTTP/2.
const H2: &[u8] = b"h2";
/// A connection on which no request has begun for so long is closed. Requests end much sooner; so this is how long the
/// largest answer may take to be read, and how long an HTTP/2 peer that only answers pings, or takes what it is sent
/// and never widens its window, may hold a connection.
const IDLE_TIMEOUT: Duration = Duration::from_mins(5);
/// How long open requests may take to end after the order to stop.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);

/// Why the listener could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address could not be taken.
    #[error("listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// A certificate or key cannot be used.
    #[error("TLS: {0}")]
    Tls(String),
}

/// The certificates of the listener, PEM.
pub struct TlsFiles<'a> {
    /// The server's chain.
    pub certificate: &'a [u8],
    /// The server's key.
    pub key: &'a [u8],
    /// The CA of client certificates.
    pub client_ca: &'a [u8],
}

/// The TLS side of the listener: TLS 1.2 and 1.3, client certificates asked for and not demanded, since a workload
/// comes to get its first one.
pub fn tls_config(files: &TlsFiles<'_>) -> Result<rustls::ServerConfig, ServeError> {
    let tls = |error: &dyn std::fmt::Display| ServeError::Tls(error.to_string());
    let chain: Vec<_> = certificates(files.certificate)?;
    let key = PrivateKeyDer::from_pem_slice(files.key).map_err(|error| tls(&error))?;
    let mut roots = rustls::RootCertStore::empty();
    for certificate in certificates(files.client_ca)? {
        roots.add(certificate).map_err(|error| tls(&error))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()
        .map_err(|error| tls(&error))?;
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| tls(&error))?
        .with_client_cert_verifier(clients)
        .with_single_cert(chain, key)
        .map_err(|error| tls(&error))?;
    config.alpn_protocols = vec![H2.to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, ServeError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| ServeError::Tls(error.to_string()))?;
    if found.is_empty() {
        return Err(ServeError::Tls("a certificate file holds no certificate in PEM".to_owned()));
    }
    Ok(found)
}

/// What peers may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at a time.
    pub connections: usize,
    /// Connections of one network at a time; 0 is no limit.
    pub connections_per_network: usize,
    /// How long a peer may take nothing of what it is sent.
    pub write_timeout: Duration,
}

/// A bound listener.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    tls: TlsAcceptor,
    limits: Limits,
}

impl Server {
    /// Takes the address.
    pub async fn bind(
        address: SocketAddr,
        tls: rustls::ServerConfig,
        limits: Limits,
    ) -> Result<Self, ServeError> {
        let listen = |source| ServeError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        Ok(Self { listener, address, tls: TlsAcceptor::from(Arc::new(tls)), limits })
    }

    /// The address, with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is done, then lets open requests end.
    pub async fn run(self, router: Router, stop: impl Future<Output = ()>) {
        let slots = Arc::new(Semaphore::new(self.limits.connections));
        let networks = Arc::new(Connections::new(self.limits.connections_per_network));
        let patience = self.limits.write_timeout;
        let graceful = GracefulShutdown::new();
        tokio::pin!(stop);
        loop {
            // A connection waits in the kernel's backlog until there is a slot, so memory is bounded.
            let accepted = tokio::select! {
                () = &mut stop => break,
                accepted = accept(&self.listener, &slots) => accepted,
            };
            let Some((stream, address, slot)) = accepted else { continue };
            let network = Network::of(address.ip());
            // Closed at once: it must not hold the slot that another network could have.
            let Some(place) = networks.enter(network) else {
                metrics::counter!("treering_http_connections_refused_total").increment(1);
                continue;
            };
            let stream = Progress::new(stream, patience);
            let (tls, router, watcher) = (self.tls.clone(), router.clone(), graceful.watcher());
            tokio::spawn(async move {
                if let Err(error) = connection(stream, network, &tls, router, watcher).await {
                    tracing::debug!(%error, "connection ended");
                }
                drop((slot, place));
            });
        }
        drop(self.listener);
        let drained = tokio::time::timeout(DRAIN_TIMEOUT, graceful.shutdown()).await;
        tracing::info!(complete = drained.is_ok(), "requests drained");
    }
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, address)) => {
            // Small answers must not wait to be joined by others.
            stream.set_nodelay(true).ok()?;
            Some((stream, address, slot))
        }
        Err(error) => {
            // Out of file descriptors, most likely: wait for some to be closed rather than spin.
            tracing::warn!(%error, "accept failed");
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}

async fn connection(
    stream: Progress<TcpStream>,
    network: Network,
    tls: &TlsAcceptor,
    router: Router,
    watcher: Watcher,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let stream = tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await??;
    let peer = Peer::of(network, stream.get_ref().1.peer_certificates());
    let http2 = stream.get_ref().1.alpn_protocol() == Some(H2);
    let (begun, last_begun) = watch::channel(Instant::now());
    let service = router.map_request(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(peer.clone());
        begun.send_replace(Instant::now());
        request
    });
    // By what TLS agreed on, and not by the first octets: a client that sends none would be waited for for ever.
    let builder = auto::Builder::new(TokioExecutor::new());
    let mut builder = if http2 { builder.http2_only() } else { builder.http1_only() };
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(HEADER_TIMEOUT)
        .max_concurrent_streams(MAX_STREAMS);
    let served =
        builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)).into_owned();
    tokio::select! {
        ended = watcher.watch(served) => ended,
        () = idle(last_begun) => Err("no request has begun for too long".into()),
    }
}

/// Waits until no request has begun for as long as may be.
async fn idle(mut last_begun: watch::Receiver<Instant>) {
    loop {
        let end = *last_begun.borrow_and_update() + IDLE_TIMEOUT;
        tokio::time::sleep_until(end).await;
        if !last_begun.has_changed().unwrap_or(false) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use rustls::pki_types::ServerName;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpSocket;
    use tokio_rustls::{TlsConnector, client::TlsStream};

    use super::*;

    /// More than the buffers of a connection take.
    const BIG: usize = 32 << 20;
    /// Long for an answer, short for a test.
    const SOON: Duration = Duration::from_secs(20);

    struct Served {
        address: SocketAddr,
        tls: TlsConnector,
    }

    impl Served {
        async fn new(limits: Limits) -> Self {
            let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
            let (certificate, key) = (certificate.as_bytes(), key.as_bytes());
            let tls = tls_config(&TlsFiles { certificate, key, client_ca: certificate }).unwrap();
            let server = Server::bind("0.0.0.0:0".parse().unwrap(), tls, limits).await.unwrap();
            let address = SocketAddr::from(([127, 0, 0, 1], server.address().port()));
            let router = Router::new()
                .route("/big", get(|| async { vec![7_u8; BIG] }))
                .route("/small", get(|| async { "here" }));
            tokio::spawn(server.run(router, std::future::pending()));
            let mut roots = rustls::RootCertStore::empty();
            roots.add(made.cert.der().clone()).unwrap();
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let tls = rustls::ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots)
                .with_no_client_auth();
            Self { address, tls: TlsConnector::from(Arc::new(tls)) }
        }

        /// Connects from an address of this machine, and asks.
        async fn ask(&self, from: [u8; 4], path: &str) -> std::io::Result<TlsStream<TcpStream>> {
            let socket = TcpSocket::new_v4()?;
            socket.bind(SocketAddr::from((from, 0)))?;
            let stream = socket.connect(self.address).await?;
            let mut stream = self.tls.connect(ServerName::try_from("localhost").unwrap(), stream).await?;
            stream
                .write_all(
                    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").as_bytes(),
                )
                .await?;
            Ok(stream)
        }
    }

    async fn answer(mut stream: TlsStream<TcpStream>) -> String {
        let mut bytes = Vec::new();
        // Whether the end is announced does not matter here.
        drop(stream.read_to_end(&mut bytes).await);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    const HERE: [u8; 4] = [127, 0, 0, 1];
    const THERE: [u8; 4] = [127, 0, 0, 2];

    #[tokio::test]
    async fn clients_that_never_read_keep_nobody_out() {
        let write_timeout = Duration::from_secs(1);
        let limits = Limits { connections: 4, connections_per_network: 0, write_timeout };
        let served = Served::new(limits).await;
        let mut idlers = Vec::new();
        for _ in 0..4 {
            idlers.push(served.ask(HERE, "/big").await.unwrap());
        }
        let reached =
            tokio::time::timeout(SOON, async { answer(served.ask(HERE, "/small").await.unwrap()).await });
        assert!(reached.await.expect("idlers have every connection").ends_with("here"));
        drop(idlers);
    }

    /// Slower than the time without progress, in all, but never without any.
    #[tokio::test]
    async fn a_slow_reader_gets_its_answer() {
        let limits =
            Limits { connections: 4, connections_per_network: 0, write_timeout: Duration::from_secs(1) };
        let served = Served::new(limits).await;
        let mut stream = served.ask(HERE, "/big").await.unwrap();
        let (mut buffer, mut read) = (vec![0; BIG / 10], 0);
        loop {
            tokio::time::sleep(Duration::from_millis(200)).await;
            match stream.read_exact(&mut buffer).await {
                Ok(n) => read += n,
                Err(_) => break,
            }
        }
        assert!(read > BIG / 10 * 9, "{read}");
    }

    #[tokio::test]
    async fn one_network_has_its_share_of_connections_only() {
        let limits =
            Limits { connections: 8, connections_per_network: 2, write_timeout: Duration::from_mins(1) };
        let served = Served::new(limits).await;
        let (first, second) =
            (served.ask(HERE, "/big").await.unwrap(), served.ask(HERE, "/big").await.unwrap());
        assert!(served.ask(HERE, "/small").await.is_err(), "a third is closed at once");
        assert!(answer(served.ask(THERE, "/small").await.unwrap()).await.ends_with("here"));
        drop(first);
        let again = async {
            let mut asked = served.ask(HERE, "/small").await;
            while asked.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
                asked = served.ask(HERE, "/small").await;
            }
            answer(asked.unwrap()).await
        };
        let again = tokio::time::timeout(SOON, again).await;
        assert!(again.expect("the place is not given back").ends_with("here"));
        drop(second);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_requests_ends() {
        let (begun, last_begun) = watch::channel(Instant::now());
        let (start, ended) = (Instant::now(), tokio::spawn(idle(last_begun)));
        for _ in 0..3 {
            tokio::time::sleep(IDLE_TIMEOUT * 9 / 10).await;
            begun.send_replace(Instant::now());
        }
        let last = Instant::now();
        ended.await.unwrap();
        assert!(last - start > 2 * IDLE_TIMEOUT);
        assert_eq!(last.elapsed().as_secs(), IDLE_TIMEOUT.as_secs());
    }
}
