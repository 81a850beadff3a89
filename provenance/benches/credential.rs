//! What a credential costs, step by step: what its authority binds it with, and the whole check of a relying party:
//! `cargo bench -p treering-provenance --bench credential`. Whole loads: `treering bench issue` and `verify`.
#![expect(clippy::unwrap_used, reason = "a bench")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use treering_provenance::{
    proof::CredentialProof,
    statement::Kind,
    trust::Trust,
    verify::{Outcome, VerifyOptions, verify_x509},
    x509,
};

#[expect(
    dead_code,
    clippy::indexing_slicing,
    reason = "the world of the tests, of which a bench needs a part"
)]
#[path = "../tests/it/fixture.rs"]
mod fixture;

use fixture::{AUTHORITY, NOW, World, confidential};

fn credential(c: &mut Criterion) {
    let mut world = World::new();
    let issued = world.issue();
    let (trust_file, trust) = (world.trust_file().to_json().unwrap(), world.trust());
    let spki = world.ca.spki();
    let proof = issued.proof.to_bytes().unwrap();
    let cred = x509::cred(&spki, &x509::strip(&issued.tbs).unwrap());

    c.bench_function("issue: what a credential is bound by", |b| {
        b.iter(|| x509::cred(black_box(&spki), &x509::strip(black_box(&issued.tbs)).unwrap()));
    });
    c.bench_function("issue: sign its statement", |b| {
        b.iter(|| {
            confidential(Kind::Issuance, AUTHORITY, Vec::new(), Some(black_box(cred)))
                .sign(&world.authority)
                .unwrap()
        });
    });
    c.bench_function("issue: put its proof in", |b| {
        b.iter(|| {
            let proof = black_box(&issued.proof).to_bytes().unwrap();
            x509::insert_proof(&issued.tbs, &proof).unwrap()
        });
    });
    c.bench_function("verify: read a trust file", |b| {
        b.iter(|| Trust::parse(black_box(trust_file.as_bytes())).unwrap());
    });
    c.bench_function("verify: read its proof", |b| {
        b.iter(|| CredentialProof::parse(black_box(&proof)).unwrap());
    });
    let options = VerifyOptions { now: NOW, identifier: None, possession: None };
    c.bench_function("verify: all of it, offline", |b| {
        b.iter(|| {
            let verdict = verify_x509(&[black_box(&issued.certificate)], &trust, &options);
            assert_eq!(verdict.outcome(), Outcome::Trustworthy);
            verdict
        });
    });
}

criterion_group!(benches, credential);
criterion_main!(benches);
