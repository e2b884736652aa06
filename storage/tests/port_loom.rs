//! A port's wake-ups, and its end, under every interleaving and every reordering that the memory model allows.
//!
//! The sources of bell and gate are compiled here over loom's atomics. The queues are relaxed counters, weaker than any
//! real queue. A lost wake-up shows as a deadlock, which loom reports.

mod atomics {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
}

#[path = "../src/port/bell.rs"]
mod bell;
#[path = "../src/port/gate.rs"]
mod gate;

use atomics::{AtomicUsize, Ordering};
use bell::Bell;
use gate::Gate;
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

/// Somebody who sleeps until it is woken; a wake-up is kept until it is waited for.
struct Sleeper {
    bell: Bell,
    queued: AtomicUsize,
    woken: Mutex<bool>,
    wake: Condvar,
    wakes: AtomicUsize,
}

impl Sleeper {
    fn new(asleep: bool) -> Arc<Self> {
        Arc::new(Self {
            bell: Bell::new(asleep),
            queued: AtomicUsize::new(0),
            woken: Mutex::new(false),
            wake: Condvar::new(),
            wakes: AtomicUsize::new(0),
        })
    }

    fn push(&self) {
        self.queued.fetch_add(1, Ordering::Relaxed);
        if self.bell.must_ring() {
            self.wakes.fetch_add(1, Ordering::Relaxed);
            *self.woken.lock().unwrap() = true;
            self.wake.notify_one();
        }
    }

    fn sleep(&self) {
        let mut woken = self.woken.lock().unwrap();
        while !std::mem::take(&mut *woken) {
            woken = self.wake.wait(woken).unwrap();
        }
    }

    /// As the pool's committer rests: lies down, looks once more, sleeps or stays.
    fn rest_until(&self, expected: usize) -> usize {
        let mut slept = 0;
        loop {
            self.bell.lie_down();
            if self.queued.load(Ordering::Relaxed) >= expected {
                self.bell.stay();
                return slept;
            }
            self.sleep();
            self.bell.stay();
            slept += 1;
        }
    }

    /// As a shard takes completions: it looks, lies down, looks once more, and sleeps in its ring; nothing says that it
    /// has woken.
    fn take_until(&self, expected: usize) {
        while self.queued.load(Ordering::Relaxed) < expected {
            self.bell.lie_down();
            if self.queued.load(Ordering::Relaxed) >= expected {
                return;
            }
            self.sleep();
        }
    }
}

fn pushing(sleeper: &Arc<Sleeper>) -> thread::JoinHandle<()> {
    let sleeper = Arc::clone(sleeper);
    thread::spawn(move || sleeper.push())
}

#[test]
fn a_submission_is_seen_or_rung_for() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let pool = Sleeper::new(false);
        // Two shards have each their port, and the pool one bell.
        let shards = [pushing(&pool), pushing(&pool)];
        let slept = pool.rest_until(2);
        shards.into_iter().for_each(|shard| shard.join().unwrap());
        assert!(pool.wakes.load(Ordering::Relaxed) <= slept + 1);
    });
}

#[test]
fn a_completion_is_seen_or_its_owner_is_woken() {
    loom::model(|| {
        let owner = Sleeper::new(true);
        let pool = {
            let owner = Arc::clone(&owner);
            thread::spawn(move || {
                owner.push();
                owner.push();
            })
        };
        owner.take_until(2);
        pool.join().unwrap();
    });
}

#[test]
fn a_port_that_was_shut_and_found_idle_leaves_no_submission_behind() {
    loom::model(|| {
        let gate = Arc::new(Gate::default());
        let (pushed, answered) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let shard = {
            let (gate, pushed) = (Arc::clone(&gate), Arc::clone(&pushed));
            thread::spawn(move || {
                let entered = (0..2).filter(|_| {
                    let open = gate.enter();
                    if open {
                        pushed.fetch_add(1, Ordering::Release);
                    }
                    open
                });
                entered.count()
            })
        };
        // As the pool ends: shut, then take what is there until nothing is in flight.
        gate.shut();
        loop {
            let waiting = pushed.load(Ordering::Acquire) - answered.load(Ordering::Relaxed);
            if waiting > 0 {
                answered.fetch_add(1, Ordering::Relaxed);
                gate.leave();
            } else if gate.is_idle() {
                break;
            } else {
                thread::yield_now();
            }
        }
        let entered = shard.join().unwrap();
        assert_eq!(
            answered.load(Ordering::Relaxed),
            entered,
            "a submission was left behind"
        );
    });
}
