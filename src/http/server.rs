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
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use super::access::Peer;

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

/// A bound listener.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    tls: TlsAcceptor,
    max_connections: usize,
}

impl Server {
    /// Takes the address.
    pub async fn bind(
        address: SocketAddr,
        tls: rustls::ServerConfig,
        max_connections: usize,
    ) -> Result<Self, ServeError> {
        let listen = |source| ServeError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        Ok(Self { listener, address, tls: TlsAcceptor::from(Arc::new(tls)), max_connections })
    }

    /// The address, with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is done, then lets open requests end.
    pub async fn run(self, router: Router, stop: impl Future<Output = ()>) {
        let slots = Arc::new(Semaphore::new(self.max_connections));
        let graceful = GracefulShutdown::new();
        tokio::pin!(stop);
        loop {
            // A connection waits in the kernel's backlog until there is a slot, so memory is bounded.
            let accepted = tokio::select! {
                () = &mut stop => break,
                accepted = accept(&self.listener, &slots) => accepted,
            };
            let Some((stream, slot)) = accepted else { continue };
            let (tls, router, watcher) = (self.tls.clone(), router.clone(), graceful.watcher());
            tokio::spawn(async move {
                if let Err(error) = connection(stream, &tls, router, watcher).await {
                    tracing::debug!(%error, "connection ended");
                }
                drop(slot);
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
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, slot)),
        Err(error) => {
            // Out of file descriptors, most likely: wait for some to be closed rather than spin.
            tracing::warn!(%error, "accept failed");
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}

async fn connection(
    stream: TcpStream,
    tls: &TlsAcceptor,
    router: Router,
    watcher: Watcher,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    stream.set_nodelay(true)?;
    let stream = tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await??;
    let peer = Peer::of(stream.get_ref().1.peer_certificates());
    let http2 = stream.get_ref().1.alpn_protocol() == Some(H2);
    let service = router.map_request(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(peer.clone());
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
    watcher.watch(served).await
}
