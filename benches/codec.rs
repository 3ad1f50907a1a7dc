//! Encoding a session for a store, and reading it again.

use std::hint::black_box;

use cloakroom::store::Record;
use cloakroom_benches::{load, sample::Size};
use criterion::{Criterion, Throughput};
use tokio::runtime::Runtime;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for size in [Size::Small, Size::Large] {
        let record = stored(size);
        let bytes = record.encode().expect("it is small");
        let stamp = record.stamp.expect("it is stored");
        let mut group = criterion.benchmark_group(format!("codec/{}", size.name()));
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function("encode", |bencher| {
            bencher.iter(|| black_box(&record).encode());
        });
        group.bench_function("decode", |bencher| {
            bencher.iter(|| Record::decode(record.id, record.revision, stamp, black_box(&*bytes)));
        });
        group.finish();
    }
    criterion.final_summary();
}

fn stored(size: Size) -> Record {
    let runtime = Runtime::new().expect("a runtime");
    let store = std::sync::Arc::new(cloakroom::MemoryStore::new());
    let records = runtime.block_on(load::stored(&(store as _), size.records(1)));
    records.into_iter().next().expect("one was stored")
}
