//! A 64-byte MSG and its ACK through the pure shard: parsed, routed, queued, numbered, sent and forgotten. The two clients are in
//! the time as well; `--bench instructions` counts the relay alone.
//!
//! `cargo bench -p commucat-bench --bench route`

use commucat_bench::pair::{Measured, Pair};
use commucat_client::HttpVersion;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// Turns before anything is timed: queues and buffers have their size by then.
const WARM_UP: usize = 200;

fn route(criterion: &mut Criterion) {
    for (name, http) in [
        ("h1", HttpVersion::Http1),
        ("h2", HttpVersion::Http2),
        ("ws", HttpVersion::WebSocket1),
    ] {
        let mut group = criterion.benchmark_group(format!("route/{name}"));
        for batch in [1, 8, 32] {
            let mut pair = Pair::new(http, 64);
            for _ in 0..WARM_UP {
                pair.turn(batch, Measured::No);
            }
            group.throughput(Throughput::Elements(batch as u64));
            group.bench_function(BenchmarkId::from_parameter(batch), |bencher| {
                bencher.iter(|| pair.turn(batch, Measured::No));
            });
            pair.check();
        }
        group.finish();
    }
}

criterion_group!(benches, route);
criterion_main!(benches);
