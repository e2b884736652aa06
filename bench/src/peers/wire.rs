//! One connection of the load: a socket that does not block, TLS or none, and what is spoken over it.
//!
//! Invariant: whatever a turn queued leaves in one write, under TLS in as few records as it fits.

use std::io::{self, Read, Write};
use std::sync::Arc;

use commucat_client::tls::Tls;
use mio::net::TcpStream;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use super::load::LoadError;
use super::speaker::Speaker;

/// Socket, TLS, protocol.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) socket: TcpStream,
    tls: Option<Tls>,
    started: bool,
    /// Lines that the server says before TLS begins.
    clear_lines: usize,
    pub(super) speaker: Box<dyn Speaker>,
    plain: Vec<u8>,
    out: Vec<u8>,
    written: usize,
}

impl Wire {
    pub(super) fn new(
        socket: TcpStream,
        tls: Option<&Arc<ClientConfig>>,
        speaker: Box<dyn Speaker>,
    ) -> Result<Self, LoadError> {
        let tls = tls.map(|config| Tls::new(Arc::clone(config), name())).transpose()?;
        Ok(Self {
            socket,
            clear_lines: if tls.is_some() { speaker.lines_before_tls() } else { 0 },
            tls,
            started: false,
            speaker,
            plain: Vec::new(),
            out: Vec::new(),
            written: 0,
        })
    }

    /// Reads until the socket is empty.
    pub(super) fn read(&mut self, buffer: &mut [u8], arrived: &mut dyn FnMut(&[u8])) -> Result<(), LoadError> {
        loop {
            match self.socket.read(buffer) {
                Ok(0) => return Err(LoadError::Closed),
                Ok(count) => {
                    self.take(&mut buffer[..count], arrived)?;
                    // A short read has emptied it; the next bytes are a new event.
                    if count < buffer.len() {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(LoadError::io("read")(error)),
            }
        }
    }

    fn take(&mut self, mut bytes: &mut [u8], arrived: &mut dyn FnMut(&[u8])) -> Result<(), LoadError> {
        while self.clear_lines > 0 {
            let Some(end) = bytes.iter().position(|&byte| byte == b'\n') else {
                return Ok(());
            };
            self.clear_lines -= 1;
            bytes = &mut bytes[end + 1..];
        }
        let Some(tls) = &mut self.tls else {
            return Ok(self.speaker.receive(bytes, arrived)?);
        };
        let mut spoken = Ok(());
        let speaker = &mut self.speaker;
        tls.receive(bytes, &mut self.out, |plain| {
            if spoken.is_ok() {
                spoken = speaker.receive(plain, arrived);
            }
        })?;
        if tls.is_closed() {
            return Err(LoadError::Closed);
        }
        Ok(spoken?)
    }

    /// Writes what is due, as far as the socket takes it; the rest leaves when it is writable again.
    pub(super) fn write(&mut self) -> Result<(), LoadError> {
        match &mut self.tls {
            None => self.speaker.transmit(&mut self.out),
            Some(tls) if tls.is_ready() => {
                self.plain.clear();
                self.speaker.transmit(&mut self.plain);
                tls.seal(&self.plain, &mut self.out)?;
            }
            Some(tls) if !self.started && self.clear_lines == 0 => {
                self.started = true;
                tls.start(&mut self.out)?;
            }
            Some(_) => {}
        }
        while self.written < self.out.len() {
            match self.socket.write(&self.out[self.written..]) {
                Ok(0) => return Err(LoadError::Closed),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // Still connecting.
                Err(error) if error.kind() == io::ErrorKind::NotConnected => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(LoadError::io("write")(error)),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(())
    }
}

/// Every server under measurement shows a certificate for this name, and none is checked.
fn name() -> ServerName<'static> {
    ServerName::IpAddress(std::net::IpAddr::from([127, 0, 0, 1]).into())
}
