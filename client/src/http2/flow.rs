//! Flow control, both ways (RFC 9113 §5.2, §6.9).
//!
//! Invariant: a send window may be negative (after SETTINGS lowered it) but never exceeds 2^31-1; a receive window is
//! what we announced minus what came, and is given back in halves so that one update serves many frames.

use super::frame::write_window_update;
use crate::http::HttpError;
use crate::limits::HTTP2_WINDOW;

const MAX_WINDOW: i64 = 0x7fff_ffff;

/// What every HTTP/2 connection starts with, before any SETTINGS.
pub(super) const DEFAULT_WINDOW: u32 = 65_535;

/// How much the server lets us send.
#[derive(Debug)]
pub(super) struct SendWindow(i64);

impl SendWindow {
    pub(super) fn new() -> Self {
        Self(i64::from(DEFAULT_WINDOW))
    }

    pub(super) fn available(&self) -> usize {
        usize::try_from(self.0).unwrap_or(0)
    }

    pub(super) fn spend(&mut self, octets: usize) {
        assert!(octets <= self.available(), "sent more than the window allows");
        self.0 -= octets as i64;
    }

    /// A WINDOW_UPDATE arrived.
    pub(super) fn widen(&mut self, increment: u32) -> Result<(), HttpError> {
        if increment == 0 {
            return Err(HttpError::Protocol {
                section: "RFC 9113 §6.9",
                what: "a window increment of zero",
            });
        }
        self.shift(i64::from(increment))
    }

    /// SETTINGS_INITIAL_WINDOW_SIZE moved an open stream's window.
    pub(super) fn shift(&mut self, by: i64) -> Result<(), HttpError> {
        self.0 += by;
        if self.0 > MAX_WINDOW {
            return Err(HttpError::Protocol {
                section: "RFC 9113 §6.9.1",
                what: "a window beyond 2^31-1",
            });
        }
        Ok(())
    }
}

/// How much the server may still send us.
#[derive(Debug)]
pub(super) struct ReceiveWindow {
    left: u32,
    owed: u32,
}

impl ReceiveWindow {
    pub(super) fn new() -> Self {
        Self {
            left: HTTP2_WINDOW,
            owed: 0,
        }
    }

    /// A DATA frame of `octets`, padding included, arrived.
    pub(super) fn receive(&mut self, octets: usize) -> Result<(), HttpError> {
        let too_much = HttpError::Protocol {
            section: "RFC 9113 §6.9",
            what: "more data than the window allows",
        };
        let octets = u32::try_from(octets).map_err(|_| too_much.clone())?;
        self.left = self.left.checked_sub(octets).ok_or(too_much)?;
        self.owed += octets;
        Ok(())
    }

    /// Gives back what was received once it is worth a frame.
    pub(super) fn replenish(&mut self, stream: u32, out: &mut Vec<u8>) {
        if self.owed >= HTTP2_WINDOW / 2 {
            write_window_update(stream, self.owed, out);
            self.left += self.owed;
            self.owed = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ReceiveWindow, SendWindow};
    use crate::limits::HTTP2_WINDOW;

    #[test]
    fn a_lowered_initial_window_may_make_a_window_negative_and_updates_bring_it_back() {
        let mut window = SendWindow::new();
        window.spend(65_535);
        window.shift(-1_000).expect("within bounds");
        assert_eq!(window.available(), 0);
        window.widen(1_500).expect("within bounds");
        assert_eq!(window.available(), 500);
        assert!(window.widen(0).is_err());
        assert!(window.widen(0x7fff_ffff).is_err());
    }

    #[test]
    fn a_receive_window_is_given_back_in_halves_and_never_overrun() {
        let (mut window, mut out) = (ReceiveWindow::new(), Vec::new());
        let half = (HTTP2_WINDOW / 2) as usize;
        window.receive(half - 1).expect("allowed");
        window.replenish(1, &mut out);
        assert!(out.is_empty());
        window.receive(1).expect("allowed");
        window.replenish(1, &mut out);
        assert_eq!(out, [0, 0, 4, 8, 0, 0, 0, 0, 1, 0, 8, 0, 0]);
        assert!(window.receive(2 * half + 1).is_err());
    }
}
