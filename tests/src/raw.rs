//! A connection of which the test writes every byte: TCP, and TLS when it is wanted, but no HTTP.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use commucat_client::HttpVersion;
use commucat_client::tls::{Tls, Trust, client_config};
use socket2::{Domain, Protocol, Socket, Type};

use crate::people::{PATIENCE, endpoint};
use crate::relay::Relay;

/// A TCP connection to the relay.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn dial(relay: &Relay) -> TcpStream {
    let socket = TcpStream::connect(relay.address()).unwrap();
    socket.set_nodelay(true).unwrap();
    socket.set_write_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// A TCP connection from this address of loopback.
///
/// # Errors
/// The system's.
pub fn dial_from(relay: &Relay, source: IpAddr) -> io::Result<TcpStream> {
    let to: SocketAddr = relay.address().parse().map_err(io::Error::other)?;
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.bind(&SocketAddr::new(source, 0).into())?;
    socket.connect(&to.into())?;
    Ok(socket.into())
}

/// What a plain socket says until it ends, or until `PATIENCE` is over; a reset is an end, too.
///
/// # Panics
/// When it does not end.
pub fn read_to_end(socket: &mut TcpStream) -> Vec<u8> {
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut all, mut buffer) = (Vec::new(), [0; 16 << 10]);
    loop {
        match socket.read(&mut buffer) {
            Ok(0) => return all,
            Ok(count) => all.extend_from_slice(&buffer[..count]),
            Err(error) if gone(&error) => return all,
            Err(error) => panic!("the relay keeps the connection: {error}; it said {all:?}"),
        }
    }
}

fn gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted | ErrorKind::NotConnected
    )
}

/// A TLS connection, established.
#[derive(Debug)]
pub struct Raw {
    socket: TcpStream,
    tls: Tls,
    /// Decrypted and not taken.
    pub plain: Vec<u8>,
    over: bool,
    bytewise: bool,
}

impl Raw {
    /// Connects, and completes the TLS handshake for this version of HTTP.
    #[must_use]
    pub fn connect(relay: &Relay, http: HttpVersion) -> Self {
        Self::on(dial(relay), relay, http, false)
    }

    /// The same, but every byte of the connection travels alone.
    #[must_use]
    pub fn bytewise(relay: &Relay, http: HttpVersion) -> Self {
        Self::on(dial(relay), relay, http, true)
    }

    fn on(socket: TcpStream, relay: &Relay, http: HttpVersion, bytewise: bool) -> Self {
        let config = client_config(&Trust::Insecure, http).unwrap();
        let mut raw = Self {
            socket,
            tls: Tls::new(config, endpoint(relay).server_name().unwrap()).unwrap(),
            plain: Vec::new(),
            over: false,
            bytewise,
        };
        let mut out = Vec::new();
        raw.tls.start(&mut out).unwrap();
        raw.put(&out).unwrap();
        while !raw.tls.is_ready() {
            assert!(raw.pull(PATIENCE), "no TLS session: {raw:?}");
        }
        raw.tls.check_alpn(http.alpn()).unwrap();
        raw
    }

    /// Sends these bytes under TLS.
    ///
    /// # Errors
    /// When the relay has closed the connection.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut out = Vec::new();
        self.tls.seal(bytes, &mut out).map_err(io::Error::other)?;
        self.put(&out)
    }

    /// Sends a request of HTTP/1.1 and takes the head of its answer.
    ///
    /// # Panics
    /// When there is none.
    pub fn ask(&mut self, request: &[u8]) -> String {
        self.write(request).unwrap();
        loop {
            let text = self.text();
            if let Some((head, _)) = text.split_once("\r\n\r\n") {
                self.plain.drain(..head.len() + 4);
                return format!("{head}\r\n");
            }
            assert!(self.pull(PATIENCE), "no answer: {text:?}");
        }
    }

    /// The socket, to be broken.
    #[must_use]
    pub const fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Whether the relay has ended the connection.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.over
    }

    /// Waits for bytes; whether any came. Without any, either nothing came in time or the connection is over.
    ///
    /// # Panics
    /// When the relay breaks TLS.
    pub fn pull(&mut self, patience: Duration) -> bool {
        if self.over {
            return false;
        }
        self.socket.set_read_timeout(Some(patience)).unwrap();
        let (mut buffer, mut out) = ([0; 64 << 10], Vec::new());
        match self.socket.read(&mut buffer) {
            Ok(0) => self.over = true,
            Ok(count) => {
                let plain = &mut self.plain;
                self.tls
                    .receive(&mut buffer[..count], &mut out, |opened| plain.extend_from_slice(opened))
                    .unwrap();
                self.over |= self.tls.is_closed();
                // A connection that is over takes no answer any more.
                let _ = self.put(&out);
                return true;
            }
            Err(error) if gone(&error) => self.over = true,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => panic!("{error}"),
        }
        false
    }

    /// Everything up to the end of the connection.
    ///
    /// # Panics
    /// When it does not end.
    #[must_use]
    pub fn rest(mut self) -> Vec<u8> {
        let deadline = Instant::now() + PATIENCE;
        while !self.over {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the relay keeps the connection: {:?}", self.text());
            self.pull(left);
        }
        self.plain
    }

    /// What has come so far, for messages and for HTTP/1.1.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.plain).into_owned()
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !self.bytewise {
            return self.socket.write_all(bytes);
        }
        bytes.iter().try_for_each(|byte| self.socket.write_all(&[*byte]))
    }
}
