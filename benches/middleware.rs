//! What the middleware adds to a request: the same router without it, and with it where the
//! handler ignores the session, reads it, and changes it.

use cloakroom_benches::requests::Use;
use criterion::{BenchmarkId, Criterion};
use tokio::runtime::Builder;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let mut group = criterion.benchmark_group("middleware");
    for case in Use::ALL {
        let mut visitor = runtime.block_on(case.visitor());
        group.bench_function(BenchmarkId::from_parameter(case.name()), |bencher| {
            bencher.iter(|| runtime.block_on(visitor.visit()));
        });
    }
    group.finish();
    criterion.final_summary();
}
