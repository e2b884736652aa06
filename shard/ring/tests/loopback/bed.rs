//! A ring on the test's own thread, with everything it said kept in order.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use commucat_ring::{Ending, Event, Ring, RingConfig, SocketId, listener};

/// Far beyond what any step takes; reaching it is a failure, not a measurement.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// An event that owns its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Accepted { id: SocketId, peer: SocketAddr, tag: u8 },
    Received { id: SocketId, bytes: Vec<u8> },
    Eof { id: SocketId },
    Sent { id: SocketId, buffer: Vec<u8> },
    Closed { id: SocketId },
    Rung,
}

impl From<Event<'_>> for Said {
    fn from(event: Event<'_>) -> Said {
        match event {
            Event::Accepted { id, peer, tag } => Said::Accepted { id, peer, tag },
            Event::Received { id, bytes } => Said::Received {
                id,
                bytes: bytes.to_vec(),
            },
            Event::Eof { id } => Said::Eof { id },
            Event::Sent { id, buffer } => Said::Sent { id, buffer },
            Event::Closed { id } => Said::Closed { id },
            Event::Rung => Said::Rung,
        }
    }
}

impl Said {
    pub(crate) fn id(&self) -> Option<SocketId> {
        match self {
            Said::Accepted { id, .. }
            | Said::Received { id, .. }
            | Said::Eof { id }
            | Said::Sent { id, .. }
            | Said::Closed { id } => Some(*id),
            Said::Rung => None,
        }
    }
}

/// A ring with one listener.
pub(crate) struct Bed {
    pub(crate) ring: Ring,
    pub(crate) addr: SocketAddr,
    pub(crate) log: Vec<Said>,
}

pub(crate) fn small() -> RingConfig {
    RingConfig {
        connections: 64,
        entries: 64,
        accepts: 4,
        ..RingConfig::default()
    }
}

impl Bed {
    pub(crate) fn new(config: RingConfig) -> Bed {
        let mut ring = Ring::new(config).expect("a ring can be set up here");
        let listener = listener("127.0.0.1:0".parse().unwrap(), false).unwrap();
        let addr = listener.local_addr().unwrap();
        ring.listen(listener, 1).unwrap();
        Bed {
            ring,
            addr,
            log: Vec::new(),
        }
    }

    /// One turn; returns where its events begin in the log.
    pub(crate) fn turn(&mut self, timeout: Duration) -> usize {
        let start = self.log.len();
        self.ring.wait(Some(timeout)).unwrap();
        let log = &mut self.log;
        self.ring.reap(&mut |event| log.push(event.into()));
        start
    }

    /// Turns until the log satisfies `done`.
    pub(crate) fn until(&mut self, what: &str, mut done: impl FnMut(&[Said]) -> bool) {
        let start = Instant::now();
        while !done(&self.log) {
            assert!(start.elapsed() < PATIENCE, "waited in vain for: {what}");
            self.turn(Duration::from_millis(100));
        }
    }

    /// Turns until nothing happens any more.
    pub(crate) fn settle(&mut self) {
        let mut quiet = 0;
        while quiet < 3 {
            let start = self.turn(Duration::from_millis(20));
            quiet = if self.log.len() == start { quiet + 1 } else { 0 };
        }
    }

    /// Connects, and waits until the ring has announced it.
    pub(crate) fn connect(&mut self) -> (TcpStream, SocketId) {
        let client = TcpStream::connect(self.addr).unwrap();
        let me = client.local_addr().unwrap();
        let find = |log: &[Said]| {
            log.iter().rev().find_map(|said| match said {
                Said::Accepted { id, peer, .. } if *peer == me => Some(*id),
                _ => None,
            })
        };
        self.until("the connection", |log| find(log).is_some());
        (client, find(&self.log).unwrap())
    }

    pub(crate) fn count(&self, wanted: &Said) -> usize {
        self.log.iter().filter(|said| *said == wanted).count()
    }

    pub(crate) fn closed(&self, id: SocketId) -> usize {
        self.count(&Said::Closed { id })
    }

    pub(crate) fn until_closed(&mut self, id: SocketId) {
        self.until("Closed", |log| log.contains(&Said::Closed { id }));
    }

    /// Everything received from a connection so far.
    pub(crate) fn received(&self, id: SocketId) -> Vec<u8> {
        let mut all = Vec::new();
        for said in &self.log {
            match said {
                Said::Received { id: from, bytes } if *from == id => all.extend_from_slice(bytes),
                _ => {}
            }
        }
        all
    }

    /// The promises that hold for every log: a life begins with Accepted, ends with at most one Closed, and nothing
    /// follows it.
    pub(crate) fn assert_lives(&self) {
        let mut open: HashMap<SocketId, bool> = HashMap::new();
        for said in &self.log {
            let Some(id) = said.id() else { continue };
            match said {
                Said::Accepted { .. } => {
                    assert_eq!(open.insert(id, true), None, "{id:?} lived before")
                }
                Said::Closed { .. } => assert_eq!(open.insert(id, false), Some(true), "{id:?} closed twice or unborn"),
                _ => assert_eq!(open.get(&id), Some(&true), "{said:?} outside a life"),
            }
        }
    }
}

/// Sends back what it receives, pausing while a send is outstanding.
#[derive(Default)]
pub(crate) struct Echo {
    owed: HashMap<SocketId, Vec<u8>>,
    busy: HashMap<SocketId, bool>,
    pub(crate) closed: usize,
    pub(crate) accepted: usize,
}

impl Echo {
    pub(crate) fn turn(&mut self, ring: &mut Ring, timeout: Duration) {
        ring.wait(Some(timeout)).unwrap();
        let mut ended = Vec::new();
        ring.reap(&mut |event| match event {
            Event::Accepted { id, .. } => {
                self.accepted += 1;
                self.busy.insert(id, false);
            }
            Event::Received { id, bytes } => {
                self.owed.entry(id).or_default().extend_from_slice(bytes);
            }
            Event::Eof { id } => ended.push(id),
            Event::Sent { id, .. } => {
                self.busy.insert(id, false);
                self.owed.entry(id).or_default();
            }
            Event::Closed { id } => {
                self.closed += 1;
                self.busy.remove(&id);
                self.owed.remove(&id);
            }
            Event::Rung => {}
        });
        self.owed.retain(|id, bytes| {
            if self.busy.get(id) != Some(&false) {
                ring.pause(*id);
                return true;
            }
            ring.resume(*id);
            if !bytes.is_empty() {
                self.busy.insert(*id, true);
                ring.send(*id, std::mem::take(bytes));
            }
            false
        });
        // What is still owed after the peer's FIN stays in `owed` until the send before it has come home.
        for id in ended {
            if !self.owed.contains_key(&id) {
                ring.close(id, Ending::Graceful);
            }
        }
    }

    /// Turns until as many connections have been closed.
    pub(crate) fn run_until_closed(&mut self, ring: &mut Ring, count: usize) {
        let start = Instant::now();
        while self.closed < count {
            assert!(
                start.elapsed() < PATIENCE * 4,
                "{} of {count} connections closed",
                self.closed
            );
            self.turn(ring, Duration::from_millis(100));
        }
    }
}

/// A small deterministic generator.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.roll(256) as u8).collect()
    }
}
