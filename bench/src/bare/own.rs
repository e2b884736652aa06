//! On the relay's own ring driver: what the relay would be without CCP-1, HTTP and everything above.

use std::net::TcpListener;

use commucat_ring::{Ending, Event, Ring, RingConfig, SocketId};

use super::{BareError, Room, Runtime, Seat};

/// A connection of the ring.
#[derive(Default)]
struct Line {
    id: Option<SocketId>,
    /// A send is with the kernel.
    busy: bool,
    /// It is owed more by then.
    again: bool,
    spare: Vec<u8>,
}

pub(super) fn serve(listener: TcpListener, room: Room) -> Result<(), BareError> {
    let mut ring = Ring::new(RingConfig::default()).map_err(BareError::of(Runtime::Own))?;
    ring.listen(listener, 0).map_err(BareError::of(Runtime::Own))?;
    let mut desk = Desk {
        room,
        lines: Vec::new(),
        seats: std::collections::HashMap::new(),
        broken: Vec::new(),
    };
    loop {
        ring.reap(&mut |event| desk.on(event));
        while let Some(id) = desk.broken.pop() {
            ring.close(id, Ending::Abort);
        }
        while let Some(seat) = desk.room.next_dirty() {
            desk.send(&mut ring, seat);
        }
        ring.wait(None).map_err(BareError::of(Runtime::Own))?;
    }
}

struct Desk {
    room: Room,
    lines: Vec<Line>,
    seats: std::collections::HashMap<SocketId, Seat>,
    broken: Vec<SocketId>,
}

impl Desk {
    fn on(&mut self, event: Event<'_>) {
        match event {
            Event::Accepted { id, .. } => {
                let seat = self.room.accepted();
                if self.lines.len() <= seat {
                    self.lines.resize_with(seat + 1, Line::default);
                }
                self.lines[seat] = Line {
                    id: Some(id),
                    ..Line::default()
                };
                self.seats.insert(id, seat);
            }
            Event::Received { id, bytes } => {
                if let Some(&seat) = self.seats.get(&id)
                    && self.room.receive(seat, bytes).is_err()
                {
                    self.broken.push(id);
                }
            }
            Event::Sent { id, mut buffer } => {
                if let Some(&seat) = self.seats.get(&id) {
                    buffer.clear();
                    let line = &mut self.lines[seat];
                    line.busy = false;
                    line.spare = buffer;
                    if std::mem::take(&mut line.again) {
                        self.room.owe(seat);
                    }
                }
            }
            Event::Eof { id } => self.broken.push(id),
            Event::Closed { id } => {
                if let Some(seat) = self.seats.remove(&id) {
                    self.lines[seat] = Line::default();
                    self.room.gone(seat);
                }
            }
            Event::Rung => {}
        }
    }

    fn send(&mut self, ring: &mut Ring, seat: Seat) {
        let Some(line) = self.lines.get_mut(seat) else {
            return;
        };
        let Some(id) = line.id else { return };
        if line.busy {
            line.again = true;
            self.room.clean(seat);
            return;
        }
        let mut out = std::mem::take(&mut line.spare);
        self.room.collect(seat, &mut out);
        if out.is_empty() {
            line.spare = out;
            return;
        }
        line.busy = true;
        ring.send(id, out);
    }
}
