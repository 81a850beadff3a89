//! What the log promises, asked of the whole program: a killed service has lost nothing that a client has in hand, a
//! full one says so, and a client that does not read holds up nobody.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use treering_provenance::cose::VerifyingKey;
use treering_provenance::receipt::Receipt;
use treering_provenance::statement::Statement;

use crate::small::Small;
use crate::support::{Net, Reply, Settings, Stage};

/// What a client was given for its statement.
struct Held {
    entry: Vec<u8>,
    location: String,
    index: u64,
}

impl Held {
    /// A 201 as a client takes it: the receipt verifies, for this statement, under the key that it has pinned.
    fn take(stage: &Stage, entry: Vec<u8>, reply: &Reply) -> Self {
        let index = verify(stage, &entry, reply);
        Self { entry, location: reply.header("location").to_owned(), index }
    }

    async fn is_still_true(&self, stage: &Stage, net: &Net) {
        let reply = net.get(&self.location).await.is(200);
        assert_eq!(reply.header("location"), self.location);
        assert_eq!(verify(stage, &self.entry, &reply), self.index);
        assert_eq!(stage.statement(net, self.index).await.entry(), self.entry);
    }
}

fn verify(stage: &Stage, entry: &[u8], reply: &Reply) -> u64 {
    let trust = stage.trust();
    let key: &VerifyingKey = &trust.receipt_keys().0[0];
    let leaf = Statement::parse(entry).unwrap().leaf();
    let receipt = Receipt::parse(&reply.body).unwrap();
    receipt.verify_inclusion(key, &stage.origin, &leaf).unwrap().index()
}

/// Registers until the connection breaks, each statement once.
async fn register_until_killed(stage: &Stage, first: u64) -> Vec<Held> {
    let (net, mut held) = (stage.stranger(), Vec::new());
    for number in first.. {
        let entry = stage.filler(number);
        match net.try_entries(&entry).await {
            Ok(reply) => held.push(Held::take(stage, entry, &reply.is(201))),
            Err(_) => break,
        }
    }
    held
}

async fn kill(times: u64) {
    let stage = Stage::make(&Settings { witness: true, extra: true, ..Settings::default() }).await;
    stage.start_witness();
    stage.serve();
    let (mut all, mut sizes) = (Vec::new(), BTreeMap::new());
    for round in 0..times {
        let killed = async {
            tokio::time::sleep(Duration::from_millis(150 + 97 * round % 250)).await;
            stage.kill();
        };
        let first = |client: u64| (round * 8 + client) * 1_000_000;
        let clients = futures_of(6, |client| register_until_killed(&stage, first(client)));
        let (held, ()) = tokio::join!(clients, killed);
        stage.serve();
        let net = stage.stranger();
        let held: Vec<Held> = held.into_iter().flatten().collect();
        for held in &held {
            held.is_still_true(&stage, &net).await;
        }
        let checkpoint = stage.checkpoint().await;
        let before = sizes.insert(checkpoint.size(), *checkpoint.root());
        assert!(before.is_none_or(|before| before == *checkpoint.root()), "two roots of one size");
        all.extend(held);
    }
    let net = stage.stranger();
    for held in &all {
        held.is_still_true(&stage, &net).await;
    }
    eprintln!("killed {times} times: {} receipts, all still true", all.len());
    assert!(all.len() as u64 > 2 * times, "the clients hardly ran");
    stage.stop();
    let (data, trust) = (stage.path("data"), stage.path("trust.json"));
    crate::support::cli(["log", "fsck", "--data", &data, "--trust", &trust]).ended(0);
}

/// Runs some clients at once, on this task.
async fn futures_of<T, F: Future<Output = T>>(count: u64, make: impl Fn(u64) -> F) -> Vec<T> {
    let mut running: Vec<_> = (0..count).map(|client| Box::pin(make(client))).collect();
    let mut done: Vec<Option<T>> = running.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (running, done) in running.iter_mut().zip(&mut done) {
            if done.is_none()
                && let std::task::Poll::Ready(value) = running.as_mut().poll(context)
            {
                *done = Some(value);
            }
        }
        if done.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}

#[tokio::test]
async fn a_killed_service_has_lost_nothing_that_a_client_holds() {
    kill(20).await;
}

#[tokio::test]
#[ignore = "soak: sixty kills of the whole program take some minutes"]
async fn a_service_killed_again_and_again_has_lost_nothing_that_a_client_holds() {
    kill(60).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_service_says_when_to_come_back_and_serves_who_does() {
    let settings = Settings { extra: true, pool_entries: Some(1), ..Settings::default() };
    let stage = Arc::new(Stage::make(&settings).await);
    stage.serve();
    let refused = Arc::new(AtomicU64::new(0));
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..48u64 {
        let (stage, refused) = (Arc::clone(&stage), Arc::clone(&refused));
        clients.spawn(async move {
            let net = stage.stranger();
            for round in 0..6 {
                register_in_the_end(&stage, &net, client * 1000 + round, &refused).await;
            }
        });
    }
    clients.join_all().await;
    let refused = refused.load(Ordering::SeqCst);
    eprintln!("288 statements, {refused} refusals");
    assert!(refused > 0, "there was no overload");
}

#[tokio::test]
async fn a_service_on_a_full_disk_stops_registering_and_keeps_what_it_gave() {
    let stage = Stage::make(&Settings { extra: true, ..Settings::default() }).await;
    let data = stage.path("data");
    let test = "service::promises::a_service_on_a_full_disk_stops_registering_and_keeps_what_it_gave";
    let Some(_small) = Small::over(data.as_ref(), 256, test) else { return };
    stage.serve();
    let net = stage.stranger();
    let mut held = Vec::new();
    let mut register = async |number: u64| {
        // Large ones: RocksDB sets 64 MB aside for its write-ahead log, and they have to be filled first.
        let entry = stage.filler_of([vec![0; 60_000], number.to_be_bytes().to_vec()].concat());
        let reply = net.entries(&entry).await;
        let done = reply.status == 201;
        if done {
            held.push(Held::take(&stage, entry, &reply));
        }
        (done, reply)
    };
    for number in 0..20 {
        assert!(register(number).await.0);
    }
    // Somebody else takes all the room that is left. (Opening again takes as much as the write-ahead log has.)
    let ballast = Path::new(&data).join("ballast");
    let mut file = fs::File::create(&ballast).unwrap();
    while file.write_all(&[7; 1 << 12]).is_ok() {}
    drop(file);
    let mut refused = None;
    for number in 20..3000 {
        let (done, reply) = register(number).await;
        if !done {
            refused = Some(reply);
            break;
        }
    }
    let refused = refused.expect("a full disk takes everything");
    assert_eq!(refused.status, 503, "{}", String::from_utf8_lossy(&refused.body));
    // It ends by itself, and says so: a supervisor starts it again, which verifies what the disk holds.
    assert_eq!(stage.ended(), 4, "{}", stage.service_log());
    assert!(stage.service_log().contains("stopping, since the log stopped"), "{}", stage.service_log());
    fs::remove_file(&ballast).unwrap();
    stage.serve();
    let net = stage.stranger();
    for held in &held {
        held.is_still_true(&stage, &net).await;
    }
    let more = stage.filler(40_000);
    Held::take(&stage, more.clone(), &net.entries(&more).await.is(201));
    eprintln!("{} receipts, all still true after the disk was full", held.len());
    stage.stop();
}

/// Asks again as long as the service is full.
async fn register_in_the_end(stage: &Stage, net: &Net, number: u64, refused: &AtomicU64) {
    let entry = stage.filler(number);
    loop {
        let reply = net.entries(&entry).await;
        if reply.status == 201 {
            verify(stage, &entry, &reply);
            return;
        }
        assert_eq!(reply.status, 503, "{}", String::from_utf8_lossy(&reply.body));
        let after: u64 = reply.header("retry-after").parse().unwrap();
        assert!((1..=60).contains(&after), "{after}");
        refused.fetch_add(1, Ordering::SeqCst);
        // Sooner than asked, so that there is overload for as long as the test runs.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Asks for one thing after the other on one connection and reads no answer, until nothing more can be sent.
async fn ask_and_not_read(stage: &Stage, path: &str) -> impl Sized + use<> {
    let address = stage.url().trim_start_matches("https://localhost:").parse::<u16>().unwrap();
    let stream = TcpStream::connect(("127.0.0.1", address)).await.unwrap();
    let roots = fs::read(stage.path("tls/ca.pem")).unwrap();
    let mut config = treering::client::tls_config(&roots, None).unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let connector = TlsConnector::from(Arc::new(config));
    let mut stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
    let requests = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").repeat(1000);
    let mut sent = 0;
    while let Ok(written) =
        tokio::time::timeout(Duration::from_millis(500), stream.write_all(requests.as_bytes())).await
    {
        written.unwrap();
        sent += 1000;
        assert!(sent < 2_000_000, "the service takes requests without end from who does not read");
    }
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_read_holds_up_nobody() {
    let stage = Stage::make(&Settings { extra: true, ..Settings::default() }).await;
    stage.serve();
    let net = stage.stranger();
    let pace = async |first: u64| {
        let mut slowest = Duration::ZERO;
        for number in first..first + 40 {
            let since = Instant::now();
            net.entries(&stage.filler(number)).await.is(201);
            slowest = slowest.max(since.elapsed());
        }
        slowest
    };
    let alone = pace(0).await;
    let mut stuck = Vec::new();
    for path in ["/tile/entries/000.p/2", "/tile/0/000.p/2", "/checkpoint", "/tile/entries/000.p/40"] {
        stuck.push(ask_and_not_read(&stage, path).await);
    }
    let beside = pace(1000).await;
    eprintln!("the slowest of 40 registrations: {alone:?} alone, {beside:?} beside clients that do not read");
    assert!(beside < alone * 4 + Duration::from_millis(500), "{alone:?} {beside:?}");
    drop(stuck);
}
