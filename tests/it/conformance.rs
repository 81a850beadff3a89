//! The conformance runner: our own service passes everything, a small correct service does, and services that are
//! wrong in one point fail the rules of that point and no others: so the runner can fail, and says what is wrong.

mod stub;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use treering::conformance::{
    self, ConformanceError, EntryProfile, Level, Maker, Outcome, RULES, Report, Settings, Supply, Target,
    Verdict,
};
use treering_provenance::cose::Ed25519Signer;

use crate::support::{Stage, cli, now, shared};
use stub::{Fault, ISSUER_SEED};

fn target(url: &str) -> Target {
    Target {
        url: url.to_owned(),
        roots: None,
        identity: None,
        insecure_http: true,
        timeout: Duration::from_secs(20),
    }
}

fn made() -> Supply {
    Supply::Made(Maker {
        signer: Box::new(Ed25519Signer::from_seed(&ISSUER_SEED).unwrap()),
        issuer: "https://issuer.example".to_owned(),
        audience: None,
        content_type: "text/plain".to_owned(),
        now: now(),
    })
}

async fn run(fault: Fault, supply: Supply) -> Report {
    let url = stub::serve(fault).await;
    let patience = Duration::from_secs(if fault == Fault::Never { 2 } else { 20 });
    let settings = Settings { supply, entry: EntryProfile::Statement, patience, oversize_bytes: 128 * 1024 };
    conformance::run(&target(&url), &settings).await.unwrap()
}

fn with(report: &Report, verdict: Verdict) -> Vec<&'static str> {
    report.checks.iter().filter(|check| check.verdict == verdict).map(|check| check.id).collect()
}

/// What fails if nothing but this fault is there.
async fn fails(fault: Fault, wanted: &[&str]) -> Option<String> {
    let report = run(fault, made()).await;
    let must = report.checks.iter().any(|check| check.verdict == Verdict::Fail && check.level == Level::Must);
    assert_eq!(report.outcome == Outcome::DoesNotConform, must, "{fault:?}");
    let details: Vec<_> = report.checks.iter().filter(|check| check.verdict == Verdict::Fail).collect();
    (with(&report, Verdict::Fail) != wanted).then(|| format!("{fault:?}, want {wanted:?}: {details:#?}"))
}

#[tokio::test]
async fn our_own_service_conforms_to_every_rule_that_applies() {
    let stage = shared().await;
    let arguments = [
        "conformance",
        "scrapi",
        "--url",
        &stage.url(),
        "--tls-ca",
        &stage.path("tls/ca.pem"),
        "--signing-key",
        &stage.path("issuers/foreign.pem"),
        "--iss",
        &Stage::issuer("foreign"),
        "--aud",
        &stage.origin,
        "--json",
    ];
    let run = tokio::task::spawn_blocking({
        let arguments = arguments.map(str::to_owned);
        move || cli(arguments)
    })
    .await
    .unwrap();
    let report: Value = run.json();
    let of = |verdict: &str| -> Vec<String> {
        let checks = report["checks"].as_array().unwrap().iter();
        let found = checks.filter(|check| check["verdict"] == verdict);
        found.map(|check| format!("{}: {}", check["id"], check["detail"])).collect()
    };
    assert_eq!((of("fail"), of("not-run")), (Vec::new(), Vec::new()));
    assert_eq!(report["outcome"], "conforms");
    assert_eq!(report["spec"], "draft-ietf-scitt-scrapi-11");
    assert!(of("pass").len() >= 45, "{:#?}", of("pass"));
    // What no request can show is neither kept nor inapplicable.
    let unseen = RULES.iter().filter(|rule| rule.unseen.is_some()).count();
    assert_eq!((of("unseen").len(), unseen > 0), (unseen, true));
    let counted = ["passed", "failed", "not_applicable", "not_run", "unseen"]
        .map(|name| report[name].as_u64().unwrap());
    assert_eq!(counted.iter().sum::<u64>(), RULES.len() as u64);
    run.ended(0);
}

#[tokio::test]
async fn a_correct_service_passes_whether_it_answers_at_once_or_later() {
    for fault in [Fault::None, Fault::Later] {
        let report = run(fault, made()).await;
        assert_eq!(
            (with(&report, Verdict::Fail), report.outcome),
            (vec![], Outcome::Conforms),
            "{report:#?}"
        );
        let not_run = with(&report, Verdict::NotRun);
        assert_eq!(not_run, Vec::<&str>::new());
        let passed = with(&report, Verdict::Pass);
        let asynchronous = ["register.accepted.empty", "resolve.running"].map(|id| passed.contains(&id));
        assert_eq!(asynchronous, [fault == Fault::Later; 2]);
    }
}

/// Errors in another form break all of these.
const ERRORS: &[&str] = &[
    "key.unknown",
    "resolve.unknown",
    "errors.content-type",
    "errors.no-content-type",
    "errors.empty",
    "errors.garbage",
    "errors.truncated",
    "errors.trailing",
    "errors.oversize",
    "errors.indefinite",
    "errors.duplicate-label",
    "errors.detached",
    "errors.algorithm",
    "errors.signature",
    "errors.odd-id",
    "errors.unknown-path",
    "errors.method",
    "methods.options",
];

/// Services that are wrong in one point, and the rules of that point.
const WRONG: &[(Fault, &[&str])] = &[
    (Fault::Plain, &["transport.tls"]),
    (Fault::NoKeys, &["keys.set", "receipt.signature"]),
    (Fault::KeysOfOtherType, &["keys.media-type"]),
    (Fault::NoKid, &["keys.kid", "receipt.signature"]),
    (Fault::TwoKeysOfOneKid, &["keys.kid-forms", "keys.thumbprint"]),
    (Fault::LooseKeys, &["keys.deterministic"]),
    (Fault::NamedKey, &["keys.thumbprint"]),
    (Fault::NoCache, &["keys.cache"]),
    (Fault::OtherKey, &["key.base64url"]),
    (Fault::KidWithoutRaw, &["keys.thumbprint", "key.raw"]),
    (Fault::AnyKid, &["key.unknown"]),
    (Fault::Redirects, &["register.status", "errors.unprotected-chain"]),
    (Fault::NoLocation, &["register.location"]),
    (Fault::CreatedOfOtherType, &["register.created.receipt"]),
    (Fault::AcceptedWithBody, &["register.accepted.empty"]),
    (Fault::NewLocations, &["register.same-location"]),
    (Fault::OneLocation, &["register.distinct-location"]),
    (Fault::KeepsUnprotected, &["register.unprotected"]),
    (Fault::WrongLocation, &["resolve.receipt"]),
    (Fault::Never, &["resolve.receipt"]),
    (Fault::ResolvedWithoutLocation, &["resolve.location"]),
    (Fault::Moves, &["resolve.same-place"]),
    (Fault::RunningWithoutTime, &["resolve.running"]),
    (Fault::Untagged, &["receipt.sign1"]),
    (Fault::AttachedRoot, &["receipt.detached", "receipt.signature"]),
    (Fault::NoAlgorithm, &["receipt.alg", "receipt.signature"]),
    (Fault::UnprotectedVds, &["receipt.vds"]),
    (Fault::FlatPath, &["receipt.inclusion", "receipt.signature"]),
    (Fault::NoSubject, &["receipt.claims"]),
    (Fault::NoReceiptKid, &["receipt.kid"]),
    (Fault::ReceiptOfAnother, &["receipt.signature"]),
    (
        Fault::OtherTitles,
        &[
            "key.unknown-title",
            "resolve.unknown-title",
            "errors.malformed-title",
            "errors.detached-title",
            "errors.algorithm-title",
            "errors.signature-title",
        ],
    ),
    (Fault::TakesForgeries, &["errors.signature"]),
    (Fault::NoAllow, &["errors.allow"]),
    (Fault::NoHead, &["methods.head"]),
    (Fault::BusyWithoutTime, &["limits.retry-after"]),
];

#[tokio::test]
async fn errors_that_are_not_concise_problem_details_fail_one_by_one() {
    let report = run(Fault::JsonErrors, made()).await;
    assert_eq!(with(&report, Verdict::Fail), ERRORS);
    // What it does right stays right.
    for id in ["register.status", "receipt.signature", "resolve.receipt", "keys.set"] {
        assert!(with(&report, Verdict::Pass).contains(&id), "{id}");
    }
    assert_eq!(report.outcome, Outcome::DoesNotConform);
}

#[tokio::test]
async fn a_service_that_is_wrong_in_one_point_fails_there_and_nowhere_else() {
    let mut wrong = Vec::new();
    for (fault, wanted) in WRONG {
        wrong.extend(fails(*fault, wanted).await);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A check that cannot fail says nothing. The two tests above show that each of these fails where it should.
#[test]
fn every_rule_that_can_be_seen_is_broken_by_a_service() {
    let broken: BTreeSet<&str> = WRONG.iter().flat_map(|(_, rules)| *rules).chain(ERRORS).copied().collect();
    let seen: BTreeSet<&str> =
        RULES.iter().filter(|rule| rule.unseen.is_none()).map(|rule| rule.id).collect();
    assert_eq!(broken, seen);
}

#[tokio::test]
async fn what_could_not_be_checked_is_not_passed() {
    // Without statements, and with statements that the service does not take.
    let refused = Supply::Made(Maker {
        signer: Box::new(Ed25519Signer::from_seed(&[9; 32]).unwrap()),
        issuer: "https://issuer.example".to_owned(),
        audience: None,
        content_type: "text/plain".to_owned(),
        now: now(),
    });
    for supply in [Supply::Nothing, refused] {
        let report = run(Fault::None, supply).await;
        assert_eq!((with(&report, Verdict::Fail), report.outcome), (vec![], Outcome::CannotEvaluate));
        let not_run = with(&report, Verdict::NotRun);
        for id in ["register.status", "resolve.receipt", "receipt.signature"] {
            assert!(not_run.contains(&id), "{id}");
        }
    }
}

#[tokio::test]
async fn prepared_statements_do_as_well() {
    let statement = |seed: u64| stub::statement(seed);
    let report = run(Fault::None, Supply::Prepared(vec![statement(1), statement(2)])).await;
    assert_eq!((with(&report, Verdict::Fail), report.outcome), (vec![], Outcome::Conforms), "{report:#?}");
    let report = run(Fault::None, Supply::Prepared(vec![statement(3)])).await;
    assert_eq!(with(&report, Verdict::NotRun), ["register.distinct-location"]);
}

#[tokio::test]
async fn a_service_that_does_not_answer_ends_the_run_in_time() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let settings = Settings {
        supply: Supply::Nothing,
        entry: EntryProfile::Statement,
        patience: Duration::from_secs(1),
        oversize_bytes: 1,
    };
    let silent = Target { timeout: Duration::from_secs(1), ..target(&url) };
    let error = conformance::run(&silent, &settings).await.unwrap_err();
    assert!(matches!(error, ConformanceError::Unreachable(_)), "{error}");
    // Plain HTTP only if it is asked for.
    let error = conformance::run(&Target { insecure_http: false, ..target(&url) }, &settings).await;
    assert!(matches!(error, Err(ConformanceError::Setup(_))));
    let arguments = ["conformance", "scrapi", "--url", &url, "--allow-http", "--timeout", "1"];
    let said = cli(arguments).ended(2);
    assert!(said.stderr.contains("does not answer"), "{}", said.stderr);
    assert_eq!(said.stdout, "");
    let told = cli(arguments.into_iter().chain(["--json"])).ended(2).json();
    assert_eq!((&told["outcome"], &told["service"]), (&"cannot-evaluate".into(), &url.into()));
    assert!(told["why"].as_str().unwrap().contains("no answer within 1 s"), "{told}");
}

/// The page of the specifications must not rot: whatever test or file it names is there.
#[test]
fn what_the_conformance_pages_name_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = ["conformance.md", "conformance-c2sp.md", "conformance-tiles.md", "promises.md"];
    let text = pages.map(|page| std::fs::read_to_string(root.join("docs").join(page)).unwrap());
    // The page on C2SP names files as its two crates know them.
    let rooms = ["", "log/tlog/src", "witness/src"];
    let tests = all_tests(root);
    let quoted: Vec<&str> = text.iter().flat_map(|page| page.split('`').skip(1).step_by(2)).collect();
    let is_file =
        |name: &&&str| name.contains('/') && Path::new(name).extension().is_some_and(|kind| kind == "rs");
    let is_test = |name: &&&str| {
        let letters =
            name.bytes().all(|octet| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'_');
        letters && name.matches('_').count() >= 2
    };
    let missing: Vec<_> = quoted
        .iter()
        .filter(|name| {
            (is_file(name) && !rooms.iter().any(|room| root.join(room).join(name).exists()))
                || (is_test(name) && !tests.contains(**name))
        })
        .collect();
    assert!(missing.is_empty(), "{pages:?} name what is not there: {missing:?}");
    assert!(quoted.iter().filter(is_test).count() >= 50 && quoted.iter().filter(is_file).count() >= 5);
    // The search itself: a function that is no test is none.
    assert!(tests.contains("every_error_is_concise_cbor") && !tests.contains("all_tests"));
}

/// The names of all tests of the workspace: functions behind `#[test]` or `#[tokio::test]`, also in `proptest!`.
fn all_tests(root: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut folders: Vec<_> =
        ["src", "tests", "log", "provenance", "witness"].map(|folder| root.join(folder)).into();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                names.extend(tests_of(&std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    names
}

fn tests_of(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut marked = false;
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.trim_start_matches("async ").strip_prefix("fn ").filter(|_| marked) {
            names.extend(name.split(['(', '<']).next().map(str::to_owned));
        }
        marked = line.starts_with("#[test]")
            || line.starts_with("#[tokio::test")
            || (marked && (line.starts_with("#[") || line.starts_with("//")));
    }
    names
}
