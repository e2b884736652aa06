//! From the router, and from the main thread, to the shards: what was decided outside, and that every shard has heard it.
//!
//! Invariant: when [`Commands::tell`] returns, the command holds on every shard that still runs. Each shard's queue is bounded;
//! a caller finds it full only when its shard is slower than the revocations of everybody, and waits.

use commucat_shard::input::Command;
use tokio::sync::{mpsc, oneshot};

use super::desk::Wake;

/// Commands that one shard has not heard yet: a turn takes them all.
const QUEUE: usize = 256;

/// The router's side. Cheap to clone.
#[derive(Clone, Default)]
pub struct Commands {
    shards: Vec<Lane>,
}

#[derive(Clone)]
struct Lane {
    queue: mpsc::Sender<Order>,
    wake: Wake,
}

/// A command and where to say that it holds.
#[derive(Debug)]
pub struct Order {
    /// For [`Input::Command`](commucat_shard::input::Input::Command).
    pub command: Command,
    holds: oneshot::Sender<()>,
}

impl Order {
    /// The shard has heard it.
    pub fn done(self) {
        // Who asked may have gone.
        let _ = self.holds.send(());
    }
}

/// A shard's side.
pub struct Orders(mpsc::Receiver<Order>);

impl Orders {
    /// The next one.
    pub fn try_next(&mut self) -> Option<Order> {
        self.0.try_recv().ok()
    }

    /// The look before a sleep.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Commands {
    /// Adds a shard; `wake` wakes it, if it sleeps.
    pub fn shard(&mut self, wake: Wake) -> Orders {
        let (queue, orders) = mpsc::channel(QUEUE);
        self.shards.push(Lane { queue, wake });
        Orders(orders)
    }

    /// Tells all shards, and waits until they have heard. A shard that has ended has no session any more.
    pub async fn tell(&self, command: &Command) {
        let mut waiting = Vec::with_capacity(self.shards.len());
        for lane in &self.shards {
            let (holds, held) = oneshot::channel();
            let order = Order {
                command: command.clone(),
                holds,
            };
            if lane.queue.send(order).await.is_ok() {
                (lane.wake)();
                waiting.push(held);
            }
        }
        for held in waiting {
            let _ = held.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use commucat_proto::DeviceId;

    use super::*;

    fn command(name: &str) -> Command {
        Command::Revoked {
            device: DeviceId::parse(name).unwrap(),
        }
    }

    #[test]
    fn a_command_holds_when_every_shard_has_heard_it() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .build()
            .unwrap();
        let rung = Arc::new(AtomicUsize::new(0));
        let mut commands = Commands::default();
        let mut shards: Vec<_> = (0..3)
            .map(|_| {
                let rung = Arc::clone(&rung);
                commands.shard(Arc::new(move || {
                    rung.fetch_add(1, Ordering::SeqCst);
                }))
            })
            .collect();
        // One of them has ended.
        drop(shards.pop());
        let telling = runtime.spawn(async move { commands.tell(&command("phone")).await });
        for (heard, orders) in shards.iter_mut().enumerate() {
            assert!(!telling.is_finished(), "{heard} of 2 have heard it");
            let order = loop {
                if let Some(order) = orders.try_next() {
                    break order;
                }
                std::thread::yield_now();
            };
            assert_eq!(order.command, command("phone"));
            assert!(orders.is_empty());
            order.done();
        }
        runtime.block_on(telling).unwrap();
        assert_eq!(rung.load(Ordering::SeqCst), 2);
    }
}
