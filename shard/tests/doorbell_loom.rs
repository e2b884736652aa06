//! The sleep and wake race, under every interleaving and every reordering that the memory model allows.
//!
//! The doorbell's own source is compiled here over loom's atomics. The queue is a relaxed counter, weaker than any real
//! queue: what makes the protocol sound must be the doorbell's fences alone. A lost wake-up shows as a deadlock, which
//! loom reports.

mod atomics {
    pub(crate) use loom::sync::atomic::{AtomicBool, Ordering, fence};
}

#[path = "../src/mesh/doorbell.rs"]
#[expect(unreachable_pub, reason = "public in the library this file belongs to")]
mod doorbell;

use atomics::Ordering;
use doorbell::Doorbell;
use loom::sync::atomic::AtomicUsize;
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

struct Shard {
    bell: Doorbell,
    queued: AtomicUsize,
    /// Whether a completion stands on the shard's ring: kept until it is waited for.
    ring: Mutex<bool>,
    rung: Condvar,
    rings: AtomicUsize,
}

impl Shard {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            bell: Doorbell::default(),
            queued: AtomicUsize::new(0),
            ring: Mutex::new(false),
            rung: Condvar::new(),
            rings: AtomicUsize::new(0),
        })
    }

    fn push(&self) {
        self.queued.fetch_add(1, Ordering::Relaxed);
        if self.bell.must_ring() {
            self.rings.fetch_add(1, Ordering::Relaxed);
            *self.ring.lock().unwrap() = true;
            self.rung.notify_one();
        }
    }

    fn wait(&self) {
        let mut ring = self.ring.lock().unwrap();
        while !std::mem::take(&mut *ring) {
            ring = self.rung.wait(ring).unwrap();
        }
    }

    /// Turns until `expected` pushes were seen; returns how often it slept.
    fn turn_until(&self, expected: usize) -> usize {
        let mut slept = 0;
        loop {
            self.bell.announce();
            if self.queued.load(Ordering::Relaxed) >= expected {
                self.bell.awake();
                return slept;
            }
            self.wait();
            self.bell.awake();
            slept += 1;
        }
    }
}

#[test]
fn a_push_is_seen_or_rung_for() {
    loom::model(|| {
        let shard = Shard::new();
        let pusher = {
            let shard = Arc::clone(&shard);
            thread::spawn(move || shard.push())
        };
        shard.turn_until(1);
        pusher.join().unwrap();
    });
}

#[test]
fn of_two_pushers_none_is_lost_and_no_sleep_is_rung_twice() {
    let mut model = loom::model::Builder::new();
    // Every schedule with up to this many preemptions.
    model.preemption_bound = Some(3);
    model.check(|| {
        let shard = Shard::new();
        let pushers: Vec<_> = (0..2)
            .map(|_| {
                let shard = Arc::clone(&shard);
                thread::spawn(move || shard.push())
            })
            .collect();
        let slept = shard.turn_until(2);
        for pusher in pushers {
            pusher.join().unwrap();
        }
        // One more than it slept: the last announcement may be rung although its owner looked and stayed awake.
        assert!(shard.rings.load(Ordering::Relaxed) <= slept + 1);
    });
}
