//! One connection: what is on its way in either direction, and what each side has said about its end.

use std::collections::VecDeque;
use std::time::Duration;

use commucat_client::HttpVersion;
use commucat_shard::input::ConnId;

use super::Completed;
use crate::agenda::{Agenda, Event};
use crate::dice::Dice;
use crate::ids::SessionNo;
use crate::weather::Weather;

/// How long the driver waits for the other side after FIN.
const LINGER: Duration = Duration::from_secs(2);

/// Where a connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    /// The shard asked for a graceful end: the outstanding send, then FIN.
    Ending,
    /// No byte moves any more.
    Broken,
}

/// A send that the kernel has not taken whole.
#[derive(Debug)]
pub(super) struct Sending {
    pub(super) bytes: Vec<u8>,
    pub(super) taken: usize,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(super) shard: u16,
    /// The client speaks HTTP/2.
    pub(super) http: HttpVersion,
    pub(super) conn: Option<ConnId>,
    /// It has had a name.
    pub(super) accepted: bool,
    /// The client has forgotten it.
    pub(super) hung_up: bool,
    pub(super) phase: Phase,
    pub(super) up: VecDeque<u8>,
    pub(super) up_fin: bool,
    up_fin_told: bool,
    pub(super) up_planned: bool,
    pub(super) down: VecDeque<u8>,
    pub(super) down_fin: bool,
    pub(super) sending: Option<Sending>,
    /// The shard has not handled the completion of its last send.
    pub(super) unreported: bool,
    pub(super) take_planned: bool,
    pub(super) read_planned: bool,
    pub(super) reading: bool,
    /// Bytes that were already with the kernel's buffers when the shard said Pause.
    pub(super) after_pause: usize,
}

impl Socket {
    pub(super) fn new(shard: u16, http: HttpVersion) -> Self {
        Self {
            shard,
            http,
            conn: None,
            accepted: false,
            hung_up: false,
            phase: Phase::Open,
            up: VecDeque::new(),
            up_fin: false,
            up_fin_told: false,
            up_planned: false,
            down: VecDeque::new(),
            down_fin: false,
            sending: None,
            unreported: false,
            take_planned: false,
            read_planned: false,
            reading: true,
            after_pause: 0,
        }
    }

    fn may_receive(&self) -> usize {
        if self.reading {
            self.up.len()
        } else {
            self.up.len().min(self.after_pause)
        }
    }

    pub(super) fn plan_up(&mut self, session: SessionNo, dice: &mut Dice, weather: &Weather, agenda: &mut Agenda) {
        let fin_due = self.up_fin && !self.up_fin_told && self.up.is_empty() && self.reading;
        let due = self.may_receive() > 0 || fin_due;
        if due && self.conn.is_some() && self.phase == Phase::Open && !self.up_planned {
            self.up_planned = true;
            agenda.plan(dice.skewed(weather.hop_us), Event::Up(session));
        }
    }

    /// The next receive, or the end of the read half.
    pub(super) fn receive(&mut self, conn: ConnId, dice: &mut Dice, weather: &Weather) -> Option<Completed> {
        if self.phase != Phase::Open {
            return None;
        }
        let most = self.may_receive().min(weather.read_max);
        if most > 0 {
            let whole = dice.below(4) != 0;
            let count = if whole {
                most
            } else {
                1 + dice.skewed(most as u64 - 1) as usize
            };
            if !self.reading {
                self.after_pause -= count;
            }
            return Some(Completed::Received {
                conn,
                bytes: self.up.drain(..count).collect(),
            });
        }
        if self.up_fin && !self.up_fin_told && self.up.is_empty() && self.reading {
            self.up_fin_told = true;
            return Some(Completed::Eof { conn });
        }
        None
    }

    pub(super) fn plan_take(&mut self, session: SessionNo, dice: &mut Dice, weather: &Weather, agenda: &mut Agenda) {
        let room = self.down.len() < weather.pipe;
        let wanted = self
            .sending
            .as_ref()
            .is_some_and(|sending| sending.taken < sending.bytes.len());
        if wanted && room && self.phase != Phase::Broken && !self.take_planned {
            self.take_planned = true;
            agenda.plan(dice.skewed(weather.hop_us), Event::Take(session));
        }
    }

    /// Takes what there is room for, or less; true when the send is whole. `half` is the kernel's lie of a canary test.
    pub(super) fn take(&mut self, dice: &mut Dice, weather: &Weather, half: bool) -> bool {
        let Some(sending) = &mut self.sending else { return false };
        let left = sending.bytes.len() - sending.taken;
        if left == 0 {
            return false;
        }
        let room = weather.pipe.saturating_sub(self.down.len()).min(left);
        let count = if dice.below(4) != 0 {
            room
        } else {
            dice.skewed(room as u64) as usize
        };
        self.down.extend(&sending.bytes[sending.taken..sending.taken + count]);
        sending.taken += count;
        if half {
            sending.taken = sending.bytes.len();
        }
        sending.taken == sending.bytes.len()
    }

    pub(super) fn plan_read(&mut self, session: SessionNo, dice: &mut Dice, weather: &Weather, agenda: &mut Agenda) {
        if !self.read_planned {
            self.read_planned = true;
            agenda.plan(dice.skewed(weather.hop_us), Event::Read(session));
        }
    }

    /// FIN: the client reads the rest and the end; the driver closes when the linger is over.
    pub(super) fn finish_down(&mut self, session: SessionNo, dice: &mut Dice, weather: &Weather, agenda: &mut Agenda) {
        self.down_fin = true;
        self.plan_read(session, dice, weather, agenda);
        agenda.plan(dice.below(LINGER.as_micros() as u64), Event::Gone(session));
    }

    /// Breaks the connection under both sides; false when it was broken already. A send that was taken whole keeps its
    /// completion, any other is cancelled.
    pub(super) fn break_off(&mut self) -> bool {
        let first = self.phase != Phase::Broken;
        self.phase = Phase::Broken;
        self.up.clear();
        self.down.clear();
        self.cancel_send();
        first
    }

    fn cancel_send(&mut self) {
        if self
            .sending
            .as_ref()
            .is_some_and(|sending| sending.taken < sending.bytes.len())
        {
            self.sending = None;
        }
    }

    /// The relay's side ends at once; the client may still read what the kernel had taken. False when already over.
    pub(super) fn abort(
        &mut self,
        session: SessionNo,
        dice: &mut Dice,
        weather: &Weather,
        agenda: &mut Agenda,
    ) -> bool {
        if self.phase == Phase::Broken {
            return false;
        }
        self.phase = Phase::Broken;
        self.up.clear();
        self.cancel_send();
        if dice.below(2) == 0 {
            self.down.clear();
        }
        self.plan_read(session, dice, weather, agenda);
        true
    }
}
