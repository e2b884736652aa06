//! A session up to the point where traffic takes it over: connected, established, joined.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use commucat_client::blocking::link;
use commucat_client::{ClientError, Config, Connection, Event, Incoming, Link};
use commucat_proto::Sequence;
use commucat_proto::control::{Ack, Join};
use commucat_proto::{ChannelId, DeviceId};
use monoio::io::{AsyncReadRent, AsyncWriteRent, AsyncWriteRentExt};
use monoio::net::TcpStream;

use super::dial::dial;
use crate::error::LoadError;
use crate::limits::{BUSY_READ, CLOSE, ESTABLISH, IDLE_READ};
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
    let connecting = monoio::time::timeout(ESTABLISH, dial(target.address, source)).await;
    let stream = connecting
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map_err(|error| LoadError::Connect {
            endpoint: target.endpoint.to_string(),
            source: error,
        })?;
    let mut session = Establishing {
        device,
        stream,
        link,
        out: Vec::new(),
        buffer: Vec::with_capacity(IDLE_READ),
    };
    session.until(|event| matches!(event, Event::Ready(_))).await?;
    Ok(session)
}

impl Establishing {
    /// Declares that what is sent on `channel` goes to `members`, and waits for the relay's ACK.
    pub(crate) async fn join(&mut self, channel: ChannelId, members: Vec<DeviceId>) -> Result<(), LoadError> {
        // The relay is what is measured, so nobody must look for a way around it.
        let join = Join {
            members,
            relay: true,
            group_id: None,
        };
        self.request(|connection| Ok(vec![connection.join(channel, &join)?]))
            .await
    }

    /// Sends requests that the relay acknowledges one by one, and waits until it has acknowledged all.
    pub(crate) async fn request(
        &mut self,
        queue: impl FnOnce(&mut Connection) -> Result<Vec<Sequence>, ClientError>,
    ) -> Result<(), LoadError> {
        let mut open = queue(self.link.connection())?;
        let mut refusal = None;
        self.until(|event| {
            if let Event::Acknowledged { from, to, body, .. } = event {
                open.retain(|sequence| sequence < from || sequence > to);
                refusal = refusal.take().or_else(|| body.as_deref().and_then(refused));
            }
            open.is_empty() || refusal.is_some()
        })
        .await?;
        match refusal {
            Some(why) => Err(self.refused(why)),
            None => Ok(()),
        }
    }

    /// Reads in large pieces from here on.
    pub(crate) fn expect_much(&mut self) {
        self.buffer = Vec::with_capacity(BUSY_READ);
    }

    /// Reads until `seen` has had enough of what comes, at most for `patience`.
    pub(crate) async fn read_until(
        &mut self,
        patience: Duration,
        seen: impl FnMut(&Event<'_>) -> bool,
    ) -> Result<(), LoadError> {
        match monoio::time::timeout(patience, self.pump(seen)).await {
            Ok(result) => result,
            Err(_) => Err(self.refused(format!("nothing new came within {patience:?}"))),
        }
    }

    /// Ends the session in order: says so, and reads what the relay still owes until it ends, too.
    pub(crate) async fn close(mut self, mut seen: impl FnMut(&Event<'_>)) -> Result<(), LoadError> {
        self.link.close(&mut self.out)?;
        let ended = self
            .read_until(CLOSE, |event| {
                seen(event);
                matches!(event, Event::Ended { .. })
            })
            .await;
        let _ = self.stream.shutdown().await;
        ended
    }

    /// Moves bytes until an event is the one awaited.
    async fn until(&mut self, awaited: impl FnMut(&Event<'_>) -> bool) -> Result<(), LoadError> {
        match monoio::time::timeout(ESTABLISH, self.pump(awaited)).await {
            Ok(result) => result,
            Err(_) => Err(self.refused(format!("no answer within {ESTABLISH:?}"))),
        }
    }

    async fn pump(&mut self, mut awaited: impl FnMut(&Event<'_>) -> bool) -> Result<(), LoadError> {
        loop {
            while let Some(event) = self.link.connection().next_event()? {
                if awaited(&event) {
                    return Ok(());
                }
                if matches!(event, Event::Problem(_) | Event::Refused { .. } | Event::Ended { .. }) {
                    let why = Incoming::from(event).to_string();
                    return Err(self.refused(why));
                }
            }
            self.flush().await?;
            let (read, buffer) = self.stream.read(std::mem::take(&mut self.buffer)).await;
            self.buffer = buffer;
            match read.map_err(|source| self.broken("read from the relay", source))? {
                0 => self.link.disconnected(),
                count => self.link.receive(&mut self.buffer[..count], &mut self.out)?,
            }
        }
    }

    /// Writes what is due.
    async fn flush(&mut self) -> Result<(), LoadError> {
        self.link.transmit(&mut self.out)?;
        if !self.out.is_empty() {
            let (written, out) = self.stream.write_all(std::mem::take(&mut self.out)).await;
            written.map_err(|source| self.broken("write to the relay", source))?;
            self.out = out;
            self.out.clear();
        }
        Ok(())
    }

    fn broken(&self, doing: &'static str, source: io::Error) -> LoadError {
        self.refused(format!("cannot {doing}: {source}"))
    }

    fn refused(&self, why: String) -> LoadError {
        LoadError::Refused {
            device: self.device.clone(),
            why,
        }
    }
}

/// What an ACK refuses.
fn refused(ack: &Ack) -> Option<String> {
    if ack.rejected.is_empty() {
        return None;
    }
    let reason = ack
        .reason
        .as_ref()
        .map_or_else(String::new, |reason| format!(": {reason:?}"));
    Some(format!("the relay rejects {} recipients{reason}", ack.rejected.len()))
}
