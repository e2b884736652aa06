//! From the inbound buffer to events.

use commucat_proto::control::{self, Ack, Auth, Problem, Ready};
use commucat_proto::frame::{self, Parsed};
use commucat_proto::{ChannelId, Diagnostic, FrameType, Sequence};

use super::{Connection, Found, Stage};
use crate::error::ClientError;
use crate::limits::REFUSAL_BODY;

impl Connection {
    pub(super) fn find(&mut self) -> Result<Option<Found>, ClientError> {
        loop {
            match self.stage {
                Stage::Over => return Ok(None),
                Stage::Condemned => {
                    self.read = self.inbound.len();
                    return self.end();
                }
                _ => {}
            }
            match self.http.progress().status {
                Some(200) if matches!(self.stage, Stage::Opening { .. }) => self.greet()?,
                Some(200) => {}
                Some(status) => return self.refusal(status),
                None => return self.end(),
            }
            let Some((kind, found)) = self.next_frame()? else {
                if let Some(failure) = self.sealed.as_mut().and_then(|sealed| sealed.failure.take()) {
                    return Err(failure.into());
                }
                return self.end();
            };
            if let Some(found) = self.digest(kind, found)? {
                return Ok(Some(found));
            }
        }
    }

    /// The next whole frame: its kind apart, the rest as it would be reported.
    fn next_frame(&mut self) -> Result<Option<(FrameType, Found)>, ClientError> {
        let rest = &self.inbound[self.read..];
        if rest.is_empty() {
            return Ok(None);
        }
        let Parsed::Frame { frame, consumed } = frame::parse(rest, &self.limits)? else {
            return Ok(None);
        };
        let (kind, channel, sequence) = (frame.kind, frame.channel, frame.sequence);
        let end = self.read + consumed;
        let payload = end - frame.payload.len()..end;
        self.read = end;
        // An ERROR is reported whatever its number: its reason is worth more than the complaint.
        if kind != FrameType::Error {
            let expected = self.last_received.next().ok_or(ClientError::SequenceExhausted)?;
            if sequence != expected {
                return Err(ClientError::Sequence {
                    expected,
                    got: sequence,
                });
            }
            self.last_received = sequence;
        }
        Ok(Some((
            kind,
            Found::Frame {
                kind,
                channel,
                sequence,
                payload,
            },
        )))
    }

    /// What a frame means at this stage; `None` when it only moved the handshake on.
    fn digest(&mut self, kind: FrameType, found: Found) -> Result<Option<Found>, ClientError> {
        if matches!(self.stage, Stage::Ready) && !matches!(kind, FrameType::Ack | FrameType::Error) {
            return match kind {
                FrameType::Hello | FrameType::Auth => Err(ClientError::Unexpected {
                    kind,
                    when: "in an established session",
                }),
                _ => Ok(Some(found)),
            };
        }
        let Found::Frame { channel, payload, .. } = found else {
            return Ok(Some(found));
        };
        let payload = &self.inbound[payload];
        match (&self.stage, kind) {
            (_, FrameType::Error) => {
                let problem: Problem = control::parse(payload, &mut self.scratch)?;
                self.stage = Stage::Condemned;
                self.http.finish();
                Ok(Some(Found::Problem(Box::new(problem))))
            }
            (Stage::Ready, _) => acknowledgement(channel, payload, &mut self.scratch).map(Some),
            (Stage::Greeted(_), FrameType::Auth) => {
                let auth: Auth = control::parse(payload, &mut self.scratch)?;
                if let Stage::Greeted(greeted) = std::mem::replace(&mut self.stage, Stage::Over) {
                    self.authenticated(greeted, auth)?;
                }
                Ok(None)
            }
            (Stage::Proven, FrameType::Ack) => {
                let ready: Ready = control::parse(payload, &mut self.scratch)?;
                self.readied(&ready)?;
                Ok(Some(Found::Ready))
            }
            (Stage::Proven, _) => Err(ClientError::Unexpected {
                kind,
                when: "where the final ACK was due",
            }),
            _ => Err(ClientError::Unexpected {
                kind,
                when: "where AUTH was due",
            }),
        }
    }

    /// No frame is left: is that for now, or for good?
    fn end(&mut self) -> Result<Option<Found>, ClientError> {
        if let Some(failure) = self.http_failure.take() {
            return Err(failure.into());
        }
        let progress = self.http.progress();
        if !progress.ended {
            return Ok(None);
        }
        // A body that ends inside a frame was cut, however politely.
        let unopened = self.sealed.as_ref().is_some_and(|sealed| !sealed.arrived.is_empty());
        let clean = !progress.cut && self.read == self.inbound.len() && !unopened;
        self.stage = Stage::Over;
        Ok(Some(Found::Ended { clean }))
    }

    /// The answer is not a tunnel: report it once its body is there.
    fn refusal(&mut self, status: u16) -> Result<Option<Found>, ClientError> {
        let long = self.inbound.len() > REFUSAL_BODY;
        if !self.http.progress().ended && self.http_failure.is_none() && !long {
            return Ok(None);
        }
        self.inbound.truncate(REFUSAL_BODY);
        self.stage = Stage::Over;
        Ok(Some(Found::Refused { status }))
    }
}

/// Nearly every ACK is `{"ack":N}`; what says more is read in full.
fn acknowledgement(channel: ChannelId, payload: &[u8], scratch: &mut Vec<u8>) -> Result<Found, ClientError> {
    if let Some(to) = Ack::read_plain(payload) {
        return Ok(Found::Acknowledged {
            channel,
            from: to,
            to,
            body: None,
        });
    }
    let ack: Ack = control::parse(payload, scratch)?;
    let to = ack.ack.ok_or_else(|| Diagnostic::invalid("an ACK without ack"))?;
    let from = ack.from.unwrap_or(to);
    let ordinary = ack
        == Ack {
            ack: ack.ack,
            from: ack.from,
            ..Ack::default()
        };
    if from > to || from == Sequence::ZERO {
        return Err(Diagnostic::invalid("an ACK whose range is empty").into());
    }
    Ok(Found::Acknowledged {
        channel,
        from,
        to,
        body: (!ordinary).then(|| Box::new(ack)),
    })
}
