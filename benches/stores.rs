//! Every operation of every store, at 1, 16 and 64 callers, with small and large sessions.

use std::time::Duration;

use cloakroom_benches::{
    backends::{self, Backend},
    load::Operation,
    sample::Size,
};
use criterion::{BenchmarkId, Criterion, Throughput};
use tokio::runtime::Runtime;

fn main() {
    let runtime = Runtime::new().expect("a runtime");
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    for backend in runtime.block_on(backends::all()) {
        for operation in Operation::ALL {
            for size in [Size::Small, Size::Large] {
                measure(&mut criterion, &runtime, &backend, operation, size);
            }
        }
        runtime.block_on(backend.remove());
    }
    criterion.final_summary();
}

fn measure(
    criterion: &mut Criterion,
    runtime: &Runtime,
    backend: &Backend,
    operation: Operation,
    size: Size,
) {
    let name = format!("{}/{}/{}", backend.name, operation.name(), size.name());
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(1));
    for callers in [1, 16, 64] {
        group.bench_function(BenchmarkId::new("callers", callers), |bencher| {
            bencher.iter_custom(|times| {
                runtime.block_on(operation.run(&backend.store, size, callers, times))
            });
        });
    }
    group.finish();
}
