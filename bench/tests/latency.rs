//! The way of `relay_latency` through the real relay and the real load generator, for a fraction of a second: that it finds its
//! figures, not how large they are. Both programs have to be built (`cargo build --bins`).

use commucat_bench::latency::{Crowd, Pace, pairs};
use commucat_bench::relay::{Relay, Start};
use rustix::thread::{CpuSet, sched_getaffinity};

const RATE: f64 = 200.0;

#[test]
fn a_closed_loop_and_an_open_one_give_their_rates_and_percentiles() {
    let allowed = sched_getaffinity(None).expect("this thread may run somewhere");
    let core = (0..CpuSet::MAX_CPU)
        .find(|core| allowed.is_set(*core))
        .expect("on some core");
    let relay = Relay::start(&Start {
        shards: 1,
        log_filter: Some("warn"),
        ..Start::default()
    })
    .expect("a relay");
    let crowd = Crowd {
        pairs: 3,
        payload: 64,
        seconds: 0.5,
        warm_up: 0.1,
        core,
    };
    let closed = pairs(&relay, &crowd, Pace::Window(2)).expect("a run");
    let open = pairs(&relay, &crowd, Pace::Rate(RATE)).expect("a run");
    relay.stop().expect("an orderly end");
    for run in [closed, open] {
        let rising = [run.p50_us, run.p90_us, run.p99_us, run.p999_us, run.max_us];
        assert!(run.p50_us > 0.0 && rising.is_sorted(), "{run:?}");
    }
    assert!(closed.own_p99_us.is_none() && open.own_p99_us.is_some(), "{open:?}");
    assert!(
        open.rate > RATE / 2.0 && open.rate < RATE * 1.5,
        "the clock sets the pace: {open:?}"
    );
}
