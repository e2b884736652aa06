//! `noise-transport` (decisions § 5): frames in Noise messages, from step 3 on.

use commucat_crypto::{NoiseStage, NoiseStageError, Transport};
use commucat_proto::frame::{self, Parsed};
use commucat_proto::{FrameLimits, FrameType, Stage};

/// What lies between our frames and the body.
pub(super) struct Sealed {
    stage: NoiseStage,
    /// Frames that are not sealed yet: as many as there are when the wire is asked for become one message.
    pub(super) frames: Vec<u8>,
    /// Body bytes that are not opened yet.
    pub(super) arrived: Vec<u8>,
    /// The relay has sealed something, so it has seen our proof.
    heard: bool,
    pub(super) failure: Option<NoiseStageError>,
}

impl Sealed {
    pub(super) fn new(transport: Transport) -> Self {
        Self {
            stage: NoiseStage::new(transport),
            frames: Vec::new(),
            arrived: Vec::new(),
            heard: false,
            failure: None,
        }
    }

    /// Opens what has arrived whole, and appends its frames to `inbound`.
    pub(super) fn open(&mut self, inbound: &mut Vec<u8>) {
        let mut used = 0;
        while self.failure.is_none() {
            match self.stage.open_next(&self.arrived[used..], inbound) {
                Ok(None) => break,
                Ok(Some(length)) => {
                    used += length;
                    self.heard = true;
                }
                Err(error) => {
                    let rest = &self.arrived[used..];
                    if !self.heard && is_error(rest) {
                        inbound.extend_from_slice(rest);
                        used = self.arrived.len();
                    } else {
                        self.failure = Some(error);
                    }
                    break;
                }
            }
        }
        self.arrived.drain(..used);
    }

    /// Seals the frames that wait.
    pub(super) fn seal(&mut self, out: &mut Vec<u8>) {
        if !self.frames.is_empty() {
            self.failure = self.stage.seal(&self.frames, out).err().or(self.failure.take());
            self.frames.clear();
        }
    }

    pub(super) fn shrink(&mut self) {
        self.frames.shrink_to_fit();
        self.arrived.shrink_to_fit();
    }
}

/// A relay that gave up before it saw our proof says so without sealing it. There is nothing to believe in it but that it
/// is the end.
fn is_error(bytes: &[u8]) -> bool {
    matches!(
        frame::parse(bytes, &FrameLimits::default()),
        Ok(Parsed::Frame { frame, .. }) if frame.kind == FrameType::Error
    )
}
