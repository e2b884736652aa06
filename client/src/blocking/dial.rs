//! A TCP connection to a relay, from a chosen source address when one is given.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use super::DriverError;
use crate::endpoint::Endpoint;

/// Connects to the first address of `endpoint` that answers. `source` is the local address to come from: one address has
/// some 28,000 ephemeral ports, so whoever holds more connections than that spreads them.
///
/// # Errors
/// [`DriverError::Io`] of the last address tried.
pub fn dial(endpoint: &Endpoint, source: Option<IpAddr>, timeout: Duration) -> Result<TcpStream, DriverError> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in endpoint.resolve()? {
        match connect(address, source, timeout) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(DriverError::Io {
        doing: "connect to",
        endpoint: endpoint.to_string(),
        source: last,
    })
}

fn connect(address: SocketAddr, source: Option<IpAddr>, timeout: Duration) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if let Some(source) = source {
        // The kernel then chooses the port by the whole connection, not by the address alone.
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    socket.connect_timeout(&address.into(), timeout)?;
    // Every write is a whole flush already; waiting for more only adds latency.
    socket.set_tcp_nodelay(true)?;
    Ok(socket.into())
}
