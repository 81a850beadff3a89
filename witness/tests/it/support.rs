//! A log in memory, a witness in this process, and plain HTTP.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use metrics_exporter_prometheus::PrometheusBuilder;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use treering_tlog::add_checkpoint::{AddCheckpoint, serialize_request};
use treering_tlog::checkpoint::Checkpoint;
use treering_tlog::consistency;
use treering_tlog::cosignature::CosignSigner;
use treering_tlog::hash::{Hash, leaf_hash};
use treering_tlog::note::{Note, NoteSigner, VerifierKey};
use treering_tlog::tile::TileId;
use treering_tlog::tree::{Frontier, NodeCoord, root_at};
use treering_witness::clock::Clock;
use treering_witness::config::Limits;
use treering_witness::evidence::EvidenceDir;
use treering_witness::http;
use treering_witness::service::Witness;
use treering_witness::store::{StateDir, StoreError};

pub(crate) const ORIGIN: &str = "log.example/1";
pub(crate) const NOW: u64 = 1_767_139_200;

/// The folder of vectors that others made, beside the workspace; absent it is skipped, which is an error on CI.
pub(crate) fn vectors(under: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let folder = root.join("../shared/vectors").join(under);
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(
        std::env::var_os("CI").is_none_or(|ci| ci != "true"),
        "vectors are absent on CI: {}",
        folder.display()
    );
    // Past the capture of what tests print.
    std::io::stderr().write_all(format!("skipped: no vectors at {}\n", folder.display()).as_bytes()).unwrap();
    None
}

/// A log that signs whatever it is asked to.
pub(crate) struct TestLog {
    pub(crate) signer: NoteSigner,
    nodes: BTreeMap<NodeCoord, Hash>,
}

impl TestLog {
    /// A log of `size` entries; another `salt` gives another history.
    pub(crate) fn new(salt: u8, size: u64) -> Self {
        Self::of_leaves((0..size).map(|i| leaf_hash(&Self::entry(salt, i))))
    }

    /// An entry of such a log.
    pub(crate) fn entry(salt: u8, index: u64) -> Vec<u8> {
        [&[salt], index.to_be_bytes().as_slice()].concat()
    }

    /// The first hashes of a tile.
    pub(crate) fn tile(&self, id: TileId, width: u16) -> Vec<Hash> {
        let first = id.index * 256;
        (first..first + u64::from(width))
            .map(|place| self.nodes[&NodeCoord::new(id.level * 8, place)])
            .collect()
    }

    pub(crate) fn of_leaves(leaves: impl Iterator<Item = Hash>) -> Self {
        let mut nodes = BTreeMap::new();
        let mut tree = Frontier::new();
        leaves.for_each(|leaf| {
            tree.push_visit(leaf, |coord, hash| {
                nodes.insert(coord, hash);
            });
        });
        Self { signer: NoteSigner::from_seed(ORIGIN, &[1; 32]).unwrap(), nodes }
    }

    /// The same tree under another origin, with another key.
    pub(crate) fn named(self, origin: &str) -> Self {
        let mut seed = [3; 32];
        seed.iter_mut().zip(origin.bytes()).for_each(|(seed, byte)| *seed = byte);
        Self { signer: NoteSigner::from_seed(origin, &seed).unwrap(), ..self }
    }

    pub(crate) fn origin(&self) -> &str {
        self.signer.name()
    }

    pub(crate) fn root(&self, size: u64) -> Hash {
        root_at::<Infallible>(size, |coord| Ok(self.nodes[&coord])).unwrap()
    }

    pub(crate) fn proof(&self, old: u64, new: u64) -> Vec<Hash> {
        consistency::prove::<Infallible>(old, new, |coord| Ok(self.nodes[&coord])).unwrap()
    }

    pub(crate) fn checkpoint(&self, size: u64) -> Checkpoint {
        Checkpoint::new(self.origin(), size, self.root(size)).unwrap()
    }

    pub(crate) fn note(&self, size: u64) -> Note {
        self.sign(&self.checkpoint(size))
    }

    pub(crate) fn sign(&self, checkpoint: &Checkpoint) -> Note {
        let body = checkpoint.body();
        let line = self.signer.sign(&body).unwrap();
        Note::new(body, vec![line]).unwrap()
    }

    /// An honest request.
    pub(crate) fn request(&self, old: u64, new: u64) -> Vec<u8> {
        request(old, self.proof(old, new), &self.note(new))
    }
}

pub(crate) fn request(old: u64, proof: Vec<Hash>, note: &Note) -> Vec<u8> {
    serialize_request(&AddCheckpoint::new(old, proof, &note.to_bytes()).unwrap())
}

pub(crate) fn witness_signer() -> CosignSigner {
    CosignSigner::from_seed("witness.example/w1", &[2; 32]).unwrap()
}

pub(crate) fn fixed_clock() -> Clock {
    Arc::new(|| NOW)
}

/// Opens the witness of a state directory, which is made if it is not there.
pub(crate) fn open_witness(state: &Path, clock: Clock) -> Witness {
    let signer = witness_signer();
    if !state.exists() {
        StateDir::create(state, signer.verifier()).unwrap();
    }
    let dir = open_dir(state, signer.verifier()).unwrap();
    Witness::open(signer, dir, log_keys(), clock, &Limits::default(), None).unwrap()
}

/// Opens a state directory that nobody else should hold.
///
/// A child process that another test is just spawning holds every open file of this one, locks included, until it runs
/// its own program: so a lock that was let go may be seen held for a moment.
pub(crate) fn open_dir(state: &Path, own: &VerifierKey) -> Result<StateDir, StoreError> {
    for _ in 0..1_000 {
        match StateDir::open(state, own) {
            Err(StoreError::Locked { .. }) => std::thread::sleep(Duration::from_millis(2)),
            opened => return opened,
        }
    }
    StateDir::open(state, own)
}

/// The configured logs: the test log alone.
pub(crate) fn log_keys() -> BTreeMap<String, Vec<VerifierKey>> {
    BTreeMap::from([(ORIGIN.to_owned(), vec![TestLog::new(0, 0).signer.verifier().clone()])])
}

/// A witness served over real HTTP in this process.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    pub(crate) folder: TempDir,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

impl Served {
    pub(crate) async fn start() -> Self {
        Self::start_with(fixed_clock(), Limits::default()).await
    }

    pub(crate) async fn start_with(clock: Clock, limits: Limits) -> Self {
        Self::start_for(log_keys(), clock, limits).await
    }

    /// With these logs configured.
    pub(crate) async fn start_for(
        keys: BTreeMap<String, Vec<VerifierKey>>,
        clock: Clock,
        limits: Limits,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let evidence = EvidenceDir::new(folder.path().join("evidence"));
        let signer = witness_signer();
        StateDir::create(&state, signer.verifier()).unwrap();
        let dir = open_dir(&state, signer.verifier()).unwrap();
        Self::serve(folder, Witness::open(signer, dir, keys, clock, &limits, Some(evidence)).unwrap(), limits)
            .await
    }

    pub(crate) async fn serve(folder: TempDir, witness: Witness, limits: Limits) -> Self {
        let witness = Arc::new(witness);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let metrics = PrometheusBuilder::new().build_recorder().handle();
        let server = tokio::spawn(async move {
            let stop = async move { stopped.await.unwrap_or(()) };
            http::serve(listener, witness, limits, metrics, stop).await.unwrap();
        });
        Self { address, folder, stop, server }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) async fn add(&self, body: impl Into<Bytes>) -> Answer {
        call(self.address, "POST", "/add-checkpoint", body.into()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        call(self.address, "GET", path, Bytes::new()).await
    }

    /// Stops gracefully and gives the folder back.
    pub(crate) async fn stop(self) -> TempDir {
        self.stop.send(()).unwrap();
        tokio::time::timeout(Duration::from_secs(15), self.server).await.unwrap().unwrap();
        self.folder
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) retry_after: Option<String>,
    pub(crate) body: String,
}

pub(crate) async fn call(address: SocketAddr, method: &str, path: &str, body: Bytes) -> Answer {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let request = hyper::Request::builder()
        .method(method)
        .uri(format!("http://{address}{path}"))
        .body(Full::new(body))
        .unwrap();
    let response = client.request(request).await.unwrap();
    let status = response.status().as_u16();
    let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let (content_type, retry_after) = (header("content-type").unwrap_or_default(), header("retry-after"));
    let body = response.into_body().collect().await.unwrap().to_bytes();
    Answer { status, content_type, retry_after, body: String::from_utf8(body.to_vec()).unwrap() }
}
