//! A TCP connection from a chosen source address, without stopping the thread for it.

use std::io;
use std::net::{IpAddr, SocketAddr};

use monoio::net::TcpStream;
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

/// Connects to `address`, from `source` when one is given.
pub(super) async fn dial(address: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if let Some(source) = source {
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    // Every write is a whole flush already; waiting for more only adds latency.
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    let under_way = match socket.connect(&address.into()) {
        Ok(()) => false,
        Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => true,
        Err(error) => return Err(error),
    };
    // The same socket by another name: the stream does not let its settings be changed.
    let settings = socket.try_clone()?;
    let stream = TcpStream::from_std(socket.into())?;
    if under_way {
        stream.writable(false).await?;
        // Writable is what a refused connection is, too.
        if let Some(error) = settings.take_error()? {
            return Err(error);
        }
    }
    // What does not block fails in an io_uring instead of waiting.
    settings.set_nonblocking(false)?;
    Ok(stream)
}
