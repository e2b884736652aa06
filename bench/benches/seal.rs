//! Sealing: TLS 1.3 records as the relay makes them, and `noise-transport` messages inside them.
//!
//! `cargo bench -p commucat-bench --bench seal`

use std::sync::Arc;

use commucat_bench::secure::{noise_pair, tls_pair};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

fn seal(criterion: &mut Criterion) {
    let mut tls = criterion.benchmark_group("seal/tls");
    for size in [64, 1_024, 16_384] {
        let (mut server, _client) = tls_pair();
        let plain = vec![0x5a; size];
        let mut out = Vec::with_capacity(2 * size);
        tls.throughput(Throughput::Bytes(size as u64));
        tls.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            bencher.iter(|| {
                out.clear();
                server.seal(&plain, &mut out).expect("an open connection");
            });
        });
    }
    tls.finish();
    let mut noise = criterion.benchmark_group("seal/noise-transport");
    for size in [64, 1_024, 16_384] {
        let (_client, mut server) = noise_pair();
        let plain = Arc::new(vec![0x5a; size]);
        let mut out = Vec::with_capacity(2 * size);
        noise.throughput(Throughput::Bytes(size as u64));
        noise.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            bencher.iter(|| {
                out.clear();
                server.transport.seal(&plain, &mut out).expect("a fresh key");
            });
        });
    }
    noise.finish();
}

criterion_group!(benches, seal);
criterion_main!(benches);
