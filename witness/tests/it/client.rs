//! The client against a real witness, and against servers that misbehave.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{self, pki_types::PrivateKeyDer};
use treering_tlog::note::Note;
use treering_witness::client::{CallError, WitnessClient};

use crate::support::{ORIGIN, Served, TestLog, witness_signer};

const TIMEOUT: Duration = Duration::from_secs(5);

#[tokio::test]
async fn outcomes_are_typed() {
    let served = Served::start().await;
    let log = TestLog::new(0, 9);
    let client = WitnessClient::new(&format!("{}/", served.url()), None, TIMEOUT).unwrap();
    assert_eq!(client.url(), served.url());
    assert_eq!(client.latest(ORIGIN).await, Ok(None));

    let lines = client.add_checkpoint(0, &[], &log.note(4).to_bytes()).await.unwrap();
    let mut note = log.note(4);
    note.add_signatures(lines).unwrap();
    let keys = [log.signer.verifier().clone(), witness_signer().verifier().clone()];
    assert_eq!(note.verify(&keys).unwrap().len(), 2);
    let latest = client.latest(ORIGIN).await.unwrap().unwrap();
    assert_eq!(Note::parse(&latest).unwrap(), note);

    let again = client.add_checkpoint(0, &[], &log.note(9).to_bytes()).await;
    assert_eq!(again, Err(CallError::Conflict { size: 4 }));
    let grown = client.add_checkpoint(4, &log.proof(4, 9), &log.note(9).to_bytes()).await;
    assert!(grown.is_ok());
    let bad = client.add_checkpoint(9, &log.proof(4, 9), &log.note(9).to_bytes()).await;
    assert!(matches!(bad, Err(CallError::Refused { status: 422, body }) if body.contains("proof has")));
    let unsent = client.add_checkpoint(0, &[log.root(1); 64], &log.note(9).to_bytes()).await;
    assert!(matches!(unsent, Err(CallError::Request(_))));
    let unsent = client.add_checkpoint(0, &[], b"no note").await;
    assert!(matches!(unsent, Err(CallError::Request(_))));
}

#[tokio::test]
async fn addresses_are_checked_at_once() {
    let new = |url: &str| WitnessClient::new(url, None, TIMEOUT).map(|_| ());
    for bad in
        ["", "witness", "/path", "ftp://w.example", "http://", "http://w.example/?a=b", "http://w example"]
    {
        assert!(matches!(new(bad), Err(CallError::Url { .. })), "{bad}");
    }
    assert!(matches!(new("https://w.example"), Err(CallError::NoTls { .. })));
    assert!(new("http://w.example/prefix/").is_ok());
}

/// Answers every connection with these bytes, and then holds it.
async fn impostor(answer: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 1024];
            drop(stream.read(&mut request).await);
            // The client may hang up on what it does not want to read.
            drop(stream.write_all(&answer).await);
            held.push(stream);
        }
    });
    format!("http://{address}")
}

fn answer(status: &str, content_type: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

async fn ask(url: &str) -> Result<usize, CallError> {
    let client = WitnessClient::new(url, None, Duration::from_secs(2)).unwrap();
    client.add_checkpoint(0, &[], &TestLog::new(0, 1).note(1).to_bytes()).await.map(|lines| lines.len())
}

#[tokio::test]
async fn misbehaving_witnesses_are_bounded() {
    // Nobody there.
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert!(matches!(ask(&format!("http://{gone}")).await, Err(CallError::Unreachable { .. })));
    // No answer.
    let silent = impostor(Vec::new()).await;
    assert!(matches!(ask(&silent).await, Err(CallError::Unreachable { what }) if what.contains("within 2s")));
    // An answer without end.
    let endless = answer("200 OK", "text/plain", &vec![b'x'; 1 << 20]);
    assert!(matches!(ask(&impostor(endless).await).await, Err(CallError::Unreachable { .. })));
    // A size that is none.
    let conflict = |content_type, body: &[u8]| answer("409 Conflict", content_type, body);
    let bad_size = conflict("text/x.tlog.size", b"much\n");
    assert!(matches!(ask(&impostor(bad_size).await).await, Err(CallError::Malformed(_))));
    // 409 for another reason is no size.
    let other = conflict("text/plain", b"4\n");
    assert!(matches!(ask(&impostor(other).await).await, Err(CallError::Refused { status: 409, .. })));
    let with_charset = conflict("text/x.tlog.size; charset=utf-8", b"4\n");
    assert_eq!(ask(&impostor(with_charset).await).await, Err(CallError::Conflict { size: 4 }));
    // No lines, or a whole note instead of lines only.
    for body in [b"".as_slice(), b"ok\n", &TestLog::new(0, 1).note(1).to_bytes()] {
        let bad = answer("200 OK", "text/plain", body);
        assert!(matches!(ask(&impostor(bad).await).await, Err(CallError::Malformed(_))));
    }
    // Redirects are not followed; a long reason is cut.
    let redirect = answer("307 Temporary Redirect", "text/plain", &[b'y'; 5_000]);
    let refused = ask(&impostor(redirect).await).await;
    assert!(matches!(refused, Err(CallError::Refused { status: 307, body }) if body.len() == 300));
}

/// A proxy that speaks TLS before the witness, as operators run it.
async fn tls_proxy(served: &Served) -> (u16, rustls::RootCertStore) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, behind) = (listener.local_addr().unwrap().port(), served.address);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut front) = acceptor.accept(stream).await else { continue };
            let mut back = TcpStream::connect(behind).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut front, &mut back).await });
        }
    });
    (port, roots)
}

#[tokio::test]
async fn https_is_spoken_with_the_callers_trust_only() {
    let served = Served::start().await;
    let (port, roots) = tls_proxy(&served).await;
    let log = TestLog::new(0, 3);
    let client = |roots: rustls::RootCertStore| {
        let tls = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        WitnessClient::new(&format!("https://localhost:{port}"), Some(Arc::new(tls)), TIMEOUT).unwrap()
    };
    let trusting = client(roots);
    assert_eq!(trusting.add_checkpoint(0, &[], &log.note(3).to_bytes()).await.unwrap().len(), 1);
    assert!(trusting.latest(ORIGIN).await.unwrap().is_some());
    let doubting = client(rustls::RootCertStore::empty()).latest(ORIGIN).await;
    assert!(matches!(doubting, Err(CallError::Unreachable { what }) if what.contains("certificate")));
}

/// Both sides keep a connection for the next request: a log submits every second, for years.
#[tokio::test]
async fn a_connection_serves_many_calls() {
    let served = Served::start().await;
    // Between the client and a real witness: counts connections, and passes octets on.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (url, address) = (format!("http://{}", listener.local_addr().unwrap()), served.address);
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let mut far = TcpStream::connect(address).await.unwrap();
                drop(tokio::io::copy_bidirectional(&mut near, &mut far).await);
            });
        }
    });
    let (client, log) = (WitnessClient::new(&url, None, TIMEOUT).unwrap(), TestLog::new(0, 9));
    client.add_checkpoint(0, &[], &log.note(4).to_bytes()).await.unwrap();
    client.add_checkpoint(4, &log.proof(4, 9), &log.note(9).to_bytes()).await.unwrap();
    for _ in 0..10 {
        client.latest(ORIGIN).await.unwrap().unwrap();
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}
