//! The lanes between shards: what handing a batch over costs within one thread, and there and back between two.
//!
//! `cargo bench -p commucat-bench --bench mesh`

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use commucat_shard::mesh::lanes::{Endpoint, lanes};
use commucat_shard::mesh::message::{Batch, ShardId};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// Batches that a lane holds.
const LANE: usize = 1_024;

fn two() -> (Endpoint, Endpoint) {
    let mut ends = lanes(2, LANE).into_iter();
    match (ends.next(), ends.next()) {
        (Some(here), Some(there)) => (here, there),
        _ => unreachable!("two shards have two endpoints"),
    }
}

/// A batch with this many bytes of small payloads.
fn batch(bytes: usize) -> Batch {
    Batch {
        messages: Vec::new(),
        arena: vec![0x5a; bytes],
    }
}

fn handed_over(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mesh/handed over");
    for count in [1, 32] {
        let (mut here, mut there) = two();
        group.throughput(Throughput::Elements(count));
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            let mut spare: Vec<Batch> = (0..count).map(|_| batch(256)).collect();
            bencher.iter(|| {
                for batch in spare.drain(..) {
                    here.send(ShardId(1), batch);
                }
                here.ring(|_| {});
                there.receive(|_, batch| spare.push(batch));
                there.ring(|_| {});
                assert_eq!(spare.len() as u64, count, "all of them arrive");
            });
        });
    }
    group.finish();
}

fn there_and_back(criterion: &mut Criterion) {
    let (mut here, mut there) = two();
    let over = Arc::new(AtomicBool::new(false));
    let echo = {
        let over = Arc::clone(&over);
        thread::spawn(move || {
            let mut back = Vec::new();
            while !over.load(Ordering::Relaxed) {
                there.receive(|_, batch| back.push(batch));
                for batch in back.drain(..) {
                    there.send(ShardId(0), batch);
                }
                there.ring(|_| {});
                std::hint::spin_loop();
            }
        })
    };
    criterion.bench_function("mesh/there and back, both awake", |bencher| {
        let mut held = Some(batch(256));
        bencher.iter(|| {
            if let Some(batch) = held.take() {
                here.send(ShardId(1), batch);
            }
            here.ring(|_| {});
            while held.is_none() {
                here.receive(|_, batch| held = Some(batch));
                std::hint::spin_loop();
            }
        });
    });
    over.store(true, Ordering::Relaxed);
    echo.join().expect("the echo ends");
}

criterion_group!(benches, handed_over, there_and_back);
criterion_main!(benches);
