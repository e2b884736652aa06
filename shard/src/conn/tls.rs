//! TLS 1.3 as a value: sealed bytes in, plain bytes out, and the other way round (decisions § 1).
//!
//! One [`Tls`] per connection of the TLS listener; the connection layer feeds it what the socket gave and sends what
//! it appends to `out`. Records are opened in the lent buffer. Only the tail of a read that ends inside a record (or
//! inside a handshake message that spans records) is copied into `partial`, which is freed as soon as it is empty: an
//! idle connection owns no buffer here beyond rustls' own state.
//!
//! Invariant: `partial` begins where rustls' last `discard` ended, and `record` is the offset in it of the first record
//! that rustls has not processed. rustls remembers positions inside the undiscarded bytes, so they are handed back to
//! it unchanged, never an empty slice in their place.

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, ServerConfig, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus, WriteTraffic};
use thiserror::Error;

use super::limits::{TLS_REASSEMBLY, TLS_RECORD};

/// Type, version and length of a record (RFC 8446 § 5.1).
const RECORD_HEADER: usize = 5;
/// What sealing adds to a record: its header, the inner content type, the tag.
const RECORD_OVERHEAD: usize = RECORD_HEADER + 1 + 16;
/// A sealed alert: two octets and the overhead.
const ALERT: usize = RECORD_OVERHEAD + 2;

/// Why a TLS connection cannot go on. The alert that tells the peer is already in `out`.
#[derive(Debug, Error)]
pub enum TlsError {
    /// The peer broke the protocol, offered nothing we speak, or sent a fatal alert.
    #[error("TLS failed: {0}")]
    Protocol(Box<rustls::Error>),
    /// Handshake messages in more fragments than any honest peer makes.
    #[error("a TLS handshake message fills more than {TLS_REASSEMBLY} bytes of records")]
    TooLarge,
    /// `seal` before the handshake was done or after `close_notify`, or anything after an error.
    #[error("the TLS connection is not open")]
    NotOpen,
    /// The keys have sealed as much as they may and could not be replaced.
    #[error("the TLS keys are exhausted")]
    Exhausted,
}

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> Self {
        Self::Protocol(Box::new(error))
    }
}

/// What the peer chose to speak inside TLS. No ALPN at all means HTTP/1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alpn {
    /// `h2`
    H2,
    /// `http/1.1`, or none offered.
    Http11,
}

/// Where the connection stands after `receive`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsState {
    /// No plain bytes yet.
    Handshaking,
    /// Both directions work.
    Open {
        /// Which protocol the plain bytes speak.
        alpn: Alpn,
    },
    /// The peer sent `close_notify`: nothing more will come, sending still works.
    PeerClosed,
}

/// The one place with TLS policy: version 1.3 only, AES-128-GCM before the others whatever the client prefers (it is
/// the cheapest to seal), ALPN `h2` and `http/1.1`, and no state kept between connections: neither tickets, nor a
/// session cache, nor early data, which could be replayed.
pub fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, TlsError> {
    use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider};

    let mut provider = default_provider();
    provider.cipher_suites = vec![
        cipher_suite::TLS13_AES_128_GCM_SHA256,
        cipher_suite::TLS13_AES_256_GCM_SHA384,
        cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    ];
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.ignore_client_order = true;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}

/// One TLS connection, server side.
pub struct Tls {
    /// Boxed: rustls' state is large, and a connection's slot should be small whatever layers it has.
    conn: Box<UnbufferedServerConnection>,
    partial: Vec<u8>,
    /// Offset in `partial` of the first record that is not yet complete.
    record: usize,
    peer_closed: bool,
    sent_close: bool,
    /// An error ended the connection; rustls' positions no longer fit our bytes, so it is not asked again.
    failed: bool,
}

impl Tls {
    /// A connection that waits for its ClientHello.
    pub fn new(config: &Arc<ServerConfig>) -> Result<Self, TlsError> {
        Ok(Self {
            conn: Box::new(UnbufferedServerConnection::new(Arc::clone(config))?),
            partial: Vec::new(),
            record: 0,
            peer_closed: false,
            sent_close: false,
            failed: false,
        })
    }

    /// Takes all of `bytes`. Plain bytes go to `plain`, in order, one call per record; handshake replies, key updates
    /// and alerts are appended to `out`, the alert of an error included.
    pub fn receive(
        &mut self,
        bytes: &mut [u8],
        out: &mut Vec<u8>,
        plain: &mut dyn FnMut(&[u8]),
    ) -> Result<TlsState, TlsError> {
        if self.failed {
            return Err(TlsError::NotOpen);
        }
        let taken = self.take(bytes, out, plain);
        if taken.is_err() {
            self.failed = true;
            self.partial = Vec::new();
        }
        taken.map(|()| self.state())
    }

    fn take(&mut self, bytes: &mut [u8], out: &mut Vec<u8>, plain: &mut dyn FnMut(&[u8])) -> Result<(), TlsError> {
        let mut rest = bytes;
        while !rest.is_empty() && !self.peer_closed {
            if self.partial.is_empty() {
                let record = whole_records(rest);
                let used = drive(&mut self.conn, rest, out, plain, &mut self.peer_closed)?;
                self.partial.extend_from_slice(&rest[used..]);
                self.record = record.saturating_sub(used);
                break;
            }
            let take = self.wanted().min(rest.len());
            let (head, tail) = rest.split_at_mut(take);
            self.partial.extend_from_slice(head);
            rest = tail;
            self.drive_partial(out, plain)?;
        }
        if self.peer_closed {
            self.partial = Vec::new();
        }
        if self.partial.len() > TLS_REASSEMBLY {
            return Err(TlsError::TooLarge);
        }
        Ok(())
    }

    /// Seals `plain` into as few records as it takes and appends them to `out`.
    pub fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), TlsError> {
        if plain.is_empty() {
            return Ok(());
        }
        if !self.may_send() {
            return Err(TlsError::NotOpen);
        }
        let room = plain.len() + plain.len().div_ceil(TLS_RECORD) * RECORD_OVERHEAD;
        self.write(out, room, |writer, buffer| writer.encrypt(plain, buffer))
    }

    /// Tells the peer that nothing more will be sent. A second call, or one before the handshake ended, adds nothing.
    pub fn close_notify(&mut self, out: &mut Vec<u8>) {
        if !self.may_send() {
            return;
        }
        // Without the alert the peer sees a truncated stream, which is what a failure here is.
        let _ = self.write(out, ALERT, |writer, buffer| writer.queue_close_notify(buffer));
        self.sent_close = true;
    }

    /// What the peer chose; HTTP/1.1 until the handshake has told.
    #[must_use]
    pub fn alpn(&self) -> Alpn {
        match self.conn.alpn_protocol() {
            Some(b"h2") => Alpn::H2,
            _ => Alpn::Http11,
        }
    }

    /// Bytes held of a record that has not arrived whole.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.partial.len()
    }

    fn may_send(&self) -> bool {
        !self.failed && !self.sent_close && !self.conn.is_handshaking()
    }

    fn state(&self) -> TlsState {
        if self.peer_closed {
            TlsState::PeerClosed
        } else if self.conn.is_handshaking() {
            TlsState::Handshaking
        } else {
            TlsState::Open { alpn: self.alpn() }
        }
    }

    /// How many octets the record at `self.record` still lacks: first of its header, then of its body.
    fn wanted(&self) -> usize {
        let have = &self.partial[self.record..];
        match record_len(have) {
            Some(len) => len - have.len(),
            None => RECORD_HEADER - have.len(),
        }
    }

    fn drive_partial(&mut self, out: &mut Vec<u8>, plain: &mut dyn FnMut(&[u8])) -> Result<(), TlsError> {
        let have = &self.partial[self.record..];
        let whole = record_len(have).is_some_and(|len| len == have.len());
        // The bare header is shown to rustls too: it refuses a bad one before a body is waited for.
        let used = drive(&mut self.conn, &mut self.partial, out, plain, &mut self.peer_closed)?;
        let record = if whole { self.partial.len() } else { self.record };
        self.record = record.saturating_sub(used);
        if used == self.partial.len() {
            self.partial = Vec::new();
        } else {
            self.partial.drain(..used);
        }
        Ok(())
    }

    /// Runs `step` with rustls' writer on `room` zeroed octets behind `out`, and once more with what it asks for: a
    /// key update may have to go first, which `room` does not count.
    fn write(
        &mut self,
        out: &mut Vec<u8>,
        room: usize,
        step: impl Fn(&mut WriteTraffic<'_, rustls::server::ServerConnectionData>, &mut [u8]) -> Result<usize, EncryptError>,
    ) -> Result<(), TlsError> {
        let mut room = room;
        loop {
            let UnbufferedStatus { state, .. } = self.conn.process_tls_records(&mut self.partial);
            match state? {
                ConnectionState::WriteTraffic(mut writer) => {
                    let start = out.len();
                    out.resize(start + room, 0);
                    match step(&mut writer, &mut out[start..]) {
                        Ok(written) => {
                            out.truncate(start + written);
                            return Ok(());
                        }
                        Err(error) => {
                            out.truncate(start);
                            match error {
                                EncryptError::InsufficientSize(need) if need.required_size > room => {
                                    room = need.required_size;
                                }
                                _ => return Err(TlsError::Exhausted),
                            }
                        }
                    }
                }
                ConnectionState::EncodeTlsData(mut encode) => append(&mut encode, out),
                ConnectionState::TransmitTlsData(sent) => sent.done(),
                ConnectionState::PeerClosed => self.peer_closed = true,
                _ => return Err(TlsError::NotOpen),
            }
        }
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls")
            .field("state", &self.state())
            .field("buffered", &self.buffered())
            .finish_non_exhaustive()
    }
}

/// Lets rustls process `bytes` as far as it can. Returns how many octets at the front are done with.
fn drive(
    conn: &mut UnbufferedServerConnection,
    bytes: &mut [u8],
    out: &mut Vec<u8>,
    plain: &mut dyn FnMut(&[u8]),
    peer_closed: &mut bool,
) -> Result<usize, TlsError> {
    let mut used = 0;
    loop {
        let UnbufferedStatus { mut discard, state } = conn.process_tls_records(&mut bytes[used..]);
        let mut blocked = false;
        match state {
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                while let Some(record) = traffic.next_record() {
                    let record = record?;
                    discard += record.discard;
                    plain(record.payload);
                }
            }
            Ok(ConnectionState::EncodeTlsData(mut encode)) => append(&mut encode, out),
            Ok(ConnectionState::TransmitTlsData(sent)) => sent.done(),
            Ok(ConnectionState::PeerClosed) => *peer_closed = true,
            // Early data is off in the configuration; what is left says "nothing more to do with these bytes".
            Ok(_) => blocked = true,
            Err(error) => {
                alerts(conn, &mut bytes[used + discard..], out);
                return Err(error.into());
            }
        }
        used += discard;
        if blocked {
            return Ok(used);
        }
    }
}

/// After an error: what rustls queued for the peer.
fn alerts(conn: &mut UnbufferedServerConnection, rest: &mut [u8], out: &mut Vec<u8>) {
    while conn.wants_write() {
        let UnbufferedStatus { state, .. } = conn.process_tls_records(rest);
        match state {
            Ok(ConnectionState::EncodeTlsData(mut encode)) => append(&mut encode, out),
            _ => return,
        }
    }
}

fn append(encode: &mut rustls::unbuffered::EncodeTlsData<'_, rustls::server::ServerConnectionData>, out: &mut Vec<u8>) {
    let start = out.len();
    let need = match encode.encode(&mut []) {
        Err(EncodeError::InsufficientSize(need)) => need.required_size,
        _ => return,
    };
    out.resize(start + need, 0);
    let written = encode.encode(&mut out[start..]).unwrap_or(0);
    out.truncate(start + written);
}

/// The length of the record at the front of `bytes`, header included; `None` while the header is not whole.
fn record_len(bytes: &[u8]) -> Option<usize> {
    let header = bytes.first_chunk::<RECORD_HEADER>()?;
    Some(RECORD_HEADER + usize::from(u16::from_be_bytes([header[3], header[4]])))
}

/// Where the first incomplete record in `bytes` begins.
fn whole_records(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(len) = record_len(&bytes[at..]) {
        if at + len > bytes.len() {
            break;
        }
        at += len;
    }
    at
}
