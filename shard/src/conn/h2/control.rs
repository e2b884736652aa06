//! Frames of fixed parts: SETTINGS, PING, GOAWAY, RST_STREAM, WINDOW_UPDATE.

use super::frame;
use super::receive::Step;
use super::streams::widen;
use super::{Code, H2, H2Error, H2Event, Stage};
use crate::conn::limits;

/// What SETTINGS costs of the control budget: each is acknowledged and may touch every stream.
const SETTINGS_COST: u32 = 4;

impl H2 {
    pub(super) fn begin_settings<'a>(&mut self) -> Step<'a> {
        let len = self.frame.left;
        self.greeted = true;
        if self.frame.has(frame::ACK) {
            self.charge(1)?;
            self.stage = Stage::FrameHeader;
            return if len == 0 {
                Ok(None)
            } else {
                Err(H2Error::FrameSize("acknowledgement with a payload"))
            };
        }
        if !len.is_multiple_of(6) {
            return Err(H2Error::FrameSize("SETTINGS that are no multiple of 6"));
        }
        self.charge(SETTINGS_COST + len / 6)?;
        self.stage = Stage::Settings(false);
        Ok(self.settings_if_done(false))
    }

    pub(super) fn settings_if_done<'a>(&mut self, opened: bool) -> Option<H2Event<'a>> {
        if self.frame.left > 0 {
            return None;
        }
        self.stage = Stage::FrameHeader;
        self.pending
            .extend_from_slice(&frame::header(0, frame::SETTINGS, frame::ACK, 0));
        opened.then_some(H2Event::Writable { stream: 0 })
    }

    /// Carries out one setting; whether it opened windows. Those not named here do not concern a server that pushes nothing,
    /// indexes nothing and sends frames of 16 KiB.
    pub(super) fn setting(&mut self, entry: [u8; 6]) -> Result<bool, H2Error> {
        let [i0, i1, v0, v1, v2, v3] = entry;
        let value = u32::from_be_bytes([v0, v1, v2, v3]);
        match u16::from_be_bytes([i0, i1]) {
            frame::SETTING_ENABLE_PUSH if value > 1 => Err(H2Error::Protocol("ENABLE_PUSH above 1")),
            frame::SETTING_MAX_FRAME_SIZE if !(1 << 14..1 << 24).contains(&value) => {
                Err(H2Error::Protocol("MAX_FRAME_SIZE out of range"))
            }
            frame::SETTING_INITIAL_WINDOW_SIZE => {
                const OVERFLOW: H2Error = H2Error::FlowControl("INITIAL_WINDOW_SIZE out of range");
                let initial = i32::try_from(value).map_err(|_| OVERFLOW)?;
                let change = i64::from(initial) - i64::from(self.initial_send);
                for open in self.streams.iter_mut() {
                    open.send = widen(open.send, change).ok_or(OVERFLOW)?;
                }
                self.initial_send = initial;
                Ok(change > 0)
            }
            _ => Ok(false),
        }
    }

    pub(super) fn fixed4<'a>(&mut self, octets: [u8; 4]) -> Step<'a> {
        self.stage = Stage::FrameHeader;
        let value = u32::from_be_bytes(octets);
        let stream = self.frame.stream;
        if self.frame.kind == frame::WINDOW_UPDATE {
            return self.on_window_update(stream, value & 0x7fff_ffff);
        }
        if self.forget(stream) {
            self.charge_reset()?;
            return Ok(Some(H2Event::Reset { stream, code: value }));
        }
        self.charge(1)?;
        Ok(None)
    }

    fn on_window_update<'a>(&mut self, stream: u32, octets: u32) -> Step<'a> {
        if octets < limits::H2_SMALL_UPDATE {
            self.charge(1)?;
        }
        if stream == 0 {
            if octets == 0 {
                return Err(H2Error::Protocol("WINDOW_UPDATE of 0"));
            }
            let send = widen(self.send, i64::from(octets));
            self.send = send.ok_or(H2Error::FlowControl("connection window overflows"))?;
            return Ok(Some(H2Event::Writable { stream: 0 }));
        }
        let Some(open) = self.streams.get_mut(stream) else {
            return Ok(None);
        };
        if octets == 0 {
            return self.stream_error(stream, Code::Protocol);
        }
        match widen(open.send, i64::from(octets)) {
            Some(send) => {
                open.send = send;
                Ok(Some(H2Event::Writable { stream }))
            }
            None => self.stream_error(stream, Code::FlowControl),
        }
    }

    pub(super) fn fixed8<'a>(&mut self, octets: [u8; 8]) -> Step<'a> {
        self.frame.left -= 8;
        self.skip();
        if self.frame.kind == frame::GOAWAY {
            return Ok(Some(H2Event::GoAway));
        }
        if self.frame.has(frame::ACK) {
            return Ok(Some(H2Event::Pong(octets)));
        }
        frame::ping(octets, frame::ACK, &mut self.pending);
        Ok(None)
    }
}
