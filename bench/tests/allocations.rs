//! An opaque frame costs no allocation between two sockets, once queues and buffers have their size.
//!
//! One test, since the allocator counts for the whole process.

use std::alloc::System;

use commucat_bench::pair::{Acks, Measured, Pair};
use commucat_client::HttpVersion;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const WARM_UP_TURNS: usize = 300;
const TURNS: usize = 300;
const BURSTS: usize = 8;
const BURST_MICROS: u64 = 450_000;
const PAYLOADS: [usize; 2] = [64, 1024];
const BATCHES: [usize; 4] = [1, 8, 32, 128];

/// How often the shard asked the allocator, growing included, by what it was doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Asked {
    receive: usize,
    flush: usize,
    sent: usize,
    credit: usize,
}

fn count(work: impl FnOnce()) -> usize {
    let region = Region::new(ALLOCATOR);
    work();
    let change = region.change();
    change.allocations + change.reallocations
}

/// One turn: the clients' own work goes uncounted.
fn turn(pair: &mut Pair, batch: usize) -> Asked {
    pair.write(batch);
    let receive = count(|| pair.receive(Measured::Yes));
    let flush = count(|| pair.flush(Measured::Yes));
    pair.read();
    let sent = count(|| pair.sent(Measured::Yes));
    let credit = count(|| pair.credit(Measured::Yes));
    pair.pass();
    Asked {
        receive,
        flush,
        sent,
        credit,
    }
}

fn examine(http: HttpVersion, payload: usize, batch: usize) {
    let mut pair = Pair::new(http, Acks::Each, payload);
    for _ in 0..WARM_UP_TURNS {
        turn(&mut pair, batch);
    }
    for number in 0..TURNS {
        assert_eq!(
            turn(&mut pair, batch),
            Asked::default(),
            "in turn {number} of {batch} frames of {payload} bytes over {http:?}"
        );
    }
    // Whoever speaks twice a second is not idle: it keeps its queues.
    for number in 0..BURSTS {
        pair.rest(BURST_MICROS);
        assert_eq!(
            turn(&mut pair, batch),
            Asked::default(),
            "in burst {number} of {batch} frames of {payload} bytes over {http:?}"
        );
    }
    pair.check();
}

#[test]
fn an_opaque_frame_costs_no_allocation_from_received_to_sent() {
    let seen = count(|| drop(std::hint::black_box(vec![0_u8; 100])));
    assert_eq!(seen, 1, "the allocator counts");
    for http in [
        HttpVersion::Http1,
        HttpVersion::Http2,
        HttpVersion::WebSocket1,
        HttpVersion::WebSocket2,
    ] {
        for payload in PAYLOADS {
            for batch in BATCHES {
                examine(http, payload, batch);
            }
        }
    }
}
