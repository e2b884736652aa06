//! Whether the mesh is at rest, under every interleaving and every reordering that the memory model allows.
//!
//! The tallies' own source is compiled here over loom's atomics. The lanes are relaxed counters, weaker than any real
//! queue: what makes the answer sound must be the tallies alone.

mod atomics {
    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
}

#[path = "../src/mesh/tally.rs"]
mod tally;

use atomics::{AtomicU64, Ordering};
use loom::sync::Arc;
use loom::thread;
use tally::{Tally, is_quiet, sent};

struct Mesh {
    tallies: [Tally; 2],
    /// Batches in the lane to each shard.
    lanes: [AtomicU64; 2],
    /// Batches of which nothing is left to do.
    done: AtomicU64,
}

impl Mesh {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            tallies: [Tally::default(), Tally::default()],
            lanes: [AtomicU64::new(0), AtomicU64::new(0)],
            done: AtomicU64::new(0),
        })
    }

    fn send(&self, from: usize) {
        self.tallies[from].sends();
        self.lanes[1 - from].fetch_add(1, Ordering::Release);
    }

    /// A turn of a shard: takes what is there, answers each batch so often, then counts it as handled.
    fn turn(&self, shard: usize, answers: usize) -> u64 {
        let taken = self.lanes[shard].swap(0, Ordering::Acquire);
        for _ in 0..taken {
            (0..answers).for_each(|_| self.send(shard));
            self.done.fetch_add(1, Ordering::Relaxed);
        }
        if taken > 0 {
            self.tallies[shard].has_handled(taken);
        }
        taken
    }

    fn turn_until_one(&self, shard: usize, answers: usize) {
        while self.turn(shard, answers) == 0 {
            thread::yield_now();
        }
    }
}

#[test]
fn a_mesh_that_is_called_quiet_has_nothing_on_its_way() {
    loom::model(|| {
        let mesh = Mesh::new();
        // What the watcher knows of: a question that the other shard will answer.
        mesh.send(0);
        let other = {
            let mesh = Arc::clone(&mesh);
            thread::spawn(move || mesh.turn_until_one(1, 1))
        };
        let first = {
            let mesh = Arc::clone(&mesh);
            thread::spawn(move || mesh.turn_until_one(0, 0))
        };
        if is_quiet(&mesh.tallies) {
            assert_eq!(mesh.done.load(Ordering::Relaxed), 2, "a batch was on its way");
            assert_eq!(sent(&mesh.tallies), 2);
        }
        other.join().unwrap();
        first.join().unwrap();
        assert!(is_quiet(&mesh.tallies));
    });
}
