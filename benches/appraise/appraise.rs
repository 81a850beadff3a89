//! What an appraisal costs, cold and warm, beside what it rests on called bare: one P-384 verification by aws-lc, and
//! the crates `sev` and `dcap-qvl`: `cargo bench --manifest-path benches/appraise/Cargo.toml`.
//!
//! Whole loads, and one line for scripts: `treering bench appraise`.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED, ParsedPublicKey};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use data_encoding::HEXLOWER;
use dcap_qvl::QuoteCollateralV3;
use dcap_qvl::configs::RingConfig;
use dcap_qvl::verify::QuoteVerifier;
use sev::certs::snp::{Certificate, Chain, Verifiable, builtin::milan, ca};
use sev::firmware::guest::AttestationReport;
use sev::parser::ByteParser;
use treering::attester::simulated::intel::{IntelModel, IntelPlatform, Td as SimulatedTd, measure};
use treering::attester::simulated::nitro::{EnclaveImage, NitroPlatform};
use treering::attester::simulated::nvidia::{Device, Model};
use treering::attester::simulated::tpm::Tpm;
use treering::attester::{Attester, CRL_TYPE, recorded};
use treering::verifier::{
    AppraisalPolicy, Collateral, Document, Evidence, HardwareRoots, MAX_REFERENCE_VALUES, MEASUREMENT,
    ReferenceValue, ReferenceValues, Registers, SIGNED_BYTES, SUBMOD_SNP, TDX_QUOTE, Verifier,
    fingerprint, intel_quote_length, kind_of,
};
use x509_cert::der::Decode;

/// Threads of the measurement of throughput.
const THREADS: u64 = 2;
/// A real quote and its collateral, and an instant at which that was current: 2025-06-25T00:00:00Z.
const VECTORS: &str = "../../../shared/vectors/evidence/tdx/dcap-qvl";
const MID_2025: u64 = 1_750_809_600;

/// Everything that one appraisal takes.
struct Case {
    evidence: Evidence,
    collateral: Collateral,
    policy: AppraisalPolicy,
    references: ReferenceValues,
    roots: HardwareRoots,
    now: u64,
}

impl Case {
    fn appraise(&self, verifier: &Verifier) -> bool {
        let appraisal =
            verifier.appraise(&self.evidence, &self.collateral, &self.policy, &self.references, self.now);
        assert!(appraisal.refusal().is_none(), "{:?}", appraisal.refusal());
        !black_box(appraisal).ear().is_empty()
    }

    fn cold(&self) -> bool {
        self.appraise(&Verifier::with_capacity(self.roots.clone(), 1))
    }

    /// As a request brings it: octets, of which evidence and collateral are still to be made.
    fn anew(&self, verifier: &Verifier) -> bool {
        let items = self.evidence.items().iter();
        let items = items.map(|item| (item.media_type().to_owned(), item.bytes().to_vec()));
        let evidence = Evidence::new(items).unwrap();
        let given = Collateral::new(self.collateral.certificates().to_vec(), self.collateral.crls().to_vec());
        let collateral = given.unwrap().with_documents(self.collateral.documents().to_vec()).unwrap();
        let appraisal =
            verifier.appraise(&evidence, &collateral, &self.policy, &self.references, self.now);
        !black_box(appraisal).ear().is_empty()
    }

    fn warm(&self) -> Verifier {
        let verifier = Verifier::new(self.roots.clone());
        self.appraise(&verifier);
        verifier
    }
}

/// The report that an EPYC "Milan" made, and its VCEK.
fn milan_case() -> Case {
    let milan = recorded::milan().unwrap();
    Case {
        evidence: Evidence::new(milan.items()).unwrap(),
        collateral: Collateral::from_der(milan.endorsements).unwrap(),
        policy: AppraisalPolicy::baseline(),
        references: ReferenceValues::none(),
        roots: HardwareRoots::vendors(),
        now: recorded::INSTANT,
    }
}

/// So many reference values; the last is the report's own.
fn references(report: &[u8], count: usize) -> ReferenceValues {
    let own = AttestationReport::from_bytes(report).unwrap().measurement;
    let value = |n: usize| {
        let mut measurement = own.to_vec();
        measurement[..8].copy_from_slice(&(n as u64).to_be_bytes());
        let measurement = if n + 1 == count { own.to_vec() } else { measurement };
        ReferenceValue {
            name: format!("image {n}"),
            tee: SUBMOD_SNP.to_owned(),
            registers: Registers::from([(MEASUREMENT.to_owned(), measurement)]),
            source: [7; 32],
        }
    };
    ReferenceValues::new((0..count).map(value).collect()).unwrap()
}

fn bare(c: &mut Criterion) {
    let milan = recorded::milan().unwrap();
    let (report, vcek) = (&milan.evidence[0].bytes, &milan.endorsements[0]);
    let certificate = x509_cert::Certificate::from_der(vcek).unwrap();
    let point = certificate.tbs_certificate().subject_public_key_info().subject_public_key.raw_bytes();
    let key = ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point).unwrap();
    let fields = AttestationReport::from_bytes(report).unwrap();
    let scalars = [fields.signature.r(), fields.signature.s()];
    let signature: Vec<u8> = scalars.iter().flat_map(|field| field[..48].iter().rev().copied()).collect();
    let signed = &report[..SIGNED_BYTES];

    let mut group = c.benchmark_group("bare");
    group.bench_function("P-384 verification over 0x2a0 octets, aws-lc", |b| {
        b.iter(|| key.verify_sig(black_box(signed), black_box(&signature)).unwrap());
    });
    let chain = || Chain {
        ca: ca::Chain { ark: milan::ark().unwrap(), ask: milan::ask().unwrap() },
        vek: Certificate::from_der(vcek).unwrap(),
    };
    group.bench_function("sev, certificates and report read and verified", |b| {
        b.iter(|| (&chain(), &AttestationReport::from_bytes(black_box(report)).unwrap()).verify().unwrap());
    });
    let vek = chain().vek;
    group.bench_function("sev, report read and verified under a certificate read", |b| {
        b.iter(|| (&vek, &AttestationReport::from_bytes(black_box(report)).unwrap()).verify().unwrap());
    });
    group.finish();
}

fn snp(c: &mut Criterion) {
    let case = milan_case();
    let verifier = case.warm();
    let mut group = c.benchmark_group("sev-snp");
    group.bench_function("cold", |b| b.iter(|| black_box(&case).cold()));
    group.bench_function("warm", |b| b.iter(|| black_box(&case).appraise(&verifier)));
    group.bench_function("warm, evidence and collateral from octets", |b| {
        b.iter(|| black_box(&case).anew(&verifier));
    });
    for count in [10, MAX_REFERENCE_VALUES] {
        let references = references(case.evidence.items()[0].bytes(), count);
        let case = Case { references, ..milan_case() };
        group.bench_function(format!("warm, {count} reference values"), |b| {
            b.iter(|| black_box(&case).appraise(&verifier));
        });
    }
    group.throughput(Throughput::Elements(THREADS));
    group.bench_function(format!("warm, {THREADS} threads"), |b| {
        b.iter_custom(|each| on_threads(|| { case.anew(&verifier); }, each));
    });
    group.finish();
}

/// How long it takes `THREADS` threads to do the work `each` times each.
fn on_threads(work: impl Fn() + Sync, each: u64) -> Duration {
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| (0..each).for_each(|_| work()));
        }
    });
    begin.elapsed()
}

/// A quote, and its collateral in our form and in that of `dcap-qvl`.
struct Td {
    name: &'static str,
    case: Case,
    root: Vec<u8>,
    v3: QuoteCollateralV3,
}

/// Of a simulated platform.
fn simulated_td() -> Td {
    let now = recorded::INSTANT;
    let platform = IntelPlatform::generate(IntelModel::default(), now).unwrap();
    let td = SimulatedTd::of(measure(b"firmware"));
    let quote = platform.quote_td(&td, &[0x5a; 64]).unwrap();
    let items = platform.publish(&platform.collateral()).unwrap();
    // The CRLs of root and issuer, then TCB information and the identity of the quoting enclave; those of SGX follow.
    let [root_crl, pck_crl, tcb_info, identity] = &items[..4] else { panic!("four items") };
    let signer = Collateral::from_der([platform.signer().to_vec()]).unwrap();
    let part = |key: &str, bytes: &[u8]| {
        let text = std::str::from_utf8(bytes).unwrap();
        let (body, signature) = text.rsplit_once(r#","signature":""#).unwrap();
        let body = body.strip_prefix(&format!(r#"{{"{key}":"#)).unwrap().to_owned();
        let signature = signature.strip_suffix(r#""}"#).unwrap();
        (body, HEXLOWER.decode(signature.as_bytes()).unwrap())
    };
    let (tcb_info_body, tcb_info_signature) = part("tcbInfo", &tcb_info.bytes);
    let (qe_identity, qe_identity_signature) = part("enclaveIdentity", &identity.bytes);
    let v3 = QuoteCollateralV3 {
        pck_crl_issuer_chain: String::new(),
        root_ca_crl: root_crl.bytes.clone(),
        pck_crl: pck_crl.bytes.clone(),
        tcb_info_issuer_chain: signer.to_pem(),
        tcb_info: tcb_info_body,
        tcb_info_signature,
        qe_identity_issuer_chain: signer.to_pem(),
        qe_identity,
        qe_identity_signature,
        pck_certificate_chain: None,
    };
    let documents = items[2..].iter().map(|item| Document {
        media_type: item.media_type.to_owned(),
        bytes: item.bytes.clone(),
    });
    let crls = vec![root_crl.bytes.clone(), pck_crl.bytes.clone()];
    let collateral = Collateral::new(signer.certificates().to_vec(), crls).unwrap();
    let case = Case {
        evidence: Evidence::new([(TDX_QUOTE, quote)]).unwrap(),
        roots: HardwareRoots::with_simulated([platform.root_fingerprint()]),
        collateral: collateral.with_documents(documents.collect()).unwrap(),
        now,
        ..milan_case()
    };
    Td { name: "simulated", case, root: platform.chain()[2].to_vec(), v3 }
}

/// From hardware, where the folder of foreign vectors lies beside this repository.
fn recorded_td() -> Option<Td> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(VECTORS);
    let quote = std::fs::read(folder.join("tdx_quote")).ok()?;
    let quote = quote[..intel_quote_length(&quote).unwrap()].to_vec();
    let collateral = std::fs::read(folder.join("tdx_quote_collateral.json")).ok()?;
    let root = std::fs::read(folder.join("TrustedRootCA.der")).ok()?;
    let case = Case {
        evidence: Evidence::new([(TDX_QUOTE, quote)]).unwrap(),
        collateral: Collateral::read(&collateral).unwrap(),
        now: MID_2025,
        ..milan_case()
    };
    Some(Td { name: "from hardware", case, root, v3: serde_json::from_slice(&collateral).unwrap() })
}

fn tdx(c: &mut Criterion) {
    let mut group = c.benchmark_group("tdx");
    for Td { name, case, root, v3 } in [Some(simulated_td()), recorded_td()].into_iter().flatten() {
        let qvl = QuoteVerifier::<RingConfig>::new_with_config(root);
        let quote = case.evidence.items()[0].bytes();
        group.bench_function(format!("{name}: dcap-qvl, bare (ring)"), |b| {
            b.iter(|| qvl.verify(black_box(quote), &v3, case.now).unwrap());
        });
        let verifier = case.warm();
        group.bench_function(format!("{name}: cold"), |b| b.iter(|| black_box(&case).cold()));
        group.bench_function(format!("{name}: warm"), |b| b.iter(|| black_box(&case).appraise(&verifier)));
        group.bench_function(format!("{name}: warm, evidence and collateral from octets"), |b| {
            b.iter(|| black_box(&case).anew(&verifier));
        });
    }
    group.finish();
}

/// The kinds whose certificates come with the evidence or with the collateral, and are kept: of simulated platforms, whose
/// chains are as long as the vendors' and of keys of the same kind (of TPMs, whose makers differ, P-256).
fn kept(c: &mut Criterion) {
    let now = recorded::INSTANT;
    let nitro = Arc::new(NitroPlatform::generate(now).unwrap());
    let enclave = nitro.enclave(EnclaveImage::of(b"image"), now).report(&[0x5a; 64]).unwrap();
    let gpu = Device::generate(Model::Gh100, now).unwrap();
    let lists = (1..4).map(|position| gpu.crl(position, false, now - 60, now + 60).unwrap()).collect();
    let tpm = Tpm::generate(now).unwrap();
    let cases = [
        (fingerprint(nitro.root_certificate()), enclave, Vec::new()),
        (gpu.root_fingerprint(), Attester::report(&gpu, &[0x5a; 64]).unwrap(), lists),
        (tpm.root_fingerprint(), tpm.report(&[0x5a; 64]).unwrap(), Vec::new()),
    ];
    for (root, attestation, lists) in cases {
        let brought = attestation.documents.iter().filter(|one| one.media_type == CRL_TYPE);
        let lists = brought.map(|one| one.bytes.clone()).chain(lists).collect();
        let case = Case {
            evidence: Evidence::new(attestation.items()).unwrap(),
            collateral: Collateral::new(attestation.endorsements.clone(), lists).unwrap(),
            roots: HardwareRoots::with_simulated([root]),
            now,
            ..milan_case()
        };
        let verifier = case.warm();
        let mut group = c.benchmark_group(kind_of(case.evidence.items()[0].media_type()).unwrap());
        group.bench_function("cold", |b| b.iter(|| black_box(&case).cold()));
        group.bench_function("warm", |b| b.iter(|| black_box(&case).appraise(&verifier)));
        group.finish();
    }
}

criterion_group!(benches, bare, snp, tdx, kept);
criterion_main!(benches);
