//! The fake ring: connections as byte pipes, with everything a kernel may do to them. It keeps the driver's side of the
//! boundary (`shard/src/input.rs`) and holds the shard to the other side (`shard/src/effect.rs`).
//!
//! Invariants: completions of one connection reach the shard in order; `Closed` is the last of them and comes once; a
//! slot has a new tenant only after that.

mod socket;

use std::collections::{BTreeMap, BTreeSet};

use commucat_client::HttpVersion;
use commucat_shard::effect::{Ending, Reading};
use commucat_shard::input::ConnId;

use socket::Phase;
pub(crate) use socket::Socket;

use crate::agenda::{Agenda, Event};
use crate::dice::Dice;
use crate::ids::SessionNo;
use crate::sabotage::Sabotage;
use crate::weather::Weather;

/// A completion for a shard's queue.
#[derive(Debug)]
pub(crate) enum Completed {
    Accepted {
        conn: ConnId,
        session: SessionNo,
        /// The client will speak HTTP/2; for the tap alone.
        http: HttpVersion,
    },
    Received {
        conn: ConnId,
        bytes: Vec<u8>,
    },
    Eof {
        conn: ConnId,
    },
    Sent {
        conn: ConnId,
        session: SessionNo,
        buffer: Vec<u8>,
    },
    Closed {
        conn: ConnId,
        session: SessionNo,
    },
}

/// How long a connection waits in the listener's backlog before the full driver looks again.
const BACKLOG_US: u64 = 50_000;

/// What the shard did that the boundary forbids.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Breach {
    #[error("{0}: a second send while one is outstanding")]
    SecondSend(SessionNo),
    #[error("{0}: an empty send")]
    EmptySend(SessionNo),
    #[error("{0}: a send after Close")]
    SendAfterClose(SessionNo),
    #[error("{0:?}: an effect for a connection that was never accepted, or whose Closed was handled")]
    UnknownConnection(ConnId),
}

/// One shard's descriptor table.
#[derive(Default)]
struct Table {
    free: Vec<u32>,
    generations: Vec<u32>,
    live: BTreeMap<ConnId, SessionNo>,
    /// Connections whose `Closed` the shard has handled.
    told: BTreeSet<ConnId>,
}

/// All shards' rings.
pub(crate) struct Ring {
    tables: Vec<Table>,
    sockets: BTreeMap<SessionNo, Socket>,
    dice: Dice,
    sabotage: Option<Sabotage>,
}

impl Ring {
    pub(crate) fn new(shards: u16, dice: Dice, sabotage: Option<Sabotage>) -> Self {
        Self {
            tables: (0..shards).map(|_| Table::default()).collect(),
            sockets: BTreeMap::new(),
            dice,
            sabotage,
        }
    }

    /// A client dials; the listener of `shard` will take it.
    pub(crate) fn dial(
        &mut self,
        session: SessionNo,
        shard: u16,
        http: HttpVersion,
        weather: &Weather,
        agenda: &mut Agenda,
    ) {
        self.sockets.insert(session, Socket::new(shard, http));
        agenda.plan(self.dice.skewed(weather.hop_us), Event::Accept(session));
    }

    /// The listener takes a connection: the slot that became free last gets a new tenant.
    pub(crate) fn accept(
        &mut self,
        session: SessionNo,
        weather: &Weather,
        agenda: &mut Agenda,
    ) -> Option<(u16, Completed)> {
        let socket = self.sockets.get_mut(&session)?;
        let table = &mut self.tables[usize::from(socket.shard)];
        if table.live.len() >= weather.limits.connections as usize {
            agenda.plan(BACKLOG_US, Event::Accept(session));
            return None;
        }
        let slot = table.free.pop().unwrap_or_else(|| {
            table.generations.push(0);
            table.generations.len() as u32 - 1
        });
        table.generations[slot as usize] += 1;
        let conn = ConnId {
            slot,
            generation: table.generations[slot as usize],
        };
        table.live.insert(conn, session);
        (socket.conn, socket.accepted) = (Some(conn), true);
        if socket.phase == Phase::Broken {
            agenda.plan(self.dice.skewed(weather.hop_us), Event::Gone(session));
        } else {
            agenda.plan(self.dice.skewed(weather.hop_us), Event::Up(session));
        }
        Some((
            socket.shard,
            Completed::Accepted {
                conn,
                session,
                http: socket.http,
            },
        ))
    }

    /// A completion of an earlier tenant, which a driver may find late: the shard ignores it.
    pub(crate) fn late(&mut self, shard: u16) -> Option<(u16, Completed)> {
        let told: Vec<ConnId> = self.tables[usize::from(shard)].told.iter().copied().collect();
        if told.is_empty() || self.dice.below(8) != 0 {
            return None;
        }
        let conn = *self.dice.pick(&told);
        Some((
            shard,
            match self.dice.below(2) {
                0 => Completed::Eof { conn },
                _ => Completed::Received {
                    conn,
                    bytes: b"GET / HTTP/1.1\r\n\r\n".to_vec(),
                },
            },
        ))
    }

    /// Nobody listens: the client finds the door closed.
    pub(crate) fn refuse(&mut self, session: SessionNo) {
        self.sockets.remove(&session);
    }

    /// A client writes.
    pub(crate) fn write(&mut self, session: SessionNo, bytes: &[u8], weather: &Weather, agenda: &mut Agenda) {
        if let Some(socket) = self.sockets.get_mut(&session)
            && socket.phase != Phase::Broken
        {
            socket.up.extend(bytes);
            socket.plan_up(session, &mut self.dice, weather, agenda);
        }
    }

    /// A client will write no more.
    pub(crate) fn finish(&mut self, session: SessionNo, weather: &Weather, agenda: &mut Agenda) {
        if let Some(socket) = self.sockets.get_mut(&session) {
            socket.up_fin = true;
            socket.plan_up(session, &mut self.dice, weather, agenda);
        }
    }

    /// The client's side is gone, and the connection breaks under the relay if it still has it.
    pub(crate) fn hang_up(&mut self, session: SessionNo, weather: &Weather, agenda: &mut Agenda) {
        let Some(socket) = self.sockets.get_mut(&session) else {
            return;
        };
        socket.hung_up = true;
        let first = socket.break_off();
        if socket.conn.is_some() && first {
            agenda.plan(self.dice.skewed(weather.hop_us), Event::Gone(session));
        } else if socket.conn.is_none() && socket.accepted {
            self.sockets.remove(&session);
        }
    }

    /// Bytes of a client arrive, as many as the kernel pleases; the read half's end comes after the last of them.
    pub(crate) fn up(
        &mut self,
        session: SessionNo,
        weather: &Weather,
        agenda: &mut Agenda,
    ) -> Option<(u16, Completed)> {
        let socket = self.sockets.get_mut(&session)?;
        socket.up_planned = false;
        let conn = socket.conn?;
        let completed = socket.receive(conn, &mut self.dice, weather);
        socket.plan_up(session, &mut self.dice, weather, agenda);
        let mut completed = completed?;
        if self.sabotage == Some(Sabotage::RingLosesByte)
            && let Completed::Received { bytes, .. } = &mut completed
            && bytes.len() > 1
            && self.dice.below(100) == 0
        {
            bytes.pop();
        }
        Some((socket.shard, completed))
    }

    /// The kernel takes bytes of the outstanding send; true when it took the last.
    pub(crate) fn take(&mut self, session: SessionNo, weather: &Weather, agenda: &mut Agenda) -> bool {
        let Some(socket) = self.sockets.get_mut(&session) else {
            return false;
        };
        socket.take_planned = false;
        if socket.phase == Phase::Broken {
            return false;
        }
        let half = self.sabotage == Some(Sabotage::RingSendsHalf) && self.dice.below(40) == 0;
        let whole = socket.take(&mut self.dice, weather, half);
        if !socket.down.is_empty() {
            socket.plan_read(session, &mut self.dice, weather, agenda);
        }
        if whole {
            agenda.plan(self.dice.skewed(weather.sent_late_us), Event::Sent(session));
        } else {
            socket.plan_take(session, &mut self.dice, weather, agenda);
        }
        whole
    }

    /// The completion of a send that was taken whole. A break after that does not undo it.
    pub(crate) fn sent(
        &mut self,
        session: SessionNo,
        weather: &Weather,
        agenda: &mut Agenda,
    ) -> Option<(u16, Completed)> {
        let socket = self.sockets.get_mut(&session)?;
        let conn = socket.conn?;
        let buffer = socket.sending.take()?.bytes;
        if socket.phase == Phase::Ending {
            socket.finish_down(session, &mut self.dice, weather, agenda);
        }
        Some((socket.shard, Completed::Sent { conn, session, buffer }))
    }

    /// The client reads up to `most` bytes. The second value tells that nothing more will ever come.
    pub(crate) fn read(
        &mut self,
        session: SessionNo,
        most: usize,
        weather: &Weather,
        agenda: &mut Agenda,
    ) -> (Vec<u8>, bool) {
        let Some(socket) = self.sockets.get_mut(&session) else {
            return (Vec::new(), true);
        };
        socket.read_planned = false;
        let count = most.min(socket.down.len());
        let bytes: Vec<u8> = socket.down.drain(..count).collect();
        if !socket.down.is_empty() {
            socket.plan_read(session, &mut self.dice, weather, agenda);
        }
        socket.plan_take(session, &mut self.dice, weather, agenda);
        let over = socket.down.is_empty() && (socket.down_fin || socket.phase == Phase::Broken);
        (bytes, over)
    }

    /// Bytes of a client that the relay has not received.
    pub(crate) fn unread(&self, session: SessionNo) -> usize {
        self.sockets.get(&session).map_or(0, |socket| socket.up.len())
    }

    /// A client that does not read now looks again after `delay`.
    pub(crate) fn stalled(&mut self, session: SessionNo, delay: u64, agenda: &mut Agenda) {
        if let Some(socket) = self.sockets.get_mut(&session) {
            socket.read_planned = true;
            agenda.plan(delay, Event::Read(session));
        }
    }

    /// The driver finds the connection over: its last completions, and its slot is free.
    pub(crate) fn gone(&mut self, session: SessionNo) -> Option<(u16, Vec<Completed>)> {
        let socket = self.sockets.get_mut(&session)?;
        let conn = socket.conn.take()?;
        socket.break_off();
        let mut last = Vec::new();
        if let Some(sending) = socket.sending.take() {
            last.push(Completed::Sent {
                conn,
                session,
                buffer: sending.bytes,
            });
        }
        last.push(Completed::Closed { conn, session });
        let table = &mut self.tables[usize::from(socket.shard)];
        table.live.remove(&conn);
        table.free.push(conn.slot);
        let shard = socket.shard;
        if socket.hung_up {
            self.sockets.remove(&session);
        }
        Some((shard, last))
    }

    /// The shard has handled a connection's `Closed`: it must not name it again.
    pub(crate) fn told_closed(&mut self, shard: u16, conn: ConnId) {
        self.tables[usize::from(shard)].told.insert(conn);
    }

    /// The shard asks for a send. Nothing happens when the connection broke meanwhile.
    pub(crate) fn send(
        &mut self,
        shard: u16,
        conn: ConnId,
        bytes: Vec<u8>,
        weather: &Weather,
        agenda: &mut Agenda,
    ) -> Result<Option<SessionNo>, Breach> {
        let Some((session, socket)) = self.find(shard, conn)? else {
            return Ok(None);
        };
        if bytes.is_empty() {
            return Err(Breach::EmptySend(session));
        }
        if socket.sending.is_some() || socket.unreported {
            return Err(Breach::SecondSend(session));
        }
        match socket.phase {
            Phase::Ending => return Err(Breach::SendAfterClose(session)),
            Phase::Broken => return Ok(Some(session)),
            Phase::Open => {}
        }
        socket.unreported = true;
        socket.sending = Some(socket::Sending { bytes, taken: 0 });
        let Self { sockets, dice, .. } = self;
        if let Some(socket) = sockets.get_mut(&session) {
            socket.plan_take(session, dice, weather, agenda);
        }
        Ok(Some(session))
    }

    /// The shard has handled a send's completion: it may send again.
    pub(crate) fn reported(&mut self, session: SessionNo) {
        if let Some(socket) = self.sockets.get_mut(&session) {
            socket.unreported = false;
        }
    }

    /// The shard asks to stop or to go on receiving.
    pub(crate) fn set_reading(
        &mut self,
        shard: u16,
        conn: ConnId,
        reading: Reading,
        weather: &Weather,
        agenda: &mut Agenda,
    ) -> Result<(), Breach> {
        let Some((session, socket)) = self.find(shard, conn)? else {
            return Ok(());
        };
        socket.reading = reading == Reading::Resume;
        socket.after_pause = weather.after_pause;
        let Self { sockets, dice, .. } = self;
        if let Some(socket) = sockets.get_mut(&session) {
            socket.plan_up(session, dice, weather, agenda);
        }
        Ok(())
    }

    /// The shard asks to end a connection.
    pub(crate) fn close(
        &mut self,
        shard: u16,
        conn: ConnId,
        ending: Ending,
        weather: &Weather,
        agenda: &mut Agenda,
    ) -> Result<(), Breach> {
        let Some((session, _)) = self.find(shard, conn)? else {
            return Ok(());
        };
        let Self { sockets, dice, .. } = self;
        let Some(socket) = sockets.get_mut(&session) else {
            return Ok(());
        };
        match ending {
            Ending::Abort => {
                if socket.abort(session, dice, weather, agenda) {
                    agenda.plan(dice.skewed(weather.hop_us), Event::Gone(session));
                }
            }
            Ending::Graceful if socket.phase == Phase::Open => {
                socket.phase = Phase::Ending;
                if socket.sending.is_none() {
                    socket.finish_down(session, dice, weather, agenda);
                }
            }
            Ending::Graceful => {}
        }
        Ok(())
    }

    /// Who is behind a name. `None`: the connection is over and the shard cannot know yet.
    fn find(&mut self, shard: u16, conn: ConnId) -> Result<Option<(SessionNo, &mut Socket)>, Breach> {
        let table = &self.tables[usize::from(shard)];
        let Some(session) = table.live.get(&conn).copied() else {
            let used = table
                .generations
                .get(conn.slot as usize)
                .is_some_and(|last| conn.generation <= *last);
            let known = used && !table.told.contains(&conn);
            return if known {
                Ok(None)
            } else {
                Err(Breach::UnknownConnection(conn))
            };
        };
        Ok(self.sockets.get_mut(&session).map(|socket| (session, socket)))
    }

    /// The process died: every connection breaks, nobody is told `Closed`.
    pub(crate) fn crash(&mut self) -> Vec<SessionNo> {
        for table in &mut self.tables {
            *table = Table::default();
        }
        std::mem::take(&mut self.sockets).into_keys().collect()
    }

    /// Connections that the relay still has.
    pub(crate) fn open(&self) -> usize {
        self.tables.iter().map(|table| table.live.len()).sum()
    }
}
