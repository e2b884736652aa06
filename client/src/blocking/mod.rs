//! A driver over a standard `TcpStream` for tests, scripts and the chat: one thread, no runtime.
//!
//! The socket does not block; `poll(2)` does, for reading and writing at once. So a client that writes more than the
//! relay takes still reads, and neither side waits for the other for ever.
//!
//! Invariant: nothing is read while events of the previous read are untaken, so memory stays at one read plus one frame.

mod account;
mod dial;
mod fetch;
mod wait;

use std::io::{self, Read, Write};
use std::net::{IpAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use commucat_proto::{ChannelId, FrameType, Sequence};
use socket2::{SockRef, TcpKeepalive};

pub use account::{Account, DeviceEntry, Friend, PairedDevice, PairingOffer, RotatedKey, claim};
pub use dial::dial;
pub use fetch::{Answer, Call, ServerInfo, call, server_info};
pub use wait::Waker;

use crate::config::Config;
use crate::connection::Connection;
use crate::endpoint::{Endpoint, EndpointError};
use crate::entropy::OsEntropy;
use crate::error::ClientError;
use crate::event::Incoming;
use crate::http::HttpVersion;
use crate::limits::{KEEPALIVE, READ};
use crate::link::Link;
use crate::tls::{Tls, TlsError, Trust, TrustError, client_config};
use wait::{Readiness, WakeReader};

/// How to reach the relay; who comes is in [`Config`].
#[derive(Clone, Debug)]
pub struct Options {
    /// Which certificates are believed.
    pub trust: Trust,
    /// The local address to come from.
    pub source: Option<IpAddr>,
    /// For TCP, TLS and the handshake together, and for each call.
    pub timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            trust: Trust::System,
            source: None,
            timeout: Duration::from_secs(10),
        }
    }
}

/// What can go wrong around a socket.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The operating system said no.
    #[error("cannot {doing} {endpoint}: {source}")]
    Io {
        /// What was attempted.
        doing: &'static str,
        /// With whom.
        endpoint: String,
        /// The reason.
        source: io::Error,
    },
    /// The relay took too long.
    #[error("{endpoint} did not complete {doing} within {after:?}")]
    Timeout {
        /// What was awaited.
        doing: &'static str,
        /// From whom.
        endpoint: String,
        /// How long.
        after: Duration,
    },
    /// The relay answered, but with no tunnel.
    #[error("{endpoint} refused: {what}")]
    Refused {
        /// Who refused.
        endpoint: String,
        /// The ERROR frame, the problem document or the status.
        what: Box<Incoming>,
    },
    /// The relay's answer to a call makes no sense.
    #[error("{endpoint} answered {path} with {what}")]
    Answer {
        /// Who answered.
        endpoint: String,
        /// What was asked for.
        path: String,
        /// What is wrong.
        what: String,
    },
    /// The relay refuses a call (RFC 9457).
    #[error("{endpoint} refused {path}: {title} ({status}): {detail}")]
    Problem {
        /// Who refused.
        endpoint: String,
        /// What was asked for.
        path: String,
        /// The HTTP status.
        status: u16,
        /// The kind of problem.
        title: String,
        /// For people.
        detail: String,
    },
    /// The session failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The URL is wrong.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The certificates to trust cannot be had.
    #[error(transparent)]
    Trust(#[from] TrustError),
}

impl From<TlsError> for DriverError {
    fn from(error: TlsError) -> Self {
        Self::Client(error.into())
    }
}

/// A link to `endpoint` for `config`, with nothing sent yet. `tls` saves building one per connection.
///
/// # Errors
/// When the configuration cannot be used.
pub fn link(endpoint: &Endpoint, tls: Option<&Arc<rustls::ClientConfig>>, config: Config) -> Result<Link, DriverError> {
    let connection = Connection::new(config, &mut OsEntropy)?;
    Ok(match tls {
        Some(tls) => Link::secure(connection, Tls::new(Arc::clone(tls), endpoint.server_name()?)?),
        None => Link::plain(connection),
    })
}

/// The TLS configuration that `endpoint` asks for: none for `http://`.
///
/// # Errors
/// When the certificates cannot be had.
pub fn tls_for(
    endpoint: &Endpoint,
    trust: &Trust,
    http: HttpVersion,
) -> Result<Option<Arc<rustls::ClientConfig>>, DriverError> {
    Ok(if endpoint.secure {
        Some(client_config(trust, http)?)
    } else {
        None
    })
}

/// A session on a socket.
#[derive(Debug)]
pub struct Client {
    endpoint: String,
    socket: TcpStream,
    link: Link,
    out: Vec<u8>,
    sent: usize,
    buffer: Vec<u8>,
    wake: Option<WakeReader>,
    open: bool,
}

impl Client {
    /// Opens a tunnel and waits until the relay has accepted the session.
    ///
    /// # Errors
    /// [`DriverError::Refused`] with the ERROR frame when the relay does not want it.
    pub fn connect(endpoint: &Endpoint, options: &Options, config: Config) -> Result<Self, DriverError> {
        let mut client = Self::open(endpoint, options, config)?;
        match client.recv(options.timeout)? {
            Some(Incoming::Ready) => Ok(client),
            Some(what) => Err(DriverError::Refused {
                endpoint: client.endpoint,
                what: Box::new(what),
            }),
            None => Err(DriverError::Timeout {
                doing: "the handshake",
                endpoint: client.endpoint,
                after: options.timeout,
            }),
        }
    }

    /// Connects the socket; the handshake happens in [`Client::recv`], which reports `Ready`.
    ///
    /// # Errors
    /// When there is no connection.
    pub fn open(endpoint: &Endpoint, options: &Options, mut config: Config) -> Result<Self, DriverError> {
        config.secure = endpoint.secure;
        if config.authority.is_empty() {
            config.authority = endpoint.authority();
        }
        let tls = tls_for(endpoint, &options.trust, config.http)?;
        let link = link(endpoint, tls.as_ref(), config)?;
        let socket = dial(endpoint, options.source, options.timeout)?;
        let endpoint = endpoint.to_string();
        // A relay that vanished without a word is noticed even while nothing is said.
        let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE);
        socket
            .set_nonblocking(true)
            .and_then(|()| SockRef::from(&socket).set_tcp_keepalive(&keepalive))
            .map_err(|source| DriverError::Io {
                doing: "prepare the socket to",
                endpoint: endpoint.clone(),
                source,
            })?;
        Ok(Self {
            endpoint,
            socket,
            link,
            out: Vec::new(),
            sent: 0,
            buffer: vec![0; READ],
            wake: None,
            open: true,
        })
    }

    /// The session, for everything that needs no socket. What it queues leaves with the next call here.
    #[must_use]
    pub fn connection(&mut self) -> &mut Connection {
        self.link.connection()
    }

    /// The socket, for tests that cut or measure it.
    #[must_use]
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// A handle that makes [`Client::recv`] return from another thread.
    ///
    /// # Errors
    /// When the operating system has no more descriptors.
    pub fn waker(&mut self) -> Result<Waker, DriverError> {
        let (waker, reader) = wait::pair().map_err(|source| self.io("make a waker for", source))?;
        self.wake = Some(reader);
        Ok(waker)
    }

    /// Sends a frame, as much of it as the socket takes now.
    ///
    /// # Errors
    /// When the session cannot send it or the socket is gone.
    pub fn send(&mut self, kind: FrameType, channel: ChannelId, payload: &[u8]) -> Result<Sequence, DriverError> {
        let sequence = self.connection().send(kind, channel, payload)?;
        self.push()?;
        Ok(sequence)
    }

    /// The next event. `None` when `timeout` passed or the waker was used.
    ///
    /// # Errors
    /// When the session or the socket fails. After the relay's end of the tunnel `Ended` is reported once and `None`
    /// from then on.
    pub fn recv(&mut self, timeout: Duration) -> Result<Option<Incoming>, DriverError> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(event) = self.link.connection().next_event()? {
                let event = Incoming::from(event);
                self.push()?;
                return Ok(Some(event));
            }
            self.push()?;
            if !self.open {
                return Ok(None);
            }
            let pending = self.sent < self.out.len();
            let readiness = wait::wait(&self.socket, pending, self.wake.as_mut(), deadline)
                .map_err(|source| self.io("wait for", source))?;
            match readiness {
                Readiness::Socket => self.pull()?,
                Readiness::Woken | Readiness::TimedOut => return Ok(None),
            }
        }
    }

    /// Sends everything that is queued, reading meanwhile; events stay for [`Client::recv`]. Whether it all left in time.
    ///
    /// # Errors
    /// As [`Client::recv`].
    pub fn flush(&mut self, timeout: Duration) -> Result<bool, DriverError> {
        let deadline = Instant::now() + timeout;
        loop {
            self.push()?;
            if self.sent == self.out.len() && self.link.connection().pending() == 0 {
                return Ok(true);
            }
            if !self.open {
                return Ok(false);
            }
            let pending = self.sent < self.out.len();
            let readiness =
                wait::wait(&self.socket, pending, None, deadline).map_err(|source| self.io("wait for", source))?;
            match readiness {
                Readiness::Socket => self.pull()?,
                Readiness::Woken | Readiness::TimedOut => return Ok(false),
            }
        }
    }

    /// Half-closes: the relay flushes what it owes, then ends; go on receiving until `Ended`.
    ///
    /// # Errors
    /// When TLS fails.
    pub fn close(&mut self) -> Result<(), DriverError> {
        self.link.close(&mut self.out)?;
        self.push()
    }

    /// Writes as much as the socket takes.
    fn push(&mut self) -> Result<(), DriverError> {
        if self.open {
            self.link.transmit(&mut self.out)?;
        }
        while self.sent < self.out.len() && self.open {
            match (&self.socket).write(&self.out[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // What the relay said before it closed still stands in the receive queue: an ERROR frame, perhaps.
                Err(_) => break,
            }
        }
        self.out.clear();
        self.sent = 0;
        Ok(())
    }

    fn pull(&mut self) -> Result<(), DriverError> {
        match (&self.socket).read(&mut self.buffer) {
            Ok(0) => self.hung_up(),
            Ok(count) => {
                let received = self.link.receive(&mut self.buffer[..count], &mut self.out);
                if received.is_err() {
                    // The alert is a courtesy; the error is what counts.
                    let _ = (&self.socket).write(&self.out[self.sent..]);
                    self.hung_up();
                }
                received?;
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => self.hung_up(),
            Err(source) => return Err(self.io("read from", source)),
        }
        Ok(())
    }

    fn hung_up(&mut self) {
        self.open = false;
        self.link.disconnected();
    }

    fn io(&self, doing: &'static str, source: io::Error) -> DriverError {
        DriverError::Io {
            doing,
            endpoint: self.endpoint.clone(),
            source,
        }
    }
}
