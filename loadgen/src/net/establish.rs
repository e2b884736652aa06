//! A session up to the point where a command takes it over: connected, established, joined.

use std::net::IpAddr;

use commucat_client::blocking::{dial, link};
use commucat_client::{Config, Incoming, Link};
use commucat_proto::control::Join;
use commucat_proto::{ChannelId, Sequence};
use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::TcpStream;

use crate::error::LoadError;
use crate::limits::{ESTABLISH, IDLE_READ};
use crate::target::Target;

/// A session whose bytes are still moved by hand.
#[derive(Debug)]
pub(crate) struct Establishing {
    pub(super) device: String,
    pub(super) stream: TcpStream,
    pub(super) link: Link,
    out: Vec<u8>,
    buffer: Vec<u8>,
}

/// Opens a session for `config` and waits until the relay has accepted it.
pub(crate) async fn establish(
    target: &Target,
    config: Config,
    source: Option<IpAddr>,
) -> Result<Establishing, LoadError> {
    let device = config.device.to_string();
    let link = link(&target.endpoint, target.tls.as_ref(), config)?;
    // A blocking connect: on loopback it takes microseconds, and elsewhere only the ramp-up is slower for it.
    let socket = dial(&target.endpoint, source, target.options.timeout)?;
    let stream = TcpStream::from_std(socket).map_err(|source| LoadError::Io {
        doing: "take over a socket",
        source,
    })?;
    let mut session = Establishing {
        device,
        stream,
        link,
        out: Vec::new(),
        buffer: Vec::with_capacity(IDLE_READ),
    };
    session.until(|event| matches!(event, Incoming::Ready)).await?;
    Ok(session)
}

impl Establishing {
    /// Joins `channel` and waits for the relay's ACK.
    pub(crate) async fn join(&mut self, channel: ChannelId, join: &Join) -> Result<(), LoadError> {
        let sequence: Sequence = self.link.connection().join(channel, join)?;
        self.until(|event| matches!(event, Incoming::Acknowledged { to, .. } if *to >= sequence))
            .await
    }

    /// Moves bytes until an event is the one awaited.
    async fn until(&mut self, awaited: impl Fn(&Incoming) -> bool) -> Result<(), LoadError> {
        match monoio::time::timeout(ESTABLISH, self.pump(awaited)).await {
            Ok(result) => result,
            Err(_) => Err(self.refused(format!("no answer within {ESTABLISH:?}"))),
        }
    }

    async fn pump(&mut self, awaited: impl Fn(&Incoming) -> bool) -> Result<(), LoadError> {
        loop {
            while let Some(event) = self.link.connection().next_event()? {
                let event = Incoming::from(event);
                if awaited(&event) {
                    return Ok(());
                }
                if matches!(
                    event,
                    Incoming::Problem(_) | Incoming::Refused { .. } | Incoming::Ended { .. }
                ) {
                    return Err(self.refused(event.to_string()));
                }
            }
            self.link.transmit(&mut self.out)?;
            if !self.out.is_empty() {
                let (written, out) = self.stream.write_all(std::mem::take(&mut self.out)).await;
                written.map_err(|source| LoadError::Io {
                    doing: "write to the relay",
                    source,
                })?;
                self.out = out;
                self.out.clear();
            }
            let (read, buffer) = self.stream.read(std::mem::take(&mut self.buffer)).await;
            self.buffer = buffer;
            match read.map_err(|source| LoadError::Io {
                doing: "read from the relay",
                source,
            })? {
                0 => self.link.disconnected(),
                count => self.link.receive(&mut self.buffer[..count], &mut self.out)?,
            }
        }
    }

    fn refused(&self, why: String) -> LoadError {
        LoadError::Refused {
            device: self.device.clone(),
            why,
        }
    }
}
