//! The engine's own steps: `cargo bench -p treering-log`. Whole loads are measured by `treering bench`.
#![expect(clippy::unwrap_used, reason = "a bench")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use treering_log::{Append, Log, NewEntry};

#[expect(clippy::indexing_slicing, reason = "what the tests share")]
#[path = "../tests/it/support.rs"]
mod support;

use support::{TestSealer, config};

const ENTRIES: u64 = 100_000;

fn entry(n: u64) -> NewEntry {
    let mut bytes = n.to_be_bytes().to_vec();
    bytes.resize(400, 0x5a);
    NewEntry::plain(bytes)
}

fn engine(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(config(dir.path()), TestSealer::new(7)).unwrap();
    runtime.block_on(async {
        for from in (0..ENTRIES).step_by(250) {
            log.append(Append::of((from..from + 250).map(entry).collect())).await.unwrap();
        }
    });
    let mut next = ENTRIES;
    c.bench_function("append one, durable", |b| {
        b.iter(|| {
            next += 1;
            runtime.block_on(log.append(Append::of(vec![entry(next)]))).unwrap()
        });
    });
    let (size, mut index) = (log.size(), 0);
    c.bench_function("prove inclusion", |b| {
        b.iter(|| {
            index = (index + 7919) % size;
            log.inclusion(black_box(index), size).unwrap()
        });
    });
    c.bench_function("prove consistency", |b| {
        b.iter(|| {
            index = 1 + (index + 7919) % (size - 1);
            log.consistency(black_box(index), size).unwrap()
        });
    });
    c.bench_function("read an entry", |b| {
        b.iter(|| {
            index = (index + 7919) % size;
            log.entry(black_box(index)).unwrap()
        });
    });
}

criterion_group!(benches, engine);
criterion_main!(benches);
