//! `poll(2)` on the socket and, when there is one, on the waker's end.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Makes the driver's `recv` return, from any thread.
#[derive(Debug)]
pub struct Waker(UnixStream);

impl Waker {
    /// Wakes; several wakes before the next `recv` are one.
    pub fn wake(&self) {
        // A full pipe means that a wake is under way already.
        let _ = (&self.0).write(&[1]);
    }
}

/// The driver's end of a [`Waker`].
#[derive(Debug)]
pub(super) struct WakeReader(UnixStream);

pub(super) fn pair() -> io::Result<(Waker, WakeReader)> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    theirs.set_nonblocking(true)?;
    Ok((Waker(theirs), WakeReader(ours)))
}

/// Why waiting ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readiness {
    Socket,
    Woken,
    TimedOut,
}

pub(super) fn wait(
    socket: &TcpStream,
    writing: bool,
    wake: Option<&mut WakeReader>,
    deadline: Instant,
) -> io::Result<Readiness> {
    let wanted = if writing {
        PollFlags::IN | PollFlags::OUT
    } else {
        PollFlags::IN
    };
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut watched = vec![PollFd::new(socket, wanted)];
        if let Some(WakeReader(pipe)) = &wake {
            watched.push(PollFd::new(pipe, PollFlags::IN));
        }
        match poll(&mut watched, Some(&timespec(left))) {
            Ok(0) => return Ok(Readiness::TimedOut),
            Ok(_) => {
                if !watched[0].revents().is_empty() {
                    return Ok(Readiness::Socket);
                }
                drop(watched);
                if let Some(WakeReader(pipe)) = wake {
                    let mut bytes = [0; 64];
                    while matches!(pipe.read(&mut bytes), Ok(count) if count > 0) {}
                }
                return Ok(Readiness::Woken);
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}
