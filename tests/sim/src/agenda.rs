//! Virtual time and what is due in it. Time moves only by taking the next event, so an hour without one costs nothing.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::ids::{DeviceNo, SessionNo};

/// What can be due. Events of something that has gone meanwhile do nothing: `era` counts the relay's processes, and a
/// session number is never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    /// A shard's loop turn.
    Turn { era: u32, shard: u16 },
    /// A shard's `deadline()`.
    Deadline { era: u32, shard: u16 },
    /// The kernel has a new connection for its listener.
    Accept(SessionNo),
    /// Bytes of a client reach the relay's receive.
    Up(SessionNo),
    /// The kernel takes bytes of an outstanding send.
    Take(SessionNo),
    /// The completion of a send that was taken whole.
    Sent(SessionNo),
    /// A client reads.
    Read(SessionNo),
    /// The driver has found a connection to be over.
    Gone(SessionNo),
    /// The head of a lane arrives.
    Lane { era: u32, from: u16, to: u16 },
    /// The store commits the oldest request of a queue.
    Commit { era: u32, queue: u64 },
    /// The store's oldest answer to a shard's queue arrives.
    Answer { era: u32, queue: u64 },
    /// A person does something.
    Person(DeviceNo),
    /// The process dies and starts again.
    Crash,
    /// The process is asked to end.
    Drain,
    /// A process that was asked to end may have.
    MaybeDrained { era: u32 },
    /// The wall clock steps.
    WallStep,
    /// Somebody revokes a device.
    Revoke(DeviceNo),
    /// A shard is told of a revocation.
    Command { era: u32, shard: u16, revocation: u64 },
}

impl Event {
    /// For the trace.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Turn { .. } => "turn",
            Self::Deadline { .. } => "deadline",
            Self::Accept(_) => "accept",
            Self::Up(_) => "up",
            Self::Take(_) => "take",
            Self::Sent(_) => "sent",
            Self::Read(_) => "read",
            Self::Gone(_) => "gone",
            Self::Lane { .. } => "lane",
            Self::Commit { .. } => "commit",
            Self::Answer { .. } => "answer",
            Self::Person(_) => "person",
            Self::Crash => "crash",
            Self::Drain => "drain",
            Self::MaybeDrained { .. } => "maybe drained",
            Self::WallStep => "wall step",
            Self::Revoke(_) => "revoke",
            Self::Command { .. } => "command",
        }
    }
}

/// What is due, and when.
#[derive(Default)]
pub(crate) struct Agenda {
    heap: BinaryHeap<Reverse<(u64, u64, Event)>>,
    now: u64,
    planned: u64,
}

impl Agenda {
    /// Microseconds since the simulation began.
    pub(crate) fn now(&self) -> u64 {
        self.now
    }

    /// Plans an event; among events of one moment, the first planned is the first to happen.
    pub(crate) fn plan(&mut self, delay: u64, event: Event) {
        self.planned += 1;
        self.heap
            .push(Reverse((self.now.saturating_add(delay), self.planned, event)));
    }

    /// The next event; the clock jumps to it.
    pub(crate) fn next(&mut self) -> Option<Event> {
        let Reverse((at, _, event)) = self.heap.pop()?;
        debug_assert!(at >= self.now, "time runs forward");
        self.now = at;
        Some(event)
    }

    /// The moment of the next event.
    pub(crate) fn next_at(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }
}
