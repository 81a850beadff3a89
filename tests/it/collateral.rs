//! Collateral from a store and from vendors: a stand-in serves recorded files as AMD's service does, limits its callers,
//! and goes down.

mod revocation;

use std::collections::HashMap;
use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use treering::attester::recorded;
use treering_provenance::content::AnyContent;

use crate::support::{Ask, Run, Settings, Stage, cli, folder};

const ETAG: &str = "\"vcek-1\"";

/// A vendor's service on a port of its own.
struct Vendor {
    url: String,
    state: Arc<Shown>,
}

/// What it does, and what it was asked.
struct Shown {
    /// The certificate of the only chip there is.
    vcek: Vec<u8>,
    /// Files by their paths, such as revocation lists.
    files: Mutex<HashMap<String, Vec<u8>>>,
    /// Answers by OCSP, by the serial numbers that they are about.
    answers: Mutex<HashMap<Vec<u8>, Vec<u8>>>,
    /// The status of every answer; 200 is the ordinary course of things.
    status: AtomicU16,
    asked: AtomicU32,
    sent: AtomicU32,
}

impl Vendor {
    fn start(vcek: Vec<u8>) -> Self {
        let (status, asked, sent) = (AtomicU16::new(200), AtomicU32::new(0), AtomicU32::new(0));
        let (files, answers) = (Mutex::default(), Mutex::default());
        let state = Arc::new(Shown { vcek, files, answers, status, asked, sent });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&state));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        listener.set_nonblocking(true).unwrap();
        // A thread of its own, since the program under test is waited for; it ends with the tests.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, router).await.unwrap();
            });
        });
        Self { url, state }
    }

    fn answers_with(&self, status: u16) {
        self.state.status.store(status, Ordering::SeqCst);
    }

    fn publish(&self, path: &str, octets: Vec<u8>) {
        self.state.files.lock().unwrap().insert(path.to_owned(), octets);
    }

    fn says(&self, serial: &[u8], octets: Vec<u8>) {
        self.state.answers.lock().unwrap().insert(serial.to_vec(), octets);
    }

    fn sent(&self) -> u32 {
        self.state.sent.load(Ordering::SeqCst)
    }

    fn asked(&self) -> u32 {
        self.state.asked.load(Ordering::SeqCst)
    }
}

async fn answer(State(shown): State<Arc<Shown>>, request: Request) -> Response {
    shown.asked.fetch_add(1, Ordering::SeqCst);
    let status = StatusCode::from_u16(shown.status.load(Ordering::SeqCst)).unwrap();
    if status != StatusCode::OK {
        return (status, [(header::RETRY_AFTER, "60")]).into_response();
    }
    if request.method() == Method::POST {
        return respond(&shown, request).await;
    }
    let path = request.uri().path();
    if let Some(octets) = shown.files.lock().unwrap().get(path) {
        let etag =
            format!("\"{}\"", data_encoding::HEXLOWER.encode(&treering::verifier::fingerprint(octets)));
        if request.headers().get(header::IF_NONE_MATCH).is_some_and(|known| *known == *etag) {
            return StatusCode::NOT_MODIFIED.into_response();
        }
        shown.sent.fetch_add(1, Ordering::SeqCst);
        return ([(header::ETAG, etag)], octets.clone()).into_response();
    }
    // /vcek/v1/{product}/{hardware id}?…; no revocation list here.
    if !path.starts_with("/vcek/v1/Milan/") || path.ends_with("/crl") || request.uri().query().is_none() {
        return StatusCode::NOT_FOUND.into_response();
    }
    if request.headers().get(header::IF_NONE_MATCH).is_some_and(|etag| etag == ETAG) {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    shown.sent.fetch_add(1, Ordering::SeqCst);
    ([(header::ETAG, ETAG)], shown.vcek.clone()).into_response()
}

/// As a responder of OCSP: the serial number is the last thing in a request about one certificate.
async fn respond(shown: &Shown, request: Request) -> Response {
    if request.headers().get(header::CONTENT_TYPE).is_none_or(|kind| kind != "application/ocsp-request") {
        return StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response();
    }
    let body = axum::body::to_bytes(request.into_body(), 4096).await.unwrap();
    let answers = shown.answers.lock().unwrap();
    match answers.iter().find(|(serial, _)| body.ends_with(serial)) {
        Some((_, answer)) => {
            shown.sent.fetch_add(1, Ordering::SeqCst);
            ([(header::CONTENT_TYPE, "application/ocsp-response")], answer.clone()).into_response()
        }
        // unauthorized (6): not one of its issuers.
        None => vec![0x30, 3, 0x0a, 1, 6].into_response(),
    }
}

/// A certificate to trust for TLS, which plain HTTP does not need but the client asks for.
fn tls_ca(dir: &Path) -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    let pem = rcgen::CertificateParams::new(vec![]).unwrap().self_signed(&key).unwrap().pem();
    let path = dir.join("roots.pem");
    std::fs::write(&path, pem).unwrap();
    path.to_str().unwrap().to_owned()
}

fn fetch(dir: &Path, vendor: &Vendor) -> Run {
    let (store, evidence) = (dir.join("store"), dir.join("report.bin"));
    cli([
        "collateral",
        "fetch",
        "--store",
        store.to_str().unwrap(),
        "--evidence",
        evidence.to_str().unwrap(),
        "--amd-kds",
        &vendor.url,
        "--allow-http",
        "--tls-ca",
        &tls_ca(dir),
        "--json",
    ])
}

fn outcomes(run: &Run) -> Vec<String> {
    let wanted = run.json()["wanted"].as_array().unwrap().clone();
    wanted.iter().map(|one| one["outcome"].as_str().unwrap().to_owned()).collect()
}

/// A real report of version 3 and its VCEK, where the vectors are; the recorded one in this repository is of version 2,
/// which does not say of which generation it is.
fn report_and_vcek() -> Option<(Vec<u8>, Vec<u8>)> {
    let dir = crate::verifier::vectors()?.join("evidence/snp/ms-tav");
    Some((
        crate::verifier::read(dir.join("milan_attestation_report.bin")),
        crate::verifier::read(dir.join("milan_vcek.pem")),
    ))
}

#[test]
fn what_a_report_calls_for_is_fetched_kept_and_used() {
    let Some((report, vcek)) = report_and_vcek() else { return };
    let dir = folder("collateral");
    let vendor = Vendor::start(vcek);
    std::fs::write(dir.join("report.bin"), report).unwrap();

    // AMD's revocation list is not among the recorded files, so that the stand-in has none.
    let first = fetch(&dir, &vendor).ended(1);
    assert_eq!(outcomes(&first), ["the vendor does not have it", "fetched"]);
    assert_eq!(outcomes(&fetch(&dir, &vendor).ended(1))[1], "unchanged");
    assert_eq!(vendor.sent(), 1, "by its ETag it is not sent again");

    let (store, evidence) = (dir.join("store"), dir.join("report.bin"));
    let appraise = |collateral: &[&str]| {
        let base =
            ["appraise", "--evidence", evidence.to_str().unwrap(), "--at", "2026-07-01T00:00:00Z", "--json"];
        cli(base.iter().chain(collateral))
    };
    assert_eq!(appraise(&[]).ended(1).json()["refused"]["check"], "endorsement");
    assert_eq!(appraise(&["--collateral", store.to_str().unwrap()]).ended(0).json()["status"], "affirming");

    for (status, word) in [(429, "429"), (503, "503"), (500, "500")] {
        vendor.answers_with(status);
        let down = fetch(&dir, &vendor).ended(1);
        // The second thing is not even asked for: the vendor is in trouble. What is kept stays.
        assert!(outcomes(&down)[0].contains(word) && outcomes(&down)[1].starts_with("not asked before"));
        assert_eq!(down.json()["wanted"][1]["kept"], true);
    }
    assert_eq!(appraise(&["--collateral", store.to_str().unwrap()]).ended(0).json()["status"], "affirming");
}

#[test]
fn files_are_imported_listed_and_used_without_a_network() {
    let dir = folder("collateral-import");
    let recorded = recorded::milan().unwrap();
    std::fs::create_dir(dir.join("kds")).unwrap();
    std::fs::write(dir.join("kds/vcek.der"), &recorded.endorsements[0]).unwrap();
    let (store, kds) = (dir.join("store"), dir.join("kds"));
    let (store, kds) = (store.to_str().unwrap(), kds.to_str().unwrap());
    let imported = cli(["collateral", "import", "--store", store, kds, "--json"]).ended(0).json();
    let name = imported["imported"][0]["names"][0].as_str().unwrap().to_owned();
    assert!(name.starts_with("amd/milan/vcek/"), "{name}");
    let listed = cli(["collateral", "list", "--store", store, "--json"]).ended(0).json();
    assert_eq!(listed["entries"][0]["name"], name.as_str());
    assert_eq!(listed["entries"][0]["source"], "vcek.der");
    std::fs::write(dir.join("kds/readme.txt"), b"no collateral").unwrap();
    std::fs::remove_dir_all(store).unwrap();
    let partly = cli(["collateral", "import", "--store", store, kds]).ended(1);
    assert!(
        partly.stdout.contains("readme.txt: NOT TAKEN IN") && partly.stdout.contains(&name),
        "{partly:?}"
    );
    let listed = cli(["collateral", "list", "--store", store, "--json"]).ended(0).json();
    assert_eq!(listed["entries"].as_array().unwrap().len(), 1, "the rest is taken in");
}

/// The service asks the vendor for what a workload did not bring, logs the snapshot once, and goes on in an outage.
#[tokio::test]
async fn the_service_completes_what_a_workload_did_not_bring() {
    let dir = folder("collateral-service");
    let vendor = Vendor::start(Vec::new());
    let section = format!(
        "[collateral]\ndir = \"{}\"\nfetch = true\nallow_http = true\ntls_ca = \"{}\"\n\
         [collateral.vendors]\namd_kds = \"{}\"\n",
        dir.join("store").display(),
        tls_ca(&dir),
        vendor.url
    );
    let stage = Stage::make(&Settings { config: Some(section), extra: true, ..Settings::default() }).await;
    // The platform's VCEK, which is made with the stage, is what the vendor has.
    let platform = treering::attester::simulated::Platform::load(stage.path("platform").as_ref()).unwrap();
    let vendor_with = Vendor::start(platform.certificates()[2].clone());
    crate::support::edit(&stage.config, |table| {
        table["collateral"]["vendors"]["amd_kds"] = vendor_with.url.clone().into();
    });
    stage.serve();
    stage.grant_all().await;
    stage.set_the_scene().await;
    let net = stage.stranger();
    let target = stage.workload("fetched").await;
    let without_vcek = async || {
        let mut ask = Ask::good(&stage, &net, &target).await;
        ask.endorsements.retain(|der| *der != platform.certificates()[2]);
        assert_eq!(ask.endorsements.len(), 2);
        ask.send(&net).await
    };
    without_vcek().await.is(201);
    assert_eq!((vendor_with.sent(), vendor.asked()), (1, 0));
    vendor_with.answers_with(503);
    without_vcek().await.is(201);
    assert_eq!(vendor_with.sent(), 1);
    let mut snapshots = 0;
    for index in 0..stage.committed().await {
        snapshots += u32::from(matches!(stage.content(index).await, AnyContent::Collateral(_)));
    }
    assert_eq!(snapshots, 1, "logged once");
}
