//! The pool: drains every shard's port, shares one commit between all their requests, and hands the answers back.
//!
//! One committer takes batches one after another, so requests keep their order per port and thereby per device; while a
//! commit waits for the disk the next batch gathers in the ports, which is all the delay that group commit needs. No
//! lock is held across the fsync: submitters only meet the ports' queues. Started and shut down by the server's boot.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::runtime::Builder;
use tokio::time::{Instant, timeout_at};

use crate::api::{Completion, Request, Ticket, Wall};
use crate::limits::{BATCH_BYTES, BATCH_REQUESTS, UPKEEP_INTERVAL_MS};
use crate::port::{Doorbell, PortEnd, unanswered};
use crate::store::Store;

/// The running pool. Dropping it shuts it down.
pub struct Pool {
    control: Arc<Control>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Control {
    doorbell: Arc<Doorbell>,
    closing: AtomicBool,
}

impl Pool {
    /// Starts committing for `ports`. `threads` are those of the store's own tasks, at least 1; the committer has a
    /// thread of its own and may block it.
    ///
    /// # Errors
    /// The system gave no thread.
    pub fn start<S: Store>(store: Arc<S>, ports: Vec<PortEnd>, threads: usize) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads.max(1))
            .thread_name("store-task")
            .enable_all()
            .build()?;
        let control = Arc::new(Control::default());
        for port in &ports {
            port.attach(&control.doorbell);
        }
        let committer = Committer {
            store,
            ports,
            first: 0,
            control: Arc::clone(&control),
        };
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || runtime.block_on(committer.run()))?;
        Ok(Self {
            control,
            thread: Some(thread),
        })
    }

    /// Takes nothing more, finishes what was submitted, and returns when the last answer lies in its port.
    pub fn shutdown(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        self.control.closing.store(true, Ordering::SeqCst);
        self.control.doorbell.ring();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the storage pool's thread had died");
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Committer<S> {
    store: Arc<S>,
    ports: Vec<PortEnd>,
    /// The port that the next batch begins with: no port is always last.
    first: usize,
    control: Arc<Control>,
}

/// Where an answer goes.
struct Return {
    port: usize,
    ticket: Ticket,
    bytes: usize,
}

#[derive(Default)]
struct Batch {
    requests: Vec<Request>,
    returns: Vec<Return>,
}

impl<S: Store> Committer<S> {
    async fn run(mut self) {
        let interval = Duration::from_millis(UPKEEP_INTERVAL_MS);
        let mut upkeep = Instant::now() + interval;
        loop {
            let closing = self.control.closing.load(Ordering::SeqCst);
            if closing {
                self.ports.iter().for_each(PortEnd::close);
            }
            let batch = self.gather();
            if !batch.requests.is_empty() {
                self.commit(batch).await;
            } else if closing {
                if self.ports.iter().all(PortEnd::is_idle) {
                    return;
                }
                // A submitter stands between its count and its push.
                tokio::task::yield_now().await;
            } else {
                self.rest(upkeep).await;
            }
            if Instant::now() >= upkeep {
                self.store.upkeep(now()).await;
                upkeep = Instant::now() + interval;
            }
        }
    }

    /// One round over the ports after another, a fair share each, until the batch is full or the ports are empty.
    fn gather(&mut self) -> Batch {
        let mut batch = Batch::default();
        let ports = self.ports.len();
        let share = (BATCH_REQUESTS / ports.max(1)).max(1);
        let mut bytes = 0;
        loop {
            let before = batch.requests.len();
            for turn in 0..ports {
                let port = (self.first + turn) % ports;
                for _ in 0..share {
                    if batch.requests.len() == BATCH_REQUESTS || bytes >= BATCH_BYTES {
                        self.first = (port + 1) % ports;
                        return batch;
                    }
                    let Some(taken) = self.ports[port].take() else {
                        break;
                    };
                    bytes += taken.bytes;
                    let ticket = taken.submission.ticket;
                    batch.returns.push(Return {
                        port,
                        ticket,
                        bytes: taken.bytes,
                    });
                    batch.requests.push(taken.submission.request);
                }
            }
            if batch.requests.len() == before {
                return batch;
            }
        }
    }

    async fn commit(&self, batch: Batch) {
        let Batch { requests, returns } = batch;
        let mut answers = self.store.execute(requests).await.into_iter();
        let mut answered = vec![false; self.ports.len()];
        for Return { port, ticket, bytes } in returns {
            let outcome = answers.next().unwrap_or_else(|| Err(unanswered()));
            self.ports[port].complete(Completion { ticket, outcome }, bytes);
            answered[port] = true;
        }
        for (port, _) in self.ports.iter().zip(answered).filter(|(_, answered)| *answered) {
            port.wake();
        }
    }

    async fn rest(&self, until: Instant) {
        let doorbell = &self.control.doorbell;
        doorbell.lie_down();
        let busy = self.control.closing.load(Ordering::SeqCst) || self.ports.iter().any(|port| !port.is_empty());
        if !busy {
            // Late or rung: either way the ports are looked at next.
            let _ = timeout_at(until, doorbell.wait()).await;
        }
        doorbell.stay();
    }
}

fn now() -> Wall {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Wall(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
