//! Ports and pool: what is taken is answered once, in order, whatever happens.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::common::{Answer, append, founding, options, read};
use commucat_storage::Store;
use commucat_storage::api::{Completion, InboxLimits, Reply, Request, RowId, StoreError, Submission, Ticket};
use commucat_storage::embedded::EmbeddedStore;
use commucat_storage::pool::Pool;
use commucat_storage::port::{Port, PortEnd, PortLimits, port};

const PATIENCE: Duration = Duration::from_secs(60);

/// Remembers its batches; answers after `gate` lets it.
#[derive(Default)]
struct Recorder {
    batches: Mutex<Vec<Vec<Request>>>,
    gate: Option<Mutex<Receiver<()>>>,
    forgetful: AtomicBool,
}

impl Recorder {
    /// A recorder that carries out one batch for every token sent, and everything once the sender is dropped.
    fn gated() -> (Arc<Self>, SyncSender<()>) {
        let (open, gate) = sync_channel(1_000);
        (
            Arc::new(Self {
                gate: Some(Mutex::new(gate)),
                ..Self::default()
            }),
            open,
        )
    }

    fn batches(&self) -> Vec<Vec<Request>> {
        self.batches.lock().unwrap().clone()
    }
}

impl Store for Recorder {
    async fn execute(&self, batch: Vec<Request>) -> Vec<Answer> {
        self.batches.lock().unwrap().push(batch.clone());
        if let Some(gate) = &self.gate {
            let _ = gate.lock().unwrap().recv_timeout(PATIENCE);
        }
        let answered = batch.len() - usize::from(self.forgetful.load(Ordering::SeqCst));
        batch[..answered].iter().map(|_| Ok(Reply::Done)).collect()
    }
}

/// A port whose wakes are tokens in a channel, and are counted.
struct Shard {
    port: Port,
    woken: Receiver<()>,
    wakes: Arc<AtomicUsize>,
}

fn shard(limits: PortLimits) -> (Shard, PortEnd) {
    let (waker, woken) = sync_channel(1);
    let wakes = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&wakes);
    let wake = Arc::new(move || {
        count.fetch_add(1, Ordering::SeqCst);
        let _ = waker.try_send(());
    });
    let (port, end) = port(limits, wake);
    (Shard { port, woken, wakes }, end)
}

impl Shard {
    fn submit(&mut self, ticket: u64, request: Request) -> bool {
        self.port
            .submit(Submission {
                ticket: Ticket(ticket),
                request,
            })
            .is_ok()
    }

    /// The next `count` completions, asleep in between as a shard would be.
    fn next(&mut self, count: usize) -> Vec<Completion> {
        let mut completions = Vec::new();
        while completions.len() < count {
            match self.port.try_next() {
                Some(completion) => completions.push(completion),
                None => self.woken.recv_timeout(PATIENCE).expect("completions wake their shard"),
            }
        }
        completions
    }
}

fn tickets(completions: &[Completion]) -> Vec<u64> {
    completions.iter().map(|completion| completion.ticket.0).collect()
}

#[test]
fn every_submission_is_answered_once_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(folder.path(), options(InboxLimits::default())).unwrap();
    crate::common::execute(&store, vec![founding("ada"), founding("bob")]);
    let (shards, ends): (Vec<_>, Vec<_>) = (0..2)
        .map(|_| {
            shard(PortLimits {
                requests: 16,
                ..PortLimits::default()
            })
        })
        .unzip();
    let pool = Pool::start(Arc::new(store), ends, 1).unwrap();
    let threads = shards.into_iter().zip(["ada", "bob"]).map(|(mut shard, id)| {
        thread::spawn(move || {
            let (mut next, mut seen) = (0, Vec::new());
            while seen.len() < 2_000 {
                while next < 2_000 && shard.submit(next, append(id, next.to_string())) {
                    next += 1;
                }
                seen.extend(shard.next(1));
            }
            assert_eq!(tickets(&seen), (0..2_000).collect::<Vec<_>>());
            assert!(seen.iter().all(|completion| completion.outcome == Ok(Reply::Done)));
            assert_eq!((shard.port.held(), shard.port.held_bytes()), (0, 0));
        })
    });
    threads
        .collect::<Vec<_>>()
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    pool.shutdown();
    let store = EmbeddedStore::open(folder.path(), options(InboxLimits::default())).unwrap();
    for id in ["ada", "bob"] {
        let rows = crate::common::inbox(&store, id);
        let expected: Vec<_> = (0..2_000).map(|n: u64| (RowId(n + 1), n.to_string().into())).collect();
        assert!(rows == expected, "{id} differs");
    }
}

#[test]
fn what_gathers_during_a_commit_shares_the_next_one() {
    let (store, open) = Recorder::gated();
    let (shards, ends): (Vec<_>, Vec<_>) = (0..3).map(|_| shard(PortLimits::default())).unzip();
    let pool = Pool::start(Arc::clone(&store), ends, 1).unwrap();
    let mut shards = shards;
    assert!(shards[0].submit(0, Request::Probe));
    while store.batches().is_empty() {
        thread::yield_now();
    }
    for ticket in 1..=5 {
        for shard in &mut shards {
            assert!(shard.submit(ticket, append("ada", "x")));
        }
    }
    open.send(()).unwrap();
    open.send(()).unwrap();
    shards[0].next(1);
    for shard in &mut shards {
        assert_eq!(tickets(&shard.next(5)), [1, 2, 3, 4, 5]);
    }
    let sizes: Vec<_> = store.batches().iter().map(Vec::len).collect();
    assert_eq!(sizes, [1, 15]);
    drop(open);
    pool.shutdown();
}

#[test]
fn a_batch_wakes_a_port_at_most_once() {
    let (store, open) = Recorder::gated();
    let (mut shard, end) = shard(PortLimits::default());
    let pool = Pool::start(Arc::clone(&store), vec![end], 1).unwrap();
    for ticket in 0..100 {
        assert!(shard.submit(ticket, Request::Probe));
    }
    drop(open);
    shard.next(100);
    let batches = store.batches().len();
    assert!((1..=batches).contains(&shard.wakes.load(Ordering::SeqCst)));
    pool.shutdown();
}

#[test]
fn a_full_port_hands_the_submission_back_and_takes_the_next_when_there_is_room() {
    let (store, open) = Recorder::gated();
    let limits = PortLimits {
        requests: 4,
        ..PortLimits::default()
    };
    let (mut shard, end) = shard(limits);
    let pool = Pool::start(Arc::clone(&store), vec![end], 1).unwrap();
    for ticket in 0..4 {
        assert!(shard.submit(ticket, Request::Probe));
    }
    let refused = Submission {
        ticket: Ticket(4),
        request: append("ada", "back"),
    };
    assert_eq!(shard.port.submit(refused.clone()), Err(refused));
    drop(open);
    assert_eq!(tickets(&shard.next(1)), [0]);
    assert!(shard.submit(5, Request::Probe));
    assert_eq!(tickets(&shard.next(4)), [1, 2, 3, 5]);
    pool.shutdown();
    assert_eq!(store.batches().concat().len(), 5, "what was handed back never ran");
}

#[test]
fn a_port_is_bounded_in_bytes_but_takes_one_request_of_any_size() {
    let (mut shard, _end) = shard(PortLimits {
        requests: 100,
        bytes: 2_000,
    });
    assert!(shard.submit(0, append("ada", vec![0; 5_000])));
    assert!(!shard.submit(1, append("ada", "")), "over its bytes already");

    let (mut shard, _end) = self::shard(PortLimits {
        requests: 100,
        bytes: 2_000,
    });
    assert!(shard.submit(0, append("ada", vec![0; 700])));
    assert!(shard.submit(1, append("ada", vec![0; 700])));
    assert!(!shard.submit(2, append("ada", vec![0; 700])));
    assert!(!shard.submit(3, read("ada")), "a read may bring as much as it asks for");
    assert_eq!(shard.port.held(), 2);
}

#[test]
fn shutting_down_finishes_what_was_submitted_and_refuses_the_rest() {
    let (store, open) = Recorder::gated();
    let (mut shard, end) = shard(PortLimits::default());
    let pool = Pool::start(Arc::clone(&store), vec![end], 1).unwrap();
    for ticket in 0..500 {
        assert!(shard.submit(ticket, Request::Probe));
    }
    drop(open);
    pool.shutdown();
    assert_eq!(tickets(&shard.next(500)), (0..500).collect::<Vec<_>>());
    assert!(!shard.submit(500, Request::Probe));
    assert_eq!(shard.port.held(), 0);
}

#[test]
fn a_submission_that_races_the_shutdown_is_answered_or_handed_back() {
    for _ in 0..50 {
        let (mut shard, end) = shard(PortLimits::default());
        let pool = Pool::start(Arc::new(Recorder::default()), vec![end], 1).unwrap();
        let racer = thread::spawn(move || {
            let taken = (0..).take_while(|ticket| {
                while let Some(completion) = shard.port.try_next() {
                    assert_eq!(completion.outcome, Ok(Reply::Done));
                }
                shard.port.held() == 8_192 || shard.submit(*ticket, Request::Probe)
            });
            let _ = taken.count();
            shard
        });
        thread::sleep(Duration::from_micros(300));
        pool.shutdown();
        let mut shard = racer.join().unwrap();
        while shard.port.try_next().is_some() {}
        assert_eq!(shard.port.held(), 0, "everything taken has been answered");
    }
}

#[test]
fn a_request_that_the_store_forgets_is_answered_with_an_error() {
    let store = Arc::new(Recorder::default());
    store.forgetful.store(true, Ordering::SeqCst);
    let (mut shard, end) = shard(PortLimits::default());
    let pool = Pool::start(store, vec![end], 1).unwrap();
    assert!(shard.submit(7, Request::Probe));
    let completion = shard.next(1).remove(0);
    assert_eq!(completion.ticket, Ticket(7));
    assert!(
        matches!(completion.outcome, Err(StoreError::Unavailable(_))),
        "{completion:?}"
    );
    pool.shutdown();
}

#[test]
fn a_busy_port_does_not_keep_another_from_its_share_of_a_batch() {
    let (store, open) = Recorder::gated();
    let (mut busy, busy_end) = shard(PortLimits::default());
    let (mut calm, calm_end) = shard(PortLimits::default());
    for ticket in 0..8_192 {
        assert!(busy.submit(ticket, append("busy", "x")));
    }
    assert!(calm.submit(0, append("calm", "x")));
    let pool = Pool::start(Arc::clone(&store), vec![busy_end, calm_end], 1).unwrap();
    drop(open);
    calm.next(1);
    busy.next(8_192);
    pool.shutdown();
    let first = &store.batches()[0];
    assert!(
        first.contains(&append("calm", "x")),
        "the calm port's request was in the first batch"
    );
}
