//! Random operations against random peers: lives stay whole, whatever happens in which order.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use crate::bed::{Bed, Dice, Said};
use commucat_ring::{Ending, RingConfig, SocketId};

/// What the test knows of one connection, which is what a shard would know.
#[derive(Default)]
struct Known {
    sending: bool,
    closing: bool,
}

struct Chaos {
    bed: Bed,
    dice: Dice,
    clients: Vec<TcpStream>,
    known: HashMap<SocketId, Known>,
}

impl Chaos {
    fn peers(&mut self) {
        if self.clients.len() < 40 && self.dice.roll(2) == 0 {
            let client = TcpStream::connect(self.bed.addr).unwrap();
            client.set_nonblocking(true).unwrap();
            self.clients.push(client);
        }
        if self.clients.is_empty() {
            return;
        }
        let at = self.dice.roll(self.clients.len() as u64) as usize;
        let client = &mut self.clients[at];
        let size = self.dice.roll(50_000) as usize;
        match self.dice.roll(12) {
            0..6 => drop(client.write(&vec![5; size])),
            6..9 => drop(client.read(&mut vec![0; size])),
            9 => drop(client.shutdown(Shutdown::Write)),
            10 => {
                socket2::SockRef::from(&*client)
                    .set_linger(Some(Duration::ZERO))
                    .unwrap();
                drop(self.clients.swap_remove(at));
            }
            _ => drop(self.clients.swap_remove(at)),
        }
    }

    fn owner(&mut self) {
        let ids: Vec<_> = self.known.keys().copied().collect();
        for id in ids {
            let known = self.known.get_mut(&id).unwrap();
            match self.dice.roll(40) {
                0..6 if !known.sending && !known.closing => {
                    known.sending = true;
                    self.bed.ring.send(id, vec![9; self.dice.roll(400_000) as usize]);
                }
                6..9 => self.bed.ring.pause(id),
                9..14 => self.bed.ring.resume(id),
                14 => {
                    known.closing = true;
                    self.bed.ring.close(id, Ending::Graceful);
                }
                15 => {
                    known.closing = true;
                    self.bed.ring.close(id, Ending::Abort);
                }
                _ => {}
            }
        }
    }

    fn turn(&mut self, timeout: Duration) {
        let start = self.bed.turn(timeout);
        for said in &self.bed.log[start..] {
            match said {
                Said::Accepted { id, .. } => drop(self.known.insert(*id, Known::default())),
                Said::Received { id, bytes } => {
                    assert!(!self.known[id].closing, "bytes after a close");
                    assert!(!bytes.is_empty() && bytes.iter().all(|byte| *byte == 5));
                }
                Said::Sent { id, .. } => self.known.get_mut(id).unwrap().sending = false,
                Said::Closed { id } => drop(self.known.remove(id)),
                Said::Eof { .. } | Said::Rung => {}
            }
        }
    }
}

fn run(seed: u64, config: RingConfig) {
    let bed = Bed::new(config);
    let mut chaos = Chaos {
        bed,
        dice: Dice(seed),
        clients: Vec::new(),
        known: HashMap::new(),
    };
    for _ in 0..1500 {
        for _ in 0..chaos.dice.roll(4) {
            chaos.peers();
        }
        chaos.owner();
        chaos.turn(Duration::ZERO);
    }
    // The backlog empties into the table as fast as the table empties.
    chaos.clients.clear();
    let mut quiet = 0;
    while quiet < 10 {
        let before = chaos.bed.log.len();
        let left: Vec<_> = chaos.known.keys().copied().collect();
        left.iter().for_each(|id| chaos.bed.ring.close(*id, Ending::Abort));
        chaos.known.values_mut().for_each(|known| known.closing = true);
        chaos.turn(Duration::from_millis(5));
        let idle = chaos.known.is_empty() && chaos.bed.log.len() == before;
        quiet = if idle { quiet + 1 } else { 0 };
    }
    assert_eq!(chaos.bed.ring.connections(), 0, "seed {seed}");
    chaos.bed.assert_lives();
    let counters = *chaos.bed.ring.counters();
    assert_eq!(counters.accepts, counters.closes, "seed {seed}");
    assert_eq!(chaos.bed.ring.shut_down(), Ok(()), "seed {seed}");
}

#[test]
fn lives_stay_whole_with_room() {
    (1..6).for_each(|seed| {
        run(
            seed,
            RingConfig {
                linger: Duration::from_millis(5),
                ..RingConfig::default()
            },
        )
    });
}

#[test]
fn lives_stay_whole_when_everything_is_scarce() {
    for seed in 1..9 {
        let scarce = RingConfig {
            connections: 7,
            entries: 2,
            buffers: 1,
            buffer_size: 256,
            incremental: seed % 2 == 0,
            accepts: 3,
            linger: Duration::from_millis(5),
            flush: Duration::from_millis(20),
        };
        run(seed, scarce);
    }
}
