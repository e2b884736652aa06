//! The codec alone: `cargo bench -p commucat-bench --bench codec`.

use std::hint::black_box;

use commucat_proto::{ChannelId, Frame, FrameLimits, FrameType, Parsed, Sequence, frame};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// Frames in the buffer that is parsed.
const FRAMES: usize = 32;

fn stream(payload: usize) -> Vec<u8> {
    let bytes = vec![0x5a; payload];
    let mut out = Vec::new();
    for number in 0..FRAMES {
        let frame = Frame {
            kind: FrameType::Msg,
            channel: ChannelId::new(7),
            // Two bytes of varint, as most of a session's numbers have.
            sequence: Sequence::new(1_000 + number as u32),
            payload: &bytes,
        };
        frame::encode(&frame, &mut out);
    }
    out
}

fn parse_all(mut bytes: &[u8], limits: &FrameLimits) -> usize {
    let mut sum = 0;
    while let Ok(Parsed::Frame { frame, consumed }) = frame::parse(bytes, limits) {
        sum += frame.payload.len();
        bytes = &bytes[consumed..];
    }
    sum
}

fn codec(criterion: &mut Criterion) {
    let limits = FrameLimits::default();
    let mut parse = criterion.benchmark_group("codec/parse");
    parse.throughput(Throughput::Elements(FRAMES as u64));
    for payload in [64, 1_024, 16_384] {
        let bytes = stream(payload);
        assert_eq!(parse_all(&bytes, &limits), FRAMES * payload, "every frame is found");
        parse.bench_with_input(BenchmarkId::from_parameter(payload), &bytes, |bencher, bytes| {
            bencher.iter(|| parse_all(black_box(bytes), &limits));
        });
    }
    parse.finish();
    let mut encode = criterion.benchmark_group("codec/write_header");
    encode.throughput(Throughput::Elements(1));
    encode.bench_function("msg", |bencher| {
        let mut out = [0; frame::MAX_HEADER];
        bencher.iter(|| {
            frame::write_header(
                FrameType::Msg,
                black_box(ChannelId::new(7)),
                black_box(Sequence::new(1_000)),
                black_box(64),
                &mut out,
            );
        });
    });
}

criterion_group!(benches, codec);
criterion_main!(benches);
