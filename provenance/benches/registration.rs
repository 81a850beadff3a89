//! What one registration costs, step by step: `cargo bench -p treering-provenance`.
#![expect(clippy::unwrap_used, reason = "a bench")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use treering_provenance::{
    cose::{Ed25519Signer, Signer},
    receipt::{self, Inclusion, Seal, TreeHead},
    statement::{Draft, Kind, Payload, Statement},
};
use treering_tlog::{
    hash::{Hash, leaf_hash},
    inclusion,
};

const ORIGIN: &str = "log.bench.example/treering";
const SIZE: u64 = 1 << 20;

fn statement(signer: &dyn Signer) -> Statement {
    let draft = Draft {
        kind: Kind::WorkloadProvenance,
        issuer: "spiffe://bench.example/issuers/ci",
        subject: "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        audience: ORIGIN,
        issued_at: 1_772_323_200,
        parents: Vec::new(),
        cred: None,
        payload: Payload::Public { content_type: "application/octet-stream".into(), bytes: vec![0x5a; 100] },
    };
    draft.sign(signer).unwrap()
}

fn registration(c: &mut Criterion) {
    let signer = Ed25519Signer::from_seed(&[7; 32]).unwrap();
    let statement = statement(&signer);
    let entry = statement.entry().to_vec();
    let path = vec![Hash::from_bytes([9; 32]); inclusion::path_len(12_345, SIZE).unwrap()];
    let leaf = statement.leaf();
    let root = inclusion::root_from_path(&leaf, 12_345, SIZE, &path).unwrap();
    let head = TreeHead { origin: ORIGIN, size: SIZE, root };
    let sealed =
        receipt::seal(&signer, "spiffe://bench.example/treering/receipt", &head, 1_772_323_200).unwrap();
    let seal = Seal::parse(&sealed).unwrap();
    let place = [Inclusion { size: SIZE, index: 12_345, path }];

    c.bench_function("parse a submission", |b| {
        b.iter(|| Statement::parse_submission(black_box(&entry)).unwrap());
    });
    c.bench_function("check its signature", |b| {
        b.iter(|| black_box(&statement).check_signature(signer.key()).unwrap());
    });
    c.bench_function("leaf hash", |b| b.iter(|| leaf_hash(black_box(&entry))));
    c.bench_function("seal a head (once a batch)", |b| {
        b.iter(|| {
            receipt::seal(&signer, "spiffe://bench.example/treering/receipt", black_box(&head), 1).unwrap()
        });
    });
    c.bench_function("read a seal (once a batch)", |b| b.iter(|| Seal::parse(black_box(&sealed)).unwrap()));
    c.bench_function("write a receipt", |b| b.iter(|| seal.inclusion(black_box(&place)).unwrap()));
}

criterion_group!(benches, registration);
criterion_main!(benches);
