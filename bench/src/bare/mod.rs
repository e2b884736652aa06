//! The least that can be called a relay, once, on four runtimes: what choosing one costs or saves.
//!
//! ```text
//! frame = length u32 LE | to u32 LE | payload     a client's first frame is empty, and `to` is its own name
//! ```
//!
//! The first frame is answered by an empty one. `to` is a name, or [`ALL`] but the sender. Nothing is kept, acknowledged or
//! checked beyond its length. `Room` is all of it; the runtimes move its bytes and each writes a connection at most once per wake-up.

mod glommio;
mod monoio;
mod own;
mod tokio;

use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::Arc;

use commucat_shard::conn::tls::{Tls, TlsState};
use rustls::ServerConfig;

/// To everybody else.
pub const ALL: u32 = u32::MAX;
/// Length and destination.
pub const HEAD: usize = 8;
/// A frame's payload at most.
const LONGEST: usize = 1 << 20;
/// One read.
const READ: usize = 64 * 1024;

/// What moves the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Runtime {
    /// The relay's own ring driver.
    Own,
    /// monoio on io_uring.
    Monoio,
    /// glommio.
    Glommio,
    /// tokio, one thread, epoll.
    Tokio,
}

impl Runtime {
    /// In tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Own => "own ring",
            Self::Monoio => "monoio",
            Self::Glommio => "glommio",
            Self::Tokio => "tokio",
        }
    }
}

/// Serves until the process is ended.
///
/// # Errors
/// When the runtime cannot be had.
pub fn serve(runtime: Runtime, listener: TcpListener, tls: Option<Arc<ServerConfig>>) -> Result<(), BareError> {
    let room = Room::new(tls);
    match runtime {
        Runtime::Own => own::serve(listener, room),
        Runtime::Monoio => monoio::serve(listener, room),
        Runtime::Glommio => glommio::serve(listener, room),
        Runtime::Tokio => tokio::serve(listener, room),
    }
}

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
#[error("{runtime}: {why}")]
pub struct BareError {
    runtime: &'static str,
    why: String,
}

impl BareError {
    fn of<E: std::fmt::Display>(runtime: Runtime) -> impl FnOnce(E) -> Self {
        move |error| Self {
            runtime: runtime.name(),
            why: error.to_string(),
        }
    }
}

/// The peer broke the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Broken;

/// A connection in a [`Room`].
type Seat = usize;

/// Who is there, and what is owed to them.
struct Room {
    tls: Option<Arc<ServerConfig>>,
    seats: Vec<Option<Guest>>,
    free: Vec<Seat>,
    names: HashMap<u32, Seat>,
    dirty: Vec<Seat>,
    /// One read's plain bytes.
    plain: Vec<u8>,
}

struct Guest {
    tls: Option<Tls>,
    name: Option<u32>,
    kept: Vec<u8>,
    /// Owed, and not sealed yet.
    owed: Vec<u8>,
    /// Sealed, or said by TLS itself.
    out: Vec<u8>,
    dirty: bool,
}

impl Room {
    fn new(tls: Option<Arc<ServerConfig>>) -> Self {
        Self {
            tls,
            seats: Vec::new(),
            free: Vec::new(),
            names: HashMap::new(),
            dirty: Vec::new(),
            plain: Vec::new(),
        }
    }

    fn accepted(&mut self) -> Seat {
        let tls = self.tls.as_ref().and_then(|config| Tls::new(config).ok());
        let guest = Some(Guest {
            tls,
            name: None,
            kept: Vec::new(),
            owed: Vec::new(),
            out: Vec::new(),
            dirty: false,
        });
        match self.free.pop() {
            Some(seat) => {
                self.seats[seat] = guest;
                seat
            }
            None => {
                self.seats.push(guest);
                self.seats.len() - 1
            }
        }
    }

    fn gone(&mut self, seat: Seat) {
        if let Some(guest) = self.seats[seat].take() {
            self.free.push(seat);
            if let Some(name) = guest.name {
                self.names.remove(&name);
            }
        }
    }

    /// Takes what came; whoever is owed something because of it is in [`Room::next_dirty`].
    fn receive(&mut self, seat: Seat, bytes: &mut [u8]) -> Result<(), Broken> {
        let mut plain = std::mem::take(&mut self.plain);
        plain.clear();
        let taken = self.open(seat, bytes, &mut plain);
        let taken = taken.and_then(|()| self.take(seat, &plain));
        self.plain = plain;
        taken
    }

    fn open(&mut self, seat: Seat, bytes: &mut [u8], plain: &mut Vec<u8>) -> Result<(), Broken> {
        let Some(guest) = &mut self.seats[seat] else {
            return Err(Broken);
        };
        plain.append(&mut guest.kept);
        let Some(tls) = &mut guest.tls else {
            plain.extend_from_slice(bytes);
            return Ok(());
        };
        let state = tls
            .receive(bytes, &mut guest.out, &mut |record| plain.extend_from_slice(record))
            .map_err(|_| Broken)?;
        if !guest.out.is_empty() {
            self.owe(seat);
        }
        if matches!(state, TlsState::PeerClosed) {
            Err(Broken)
        } else {
            Ok(())
        }
    }

    fn take(&mut self, seat: Seat, bytes: &[u8]) -> Result<(), Broken> {
        let mut rest = bytes;
        while let Some((head, body)) = rest.split_first_chunk::<HEAD>() {
            let [a, b, c, d, to @ ..] = *head;
            let length = u32::from_le_bytes([a, b, c, d]) as usize;
            if length > LONGEST {
                return Err(Broken);
            }
            let Some((payload, after)) = body.split_at_checked(length) else {
                break;
            };
            self.route(seat, u32::from_le_bytes(to), payload);
            rest = after;
        }
        if let Some(guest) = &mut self.seats[seat] {
            guest.kept.extend_from_slice(rest);
        }
        Ok(())
    }

    fn route(&mut self, from: Seat, to: u32, payload: &[u8]) {
        let Some(guest) = &mut self.seats[from] else {
            return;
        };
        if guest.name.is_none() {
            guest.name = Some(to);
            self.names.insert(to, from);
            self.give(from, &[]);
        } else if to == ALL {
            for seat in 0..self.seats.len() {
                if seat != from {
                    self.give(seat, payload);
                }
            }
        } else if let Some(&seat) = self.names.get(&to) {
            self.give(seat, payload);
        }
    }

    fn give(&mut self, seat: Seat, payload: &[u8]) {
        let Some(guest) = &mut self.seats[seat] else {
            return;
        };
        guest.owed.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        guest.owed.extend_from_slice(&[0; HEAD / 2]);
        guest.owed.extend_from_slice(payload);
        self.owe(seat);
    }

    fn owe(&mut self, seat: Seat) {
        if let Some(guest) = &mut self.seats[seat]
            && !std::mem::replace(&mut guest.dirty, true)
        {
            self.dirty.push(seat);
        }
    }

    /// Somebody who is owed something, once until it is collected.
    fn next_dirty(&mut self) -> Option<Seat> {
        self.dirty.pop()
    }

    /// It is not collected now; whoever owes it more, or [`Room::owe`], brings it back.
    fn clean(&mut self, seat: Seat) {
        if let Some(guest) = &mut self.seats[seat] {
            guest.dirty = false;
        }
    }

    /// Moves what `seat` is owed behind `out`, sealed into as few records as it fits.
    fn collect(&mut self, seat: Seat, out: &mut Vec<u8>) {
        let Some(guest) = &mut self.seats[seat] else {
            return;
        };
        guest.dirty = false;
        out.append(&mut guest.out);
        match &mut guest.tls {
            None => out.append(&mut guest.owed),
            // Before the handshake is over nobody has a name, so nobody is owed anything but TLS' own bytes.
            Some(tls) => {
                let _ = tls.seal(&guest.owed, out);
                guest.owed.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ALL, Room};

    fn frame(to: u32, payload: &[u8]) -> Vec<u8> {
        [&(payload.len() as u32).to_le_bytes()[..], &to.to_le_bytes(), payload].concat()
    }

    fn owed(room: &mut Room, seat: usize) -> Vec<u8> {
        let mut out = Vec::new();
        room.collect(seat, &mut out);
        out
    }

    #[test]
    fn a_frame_reaches_whom_it_names_and_nobody_else_at_every_cut() {
        let mut said = frame(7, &[]);
        said.extend(frame(9, b"hello"));
        for cut in 0..=said.len() {
            let mut room = Room::new(None);
            let (alice, bob, carol) = (room.accepted(), room.accepted(), room.accepted());
            room.receive(bob, &mut frame(9, &[])).expect("a name");
            room.receive(carol, &mut frame(11, &[])).expect("a name");
            let (mut first, mut second) = (said[..cut].to_vec(), said[cut..].to_vec());
            room.receive(alice, &mut first).expect("a part of frames");
            room.receive(alice, &mut second).expect("the rest of them");
            assert_eq!(owed(&mut room, alice), frame(0, &[]), "cut at {cut}");
            assert_eq!(owed(&mut room, bob), [frame(0, &[]), frame(0, b"hello")].concat());
            assert_eq!(owed(&mut room, carol), frame(0, &[]));
        }
    }

    #[test]
    fn what_is_for_all_reaches_all_others() {
        let mut room = Room::new(None);
        let seats: Vec<_> = (0..3).map(|_| room.accepted()).collect();
        for (name, &seat) in seats.iter().enumerate() {
            room.receive(seat, &mut frame(name as u32, &[])).expect("a name");
            let _ = owed(&mut room, seat);
        }
        room.receive(seats[0], &mut frame(ALL, b"x")).expect("a frame");
        assert!(owed(&mut room, seats[0]).is_empty());
        assert_eq!(owed(&mut room, seats[1]), frame(0, b"x"));
        assert_eq!(owed(&mut room, seats[2]), frame(0, b"x"));
    }
}
