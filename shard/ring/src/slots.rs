//! The table of connections, one small record per direct descriptor.
//!
//! Invariant: a slot is `Free` exactly when the kernel's table has no file at that index, and its generation grows with
//! every tenant, so that an id names one connection for ever (up to 2³² tenants of one slot).

use crate::send::Outgoing;

/// One accepted connection: the index of its direct descriptor, and how often that index has been used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId {
    /// Below [`crate::RingConfig::connections`].
    pub slot: u32,
    /// Counts the tenants of the slot, from 1.
    pub generation: u32,
}

/// Where a connection is in its life. It only moves down this list, steps may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Life {
    /// Bytes flow.
    Open,
    /// Graceful close, waiting for the outstanding send. Input is discarded.
    Flushing,
    /// FIN sent, discarding input until the peer's FIN.
    Lingering,
    /// Waiting for the last completions of its operations.
    Dying,
    /// The descriptor is being closed.
    Closing,
    /// No tenant.
    Free,
}

/// The multishot receive of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Receiving {
    /// None in flight.
    Idle,
    /// In flight.
    Armed,
    /// In flight and asked to end.
    Cancelling,
    /// Ended for want of a buffer; queued to be armed again.
    Starved,
}

/// What the driver knows about one connection.
pub(crate) struct Conn {
    generation: u32,
    pub(crate) life: Life,
    pub(crate) receiving: Receiving,
    /// Whether receiving is wanted (`pause` clears it).
    pub(crate) reading: bool,
    /// The peer's FIN was seen.
    pub(crate) eof: bool,
    /// The FIN is with a kernel worker, which looks the descriptor up only when it gets to it.
    pub(crate) finning: bool,
    /// Armed from the queue of the starved with the last submission, and given nothing yet.
    pub(crate) first_try: bool,
    pub(crate) outgoing: Outgoing,
}

const _: () = assert!(
    size_of::<Conn>() <= 56,
    "an idle connection costs its slot and nothing else: keep it small"
);

impl Conn {
    const FREE: Conn = Conn {
        generation: 0,
        life: Life::Free,
        receiving: Receiving::Idle,
        reading: false,
        eof: false,
        finning: false,
        first_try: false,
        outgoing: Outgoing::NONE,
    };

    /// Whether no operation of this tenant is in flight.
    pub(crate) fn is_quiet(&self) -> bool {
        self.receiving == Receiving::Idle && self.outgoing.is_quiet() && !self.finning
    }

    /// Whether a receive should be in flight.
    pub(crate) fn wants_input(&self) -> bool {
        self.reading && !self.eof && self.life < Life::Dying
    }
}

/// The table.
#[derive(Default)]
pub(crate) struct Slots {
    conns: Vec<Conn>,
    live: u32,
}

impl Slots {
    pub(crate) fn new(capacity: u32) -> Slots {
        Slots {
            conns: (0..capacity).map(|_| Conn::FREE).collect(),
            live: 0,
        }
    }

    /// Slots without a tenant.
    pub(crate) fn free(&self) -> u32 {
        self.conns.len() as u32 - self.live
    }

    pub(crate) fn live(&self) -> u32 {
        self.live
    }

    /// The connection, unless it is gone.
    pub(crate) fn get(&mut self, id: SocketId) -> Option<&mut Conn> {
        self.conns
            .get_mut(id.slot as usize)
            .filter(|conn| conn.generation == id.generation && conn.life != Life::Free)
    }

    /// Who lives at an index.
    pub(crate) fn tenant(&self, slot: u32) -> Option<SocketId> {
        let conn = self.conns.get(slot as usize)?;
        (conn.life != Life::Free).then_some(SocketId {
            slot,
            generation: conn.generation,
        })
    }

    /// Moves a new tenant in. The slot is one the kernel has just filled.
    pub(crate) fn open(&mut self, slot: u32) -> SocketId {
        let conn = &mut self.conns[slot as usize];
        assert!(conn.life == Life::Free, "slot {slot} has a tenant already");
        let generation = conn.generation.wrapping_add(1).max(1);
        *conn = Conn {
            generation,
            life: Life::Open,
            reading: true,
            ..Conn::FREE
        };
        self.live += 1;
        SocketId { slot, generation }
    }

    /// Moves the tenant out; the generation stays behind for the next. False if it had gone already.
    pub(crate) fn vacate(&mut self, id: SocketId) -> bool {
        let Some(conn) = self.get(id) else {
            return false;
        };
        assert!(
            conn.is_quiet(),
            "a slot is vacated after the last completion of its operations"
        );
        *conn = Conn {
            generation: conn.generation,
            ..Conn::FREE
        };
        self.live -= 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reused_slot_has_a_higher_generation_and_the_old_id_is_stale() {
        let mut slots = Slots::new(1);
        let first = slots.open(0);
        assert!(slots.vacate(first));
        let second = slots.open(0);
        assert!(second.generation > first.generation);
        assert!(slots.get(first).is_none());
        assert!(!slots.vacate(first));
        assert!(slots.get(second).is_some());
        assert_eq!(slots.free(), 0);
    }

    #[test]
    fn an_id_outside_the_table_is_stale() {
        assert!(Slots::new(1).get(SocketId { slot: 7, generation: 1 }).is_none());
    }
}
