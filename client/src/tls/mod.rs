//! TLS 1.3 as a value: records in, plaintext out, and the other way round. No socket.
//!
//! It stands on rustls' unbuffered interface, so a record is opened in the buffer it was received into and sealed into
//! the buffer it is sent from. Only the tail of a record that a read cut is kept.
//!
//! Invariant: after `receive` returns, `kept` holds no whole record.

mod insecure;
mod trust;

use std::fmt;
use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus};

pub use trust::{Trust, TrustError, client_config};

/// What sealing adds to a record: header, inner type, tag (RFC 8446 §5.2).
const RECORD_OVERHEAD: usize = 5 + 1 + 16;

/// The most plaintext one record holds (RFC 8446 §5.1).
const RECORD: usize = 16 * 1024;

/// Why a TLS connection failed.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The protocol, the certificate or the peer said no.
    #[error("{0}{hint}", hint = hint(.0))]
    Rustls(#[from] rustls::Error),
    /// The server does not speak the HTTP version that was asked for.
    #[error("the server does not offer {wanted} on this port (ALPN)")]
    Alpn {
        /// What was asked for.
        wanted: String,
    },
    /// Something was sealed before the handshake was complete, which is a mistake of the caller's.
    #[error("the TLS handshake is not complete")]
    NotReady,
    /// The connection's keys are used up.
    #[error("the TLS connection has sealed as many records as it may")]
    Exhausted,
}

/// What the person can do about it.
fn hint(error: &rustls::Error) -> &'static str {
    match error {
        rustls::Error::InvalidCertificate(_) => {
            ": trust the server's certificate with --ca FILE, or skip the check with --insecure"
        }
        _ => "",
    }
}

/// One client connection.
pub struct Tls {
    connection: UnbufferedClientConnection,
    kept: Vec<u8>,
    ready: bool,
    closed: bool,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("ready", &self.ready)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

impl Tls {
    /// A connection to `name`; its ClientHello comes with the first [`Tls::receive`] or [`Tls::start`].
    ///
    /// # Errors
    /// When rustls refuses the configuration.
    pub fn new(config: Arc<rustls::ClientConfig>, name: ServerName<'static>) -> Result<Self, TlsError> {
        let connection = UnbufferedClientConnection::new(config, name)?;
        Ok(Self {
            connection,
            kept: Vec::new(),
            ready: false,
            closed: false,
        })
    }

    /// Writes the ClientHello.
    ///
    /// # Errors
    /// As [`Tls::receive`].
    pub fn start(&mut self, out: &mut Vec<u8>) -> Result<(), TlsError> {
        self.receive(&mut [], out, |_| {})
    }

    /// Whether plaintext may be sealed.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// Whether the server said that it will send no more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Opens the records in `bytes`, which are decrypted in place; `plain` sees each one's content. What TLS itself has to
    /// say is appended to `out`, also when the result is an error (then it is the alert).
    ///
    /// # Errors
    /// When the server breaks TLS, its certificate is not trusted, or ALPN disagrees.
    pub fn receive(
        &mut self,
        bytes: &mut [u8],
        out: &mut Vec<u8>,
        mut plain: impl FnMut(&[u8]),
    ) -> Result<(), TlsError> {
        if self.kept.is_empty() {
            let used = self.process(bytes, out, &mut plain)?;
            self.kept.extend_from_slice(&bytes[used..]);
            return Ok(());
        }
        let mut kept = std::mem::take(&mut self.kept);
        kept.extend_from_slice(bytes);
        let used = self.process(&mut kept, out, &mut plain);
        kept.drain(..*used.as_ref().unwrap_or(&0));
        // An empty buffer is given back to the allocator: ten thousand idle connections keep none.
        self.kept = if kept.is_empty() { Vec::new() } else { kept };
        used.map(drop)
    }

    /// Seals `plaintext`, in as few records as it fits; drops it when both sides have ended.
    ///
    /// # Errors
    /// When the handshake is not complete or the connection is used up.
    pub fn seal(&mut self, plaintext: &[u8], out: &mut Vec<u8>) -> Result<(), TlsError> {
        if plaintext.is_empty() {
            return Ok(());
        }
        self.write(
            out,
            |traffic, room| traffic.encrypt(plaintext, room),
            sealed_len(plaintext.len()),
        )
    }

    /// Says that nothing more will be sealed.
    ///
    /// # Errors
    /// As [`Tls::seal`].
    pub fn close(&mut self, out: &mut Vec<u8>) -> Result<(), TlsError> {
        self.write(out, |traffic, room| traffic.queue_close_notify(room), sealed_len(2))
    }

    fn write(
        &mut self,
        out: &mut Vec<u8>,
        mut seal: impl FnMut(&mut Traffic<'_>, &mut [u8]) -> Result<usize, EncryptError>,
        room: usize,
    ) -> Result<(), TlsError> {
        loop {
            // The kept bytes are shown again: rustls may hold positions in them.
            match self.connection.process_tls_records(&mut self.kept).state? {
                ConnectionState::WriteTraffic(mut traffic) => {
                    return append(out, room, |room| {
                        seal(&mut traffic, room).map_err(|error| match error {
                            EncryptError::InsufficientSize(size) => Append::Small(size),
                            EncryptError::EncryptExhausted => Append::Failed(TlsError::Exhausted),
                        })
                    });
                }
                ConnectionState::EncodeTlsData(mut data) => encode(out, |room| data.encode(room))?,
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::PeerClosed => self.closed = true,
                // Both sides have said that they send no more. What HTTP/2 may owe even then, a WINDOW_UPDATE, is for nobody.
                ConnectionState::Closed => return Ok(()),
                _ => return Err(TlsError::NotReady),
            }
        }
    }

    /// Runs rustls over `bytes` until it wants more; returns how many it is done with.
    fn process(
        &mut self,
        bytes: &mut [u8],
        out: &mut Vec<u8>,
        plain: &mut impl FnMut(&[u8]),
    ) -> Result<usize, TlsError> {
        let mut used = 0;
        loop {
            let UnbufferedStatus { discard, state } = self.connection.process_tls_records(&mut bytes[used..]);
            let mut waiting = false;
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        plain(record?.payload);
                    }
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => encode(out, |room| data.encode(room))?,
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::WriteTraffic(_)) => {
                    self.ready = true;
                    waiting = true;
                }
                Ok(ConnectionState::PeerClosed) => self.closed = true,
                Ok(ConnectionState::Closed) => {
                    self.closed = true;
                    waiting = true;
                }
                Ok(_) => waiting = true,
                Err(error) => {
                    self.alert(&mut bytes[used + discard..], out);
                    return Err(error.into());
                }
            }
            used += discard;
            if waiting {
                return Ok(used);
            }
        }
    }

    /// The alert that goes with an error; without one there is nothing to say. `rest` is what rustls has not discarded:
    /// it holds positions there and panics when it is shown anything shorter.
    fn alert(&mut self, rest: &mut [u8], out: &mut Vec<u8>) {
        while let Ok(ConnectionState::EncodeTlsData(mut data)) = self.connection.process_tls_records(rest).state {
            if encode(out, |room| data.encode(room)).is_err() {
                return;
            }
        }
    }

    /// Checks that the server agreed to `alpn`, once the handshake is complete. A server without ALPN speaks HTTP/1.1.
    ///
    /// # Errors
    /// [`TlsError::Alpn`] when it did not.
    pub fn check_alpn(&self, wanted: &[u8]) -> Result<(), TlsError> {
        match self.connection.alpn_protocol() {
            Some(agreed) if agreed == wanted => Ok(()),
            None if wanted == b"http/1.1" => Ok(()),
            _ => Err(TlsError::Alpn {
                wanted: String::from_utf8_lossy(wanted).into_owned(),
            }),
        }
    }
}

type Traffic<'c> = rustls::unbuffered::WriteTraffic<'c, rustls::client::ClientConnectionData>;

fn sealed_len(plain: usize) -> usize {
    plain + plain.div_ceil(RECORD) * RECORD_OVERHEAD
}

enum Append {
    Small(InsufficientSizeError),
    Failed(TlsError),
}

/// Grows `out` by what `write` fills, retrying once with the room it asks for.
fn append(
    out: &mut Vec<u8>,
    room: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Append>,
) -> Result<(), TlsError> {
    let start = out.len();
    let mut room = room;
    loop {
        out.resize(start + room, 0);
        match write(&mut out[start..]) {
            Ok(written) => {
                out.truncate(start + written);
                return Ok(());
            }
            Err(Append::Small(InsufficientSizeError { required_size })) if required_size > room => room = required_size,
            Err(Append::Small(_)) => {
                out.truncate(start);
                return Err(TlsError::Exhausted);
            }
            Err(Append::Failed(error)) => {
                out.truncate(start);
                return Err(error);
            }
        }
    }
}

fn encode(out: &mut Vec<u8>, mut write: impl FnMut(&mut [u8]) -> Result<usize, EncodeError>) -> Result<(), TlsError> {
    // A ClientHello is some 250 bytes, 1.5 KiB with a post-quantum key share; `append` grows when that is short.
    append(out, 512, |room| {
        write(room).map_err(|error| match error {
            EncodeError::InsufficientSize(size) => Append::Small(size),
            EncodeError::AlreadyEncoded => Append::Failed(TlsError::NotReady),
        })
    })
}
