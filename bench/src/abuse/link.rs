//! A blocking TLS connection of which an attacker writes every byte, and the way to it.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use commucat_client::blocking::{Options, dial, server_info};
use commucat_client::tls::{Tls, Trust, client_config};
use commucat_client::{Endpoint, HttpVersion, PublicKey};
use rustls::client::Resumption;
use rustls::pki_types::ServerName;

/// An attacker waits no longer for anything.
const PATIENCE: Duration = Duration::from_secs(3);

/// Attackers come from here: what one address may do is a limit of its own, and the crowd has another address.
const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 66));

/// Whom to attack.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its TLS listener.
    endpoint: Endpoint,
    address: SocketAddr,
    /// Its Noise key.
    pub(super) noise: PublicKey,
    one: Arc<rustls::ClientConfig>,
    two: Arc<rustls::ClientConfig>,
}

impl Target {
    /// The relay that listens there.
    ///
    /// # Errors
    /// When it does not say who it is.
    pub fn at(address: SocketAddr) -> io::Result<Self> {
        let endpoint: Endpoint = format!("https://{address}").parse().map_err(io::Error::other)?;
        let options = Options {
            trust: Trust::Insecure,
            source: Some(SOURCE),
            timeout: PATIENCE,
        };
        let info = server_info(&endpoint, &options).map_err(io::Error::other)?;
        // Every connection costs the relay a whole handshake.
        let config = |http| -> io::Result<_> {
            let config = client_config(&Trust::Insecure, http).map_err(io::Error::other)?;
            let mut config = rustls::ClientConfig::clone(&config);
            config.resumption = Resumption::disabled();
            Ok(Arc::new(config))
        };
        Ok(Self {
            endpoint,
            address,
            noise: info.noise_public,
            one: config(HttpVersion::Http1)?,
            two: config(HttpVersion::Http2)?,
        })
    }

    /// A TCP connection.
    pub(super) fn dial(&self) -> io::Result<TcpStream> {
        let socket = dial(&self.endpoint, Some(SOURCE), PATIENCE).map_err(io::Error::other)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(socket)
    }
}

/// One connection, its handshake done.
#[derive(Debug)]
pub(super) struct Link {
    socket: TcpStream,
    tls: Tls,
    /// Opened and not taken.
    pub(super) plain: Vec<u8>,
}

impl Link {
    pub(super) fn open(target: &Target, http: HttpVersion) -> io::Result<Self> {
        let config = match http {
            HttpVersion::Http2 => &target.two,
            _ => &target.one,
        };
        let name = ServerName::from(target.address.ip());
        let mut link = Self {
            socket: target.dial()?,
            tls: Tls::new(Arc::clone(config), name).map_err(io::Error::other)?,
            plain: Vec::new(),
        };
        let mut out = Vec::new();
        link.tls.start(&mut out).map_err(io::Error::other)?;
        link.socket.write_all(&out)?;
        while !link.tls.is_ready() {
            link.pull()?;
        }
        Ok(link)
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut out = Vec::new();
        self.tls.seal(bytes, &mut out).map_err(io::Error::other)?;
        self.socket.write_all(&out)
    }

    /// Waits for bytes.
    pub(super) fn pull(&mut self) -> io::Result<()> {
        let (mut buffer, mut out) = ([0; 16 << 10], Vec::new());
        let count = self.socket.read(&mut buffer)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let plain = &mut self.plain;
        let opened = self
            .tls
            .receive(&mut buffer[..count], &mut out, |bytes| plain.extend_from_slice(bytes));
        opened.map_err(io::Error::other)?;
        self.socket.write_all(&out)
    }

    /// Everything until the end, a reset being one.
    pub(super) fn rest(mut self) -> io::Result<Vec<u8>> {
        loop {
            match self.pull() {
                Ok(()) if self.tls.is_closed() => return Ok(self.plain),
                Ok(()) => {}
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    return Err(error);
                }
                Err(_) => return Ok(self.plain),
            }
        }
    }

    /// Sends a request of HTTP/1.1; gives the status of its answer, whose body of a stated length is taken.
    pub(super) fn ask(&mut self, request: &[u8]) -> io::Result<u16> {
        self.write(request)?;
        loop {
            let head = self.plain.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = head {
                let head = String::from_utf8_lossy(&self.plain[..end]).to_lowercase();
                let status = head.get(9..12).and_then(|text| text.parse().ok());
                let status = status.ok_or(io::ErrorKind::InvalidData)?;
                let length = head.split_once("content-length: ");
                let length = length
                    .and_then(|(_, rest)| rest.lines().next()?.trim().parse().ok())
                    .unwrap_or(0);
                while self.plain.len() < end + 4 + length {
                    self.pull()?;
                }
                self.plain.drain(..end + 4 + length);
                return Ok(status);
            }
            self.pull()?;
        }
    }
}
