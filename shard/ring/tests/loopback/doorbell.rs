//! Waking: other rings, threads without one, and rings that have gone.

use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::bed::{PATIENCE, small};
use commucat_ring::{Event, Ring, RingHandle, Waker};

/// Sleeps until rung, without any other reason to wake.
fn until_rung(ring: &mut Ring) {
    let start = Instant::now();
    let mut rung = false;
    while !rung {
        assert!(start.elapsed() < PATIENCE, "nobody rang");
        ring.wait(Some(PATIENCE)).unwrap();
        ring.reap(&mut |event| rung |= matches!(event, Event::Rung));
    }
}

#[test]
fn a_waker_wakes_a_sleeping_ring() {
    let mut ring = Ring::new(small()).unwrap();
    for _ in 0..3 {
        let waker = ring.waker();
        let thread = thread::spawn(move || {
            thread::sleep(Duration::from_millis(20));
            waker.wake();
        });
        until_rung(&mut ring);
        thread.join().unwrap();
    }
}

#[test]
fn a_wake_before_the_wait_is_not_lost() {
    let mut ring = Ring::new(small()).unwrap();
    let waker = ring.waker();
    waker.wake();
    waker.wake();
    until_rung(&mut ring);
    waker.wake();
    until_rung(&mut ring);
    assert_eq!(ring.counters().rung, 2, "two wakes before one answer are one");
}

#[test]
fn no_message_is_left_behind_a_swallowed_wake() {
    const THREADS: u64 = 4;
    const EACH: u64 = 20_000;
    let mut ring = Ring::new(small()).unwrap();
    let posted = Arc::new(AtomicU64::new(0));
    let senders: Vec<_> = (0..THREADS)
        .map(|_| {
            let (waker, posted) = (ring.waker(), posted.clone());
            thread::spawn(move || {
                for _ in 0..EACH {
                    posted.fetch_add(1, Ordering::Relaxed);
                    waker.wake();
                }
            })
        })
        .collect();
    let mut seen = 0;
    while seen < THREADS * EACH {
        until_rung(&mut ring);
        seen += posted.swap(0, Ordering::Relaxed);
    }
    senders.into_iter().for_each(|sender| sender.join().unwrap());
}

#[test]
fn two_rings_wake_each_other() {
    const ROUNDS: usize = 2000;
    let (to_main, from_other) = mpsc::channel::<RingHandle>();
    let mut ring = Ring::new(small()).unwrap();
    let home = ring.handle();
    let other = thread::spawn(move || {
        let mut ring = Ring::new(small()).unwrap();
        to_main.send(ring.handle()).unwrap();
        for _ in 0..ROUNDS {
            until_rung(&mut ring);
            ring.ring_bell(&home);
        }
        ring.wait(Some(Duration::ZERO)).unwrap();
        *ring.counters()
    });
    let away = from_other.recv().unwrap();
    for _ in 0..ROUNDS {
        ring.ring_bell(&away);
        until_rung(&mut ring);
    }
    let counters = other.join().unwrap();
    assert_eq!(
        (counters.rung, counters.bells, counters.bells_lost),
        (ROUNDS as u64, ROUNDS as u64, 0)
    );
    assert_eq!(ring.counters().bells, ROUNDS as u64);
}

#[test]
fn a_ring_may_ring_itself() {
    let mut ring = Ring::new(small()).unwrap();
    let handle = ring.handle();
    ring.ring_bell(&handle);
    until_rung(&mut ring);
}

#[test]
fn ringing_a_ring_that_was_dropped_does_nothing() {
    let mut ring = Ring::new(small()).unwrap();
    let gone = Ring::new(small()).unwrap().handle();
    ring.ring_bell(&gone);
    ring.wait(Some(Duration::ZERO)).unwrap();
    ring.reap(&mut |event| panic!("{event:?}"));
    assert_eq!(ring.counters().bells_lost, 1);
}

#[test]
fn ringing_a_ring_that_is_dropped_before_the_bell_is_submitted_does_nothing() {
    let mut ring = Ring::new(small()).unwrap();
    let other = Ring::new(small()).unwrap();
    let handle = other.handle();
    ring.ring_bell(&handle);
    drop((other, handle));
    ring.wait(Some(Duration::ZERO)).unwrap();
    ring.reap(&mut |event| panic!("{event:?}"));
}

#[test]
fn ringing_a_ring_whose_thread_has_died_does_nothing() {
    static ORPHAN: AtomicPtr<Ring> = AtomicPtr::new(std::ptr::null_mut());
    let mut ring = Ring::new(small()).unwrap();
    let orphan = thread::spawn(|| {
        let ring = Ring::new(small()).unwrap();
        let handle = ring.handle();
        // Its memory stays, as after an abort of the thread alone.
        ORPHAN.store(Box::into_raw(Box::new(ring)), Ordering::Relaxed);
        handle
    });
    let handle = orphan.join().unwrap();
    for _ in 0..3 {
        ring.ring_bell(&handle);
        ring.wait(Some(Duration::from_millis(10))).unwrap();
        ring.reap(&mut |event| panic!("{event:?}"));
    }
    let home = ring.handle();
    ring.ring_bell(&home);
    until_rung(&mut ring);
}

#[test]
fn waking_a_ring_that_is_gone_does_nothing() {
    let ring = Ring::new(small()).unwrap();
    let waker = ring.waker();
    drop(ring);
    (0..10).for_each(|_| waker.wake());
}

#[test]
fn handles_and_wakers_go_to_any_thread() {
    fn shared<T: Send + Sync + Clone>() {}
    shared::<RingHandle>();
    shared::<Waker>();
}
