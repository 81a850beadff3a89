//! Step: mutual TLS with the credential, against a stock client.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use rustls::server::WebPkiClientVerifier;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio_rustls::TlsAcceptor;
use treering_provenance::x509::Profile;

use super::super::files;
use super::materials;
use super::stage::{Stage, TRUST_DOMAIN};
use super::story::Story;

const TIMEOUT: Duration = Duration::from_secs(20);

pub(super) async fn run(story: &mut Story, stage: &Stage) -> Result<()> {
    story.begin(
        "mtls",
        "The workload serves with its credential; openssl connects with it, and each verifies the other",
    );
    let tls = server_config(stage)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let server = tokio::spawn(serve_one(listener, tls));
    let path = |name: &str| stage.dir.join(name);
    let client = Command::new("openssl")
        .args(["s_client", "-brief", "-ign_eof", "-verify_return_error", "-connect", &address])
        .arg("-CAfile")
        .arg(path("ca.pem"))
        .arg("-cert")
        .arg(path("credential.pem"))
        .arg("-key")
        .arg(path("key.pem"))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let client = tokio::time::timeout(TIMEOUT, client).await.context("openssl did not end")?;
    let client = client.context("run openssl (install the package openssl)")?;
    let said =
        String::from_utf8_lossy(&client.stdout).into_owned() + &String::from_utf8_lossy(&client.stderr);
    ensure!(client.status.success(), "openssl failed: {said}");
    ensure!(said.contains("Verification: OK"), "openssl did not verify the server: {said}");
    let greeting = format!("hello {}", materials::identifier());
    ensure!(said.contains(&greeting), "the server did not recognise the client: {said}");
    server.await??;
    story.told(
        &[],
        "openssl s_client: Verification OK both ways; the proof is an extension that it need not know",
    );
    Ok(())
}

fn server_config(stage: &Stage) -> Result<rustls::ServerConfig> {
    let credential = files::read(&stage.dir.join("credential.pem"))?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&credential).collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_file(stage.dir.join("key.pem"))?;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(stage.dir.join("ca.pem"))?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let clients =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build()?;
    Ok(rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(clients)
        .with_single_cert(chain, key)?)
}

/// Greets one client by the identifier in its certificate.
async fn serve_one(listener: TcpListener, tls: rustls::ServerConfig) -> Result<()> {
    let (stream, _) =
        tokio::time::timeout(TIMEOUT, listener.accept()).await.context("nobody connected")??;
    let mut stream = TlsAcceptor::from(Arc::new(tls)).accept(stream).await.context("the handshake")?;
    let peer = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let peer = Profile::parse(peer.context("a client without a certificate")?)?;
    let greeting = format!("hello {}\n", peer.uri(TRUST_DOMAIN)?);
    stream.write_all(greeting.as_bytes()).await?;
    Ok(stream.shutdown().await?)
}
