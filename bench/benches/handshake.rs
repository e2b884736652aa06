//! What a new connection costs, both ends together: TLS 1.3, Noise XK, and a whole session in the pure shard.
//!
//! `cargo bench -p commucat-bench --bench handshake`

use commucat_bench::pair::Pair;
use commucat_bench::secure::{TlsEnds, noise_pair};
use commucat_client::HttpVersion;
use criterion::{Criterion, criterion_group, criterion_main};

fn handshake(criterion: &mut Criterion) {
    let ends = TlsEnds::new();
    criterion.bench_function("handshake/TLS 1.3", |bencher| bencher.iter(|| ends.handshake()));
    criterion.bench_function("handshake/Noise XK", |bencher| bencher.iter(noise_pair));
    criterion.bench_function("handshake/two sessions and a JOIN", |bencher| {
        bencher.iter(|| Pair::new(HttpVersion::Http1, 64));
    });
}

criterion_group!(benches, handshake);
criterion_main!(benches);
