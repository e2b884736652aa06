//! The two tasks of a session.

use std::rc::Rc;

use commucat_client::{ClientError, Event};
use monoio::io::{AsyncReadRent, AsyncWriteRent, AsyncWriteRentExt, OwnedReadHalf, OwnedWriteHalf, Splitable};
use monoio::net::TcpStream;

use super::{Establishing, Handler, Wire};

/// Puts a session into the hands of two tasks; `read` is the size of its read buffer.
pub(crate) fn start<H: Handler>(session: Establishing, read: usize, handler: impl FnOnce(&Rc<Wire>) -> H) -> Rc<Wire> {
    let Establishing { stream, mut link, .. } = session;
    link.shrink();
    let wire = Rc::new(Wire::new(link));
    let handler = handler(&wire);
    let (reading, writing) = stream.into_split();
    monoio::spawn(read_all(reading, Rc::clone(&wire), handler, read));
    monoio::spawn(write_all(writing, Rc::clone(&wire)));
    wire
}

async fn read_all<H: Handler>(mut half: OwnedReadHalf<TcpStream>, wire: Rc<Wire>, mut handler: H, size: usize) {
    let mut buffer = Vec::with_capacity(size);
    let why = loop {
        // A read fills the buffer from its start, whatever it held.
        let (read, filled) = half.read(buffer).await;
        buffer = filled;
        match read {
            Ok(count) => {
                if let Err(error) = take(&wire, &mut buffer[..count], &mut handler) {
                    break error.to_string();
                }
                handler.turn();
                if count == 0 {
                    break "the relay closed the connection".to_owned();
                }
            }
            Err(error) => break error.to_string(),
        }
    };
    wire.alive.set(false);
    wire.notify.wake();
    handler.lost(&why);
}

/// Feeds one read to the session and reports its events.
fn take(wire: &Wire, bytes: &mut [u8], handler: &mut impl Handler) -> Result<(), ClientError> {
    let mut link = wire.link.borrow_mut();
    let mut out = wire.out.borrow_mut();
    if bytes.is_empty() {
        link.disconnected();
    } else {
        link.receive(bytes, &mut out)?;
    }
    loop {
        match link.connection().next_event()? {
            Some(Event::Problem(problem)) => {
                let why = format!("{} ({}): {}", problem.title, problem.status, problem.detail);
                drop((link, out));
                handler.lost(&why);
                return Ok(());
            }
            Some(event) => handler.event(event),
            None => break,
        }
    }
    link.transmit(&mut out)?;
    if !out.is_empty() {
        wire.notify.wake();
    }
    Ok(())
}

async fn write_all(mut half: OwnedWriteHalf<TcpStream>, wire: Rc<Wire>) {
    let mut buffer = Vec::new();
    while wire.alive.get() {
        wire.notify.wait().await;
        let last = wire.closing.get();
        {
            let (mut out, mut link) = (wire.out.borrow_mut(), wire.link.borrow_mut());
            let sealed = match last {
                true => link.close(&mut out),
                false => link.transmit(&mut out),
            };
            if sealed.is_err() {
                break;
            }
            std::mem::swap(&mut *out, &mut buffer);
        }
        if !buffer.is_empty() {
            let (written, back) = half.write_all(buffer).await;
            if written.is_err() {
                break;
            }
            buffer = back;
            buffer.clear();
        }
        if last {
            break;
        }
    }
    // The reader sees the end of the connection and tells why.
    let _ = half.shutdown().await;
}
