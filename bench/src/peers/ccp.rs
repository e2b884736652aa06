//! CCP-1 by our own client.

use commucat_client::{Config, Connection, Event, OsEntropy, StaticKey};
use commucat_proto::control::Join;
use commucat_proto::{ChannelId, DeviceId, FrameType, Sequence};

use super::Peer;
use super::speaker::{Speaker, SpeakerError};
use crate::peers::server::Reach;

/// Offered where one ACK may cover a run of frames (decisions § 3).
const ACK_RANGE: &str = "ack-range";

/// One session that joins one channel.
#[derive(Debug)]
pub(super) struct Ccp {
    connection: Connection,
    channel: ChannelId,
    members: Vec<DeviceId>,
    joining: Option<Sequence>,
    ready: bool,
}

impl Ccp {
    /// The session of `own`, who speaks to `members`.
    pub(super) fn new(
        reach: &Reach,
        peer: Peer,
        own: DeviceId,
        channel: ChannelId,
        members: Vec<DeviceId>,
        tls: bool,
    ) -> Result<Self, SpeakerError> {
        let (Peer::CommuCat { http, ack_range }, Some(key)) = (peer, reach.noise) else {
            return Err(SpeakerError::Garbled {
                protocol: "CCP-1",
                what: "the server is another".to_owned(),
            });
        };
        let mut config = Config::new(own, StaticKey::generate(&mut OsEntropy), key);
        config.http = http;
        config.secure = tls;
        config.authority = reach.address(tls).to_string();
        if ack_range {
            config.capabilities.push(ACK_RANGE.to_owned());
        }
        Ok(Self {
            connection: Connection::new(config, &mut OsEntropy)?,
            channel,
            members,
            joining: None,
            ready: false,
        })
    }
}

impl Speaker for Ccp {
    fn is_ready(&self) -> bool {
        self.ready
    }

    fn receive(&mut self, bytes: &[u8], arrived: &mut dyn FnMut(&[u8])) -> Result<(), SpeakerError> {
        self.connection.receive(bytes);
        let mut accepted = false;
        while let Some(event) = self.connection.next_event()? {
            match event {
                Event::Ready(_) => accepted = true,
                Event::Frame(frame) if frame.kind == FrameType::Msg => arrived(frame.payload),
                Event::Acknowledged { to, body, .. } => {
                    self.ready |= self.joining.is_some_and(|join| to >= join);
                    if body.is_some_and(|ack| !ack.rejected.is_empty()) {
                        return Err(garbled("a frame was rejected".to_owned()));
                    }
                }
                Event::Frame(_) => {}
                Event::Problem(problem) => return Err(garbled(problem.title.into_owned())),
                Event::Refused { status, .. } => return Err(garbled(format!("HTTP status {status}"))),
                Event::Ended { .. } => return Err(garbled("the tunnel ended".to_owned())),
            }
        }
        if accepted {
            // The relay is what is measured, so two devices must not look for a way around it.
            let join = Join {
                members: std::mem::take(&mut self.members),
                relay: true,
                group_id: None,
            };
            self.joining = Some(self.connection.join(self.channel, &join)?);
        }
        Ok(())
    }

    fn publish(&mut self, payload: &[u8]) -> Result<(), SpeakerError> {
        self.connection.send(FrameType::Msg, self.channel, payload)?;
        Ok(())
    }

    fn transmit(&mut self, out: &mut Vec<u8>) {
        self.connection.transmit(out);
    }
}

fn garbled(what: String) -> SpeakerError {
    SpeakerError::Garbled {
        protocol: "CCP-1",
        what,
    }
}
