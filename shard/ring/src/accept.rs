//! Listening and accepting.
//!
//! Each listener keeps several single-shot accepts outstanding, every one with an address post of its own: a multishot
//! accept cannot say who the peer is, and a direct descriptor cannot be asked.
//!
//! Invariant: live connections and outstanding accepts together never exceed the descriptor table, so the kernel never
//! takes a connection from the backlog only to drop it. When the table is full the rest waits in the backlog.

use std::cell::UnsafeCell;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::time::Instant;

use io_uring::{opcode, types};
use socket2::{Domain, Protocol, SockAddr, SockAddrStorage, Socket, TcpKeepalive, Type};

use crate::error::ListenError;
use crate::event::Event;
use crate::limits;
use crate::op::{Op, PostId};
use crate::ring::Ring;

/// A TCP listener whose accepted sockets inherit what a relay wants of them: no delay, keepalive, and a bound on how long
/// unacknowledged bytes may stand. With `reuseport` every core binds the same address and the kernel spreads connections.
///
/// # Errors
///
/// Whichever step the kernel refuses, by name.
pub fn listener(addr: SocketAddr, reuseport: bool) -> Result<TcpListener, ListenError> {
    let failed = |step| move |source| ListenError::Socket { step, addr, source };
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP)).map_err(failed("socket"))?;
    socket.set_reuse_address(true).map_err(failed("SO_REUSEADDR"))?;
    socket.set_reuse_port(reuseport).map_err(failed("SO_REUSEPORT"))?;
    if addr.is_ipv6() {
        socket.set_only_v6(false).map_err(failed("IPV6_V6ONLY"))?;
    }
    inherit(&socket).map_err(failed("setting TCP options"))?;
    socket.bind(&addr.into()).map_err(failed("bind"))?;
    socket.listen(limits::BACKLOG).map_err(failed("listen"))?;
    Ok(socket.into())
}

fn inherit(socket: &Socket) -> io::Result<()> {
    let keepalive = TcpKeepalive::new()
        .with_time(limits::KEEPALIVE_IDLE)
        .with_interval(limits::KEEPALIVE_INTERVAL)
        .with_retries(limits::KEEPALIVE_COUNT);
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(limits::USER_TIMEOUT))
}

/// Where the kernel writes a peer's address.
struct Address {
    storage: SockAddrStorage,
    len: libc::socklen_t,
}

impl Address {
    fn blank() -> Address {
        let storage = SockAddrStorage::zeroed();
        let len = storage.size_of();
        Address { storage, len }
    }
}

/// One outstanding accept, or the place for one.
struct Post {
    address: UnsafeCell<Address>,
    armed: bool,
}

struct Listener {
    /// `None` once accepting has stopped and the last accept has ended.
    socket: Option<TcpListener>,
    tag: u8,
    /// Never grows: the kernel writes into it.
    posts: Vec<Post>,
}

/// All listeners of a ring.
#[derive(Default)]
pub(crate) struct Acceptor {
    listeners: Vec<Listener>,
    armed: u32,
    idle: u32,
    paused_until: Option<Instant>,
    held_back: bool,
    stopped: bool,
    first: usize,
}

impl Acceptor {
    /// When to try again after the kernel refused.
    pub(crate) fn retry_at(&self) -> Option<Instant> {
        self.paused_until.filter(|_| self.idle > 0 && !self.stopped)
    }

    /// A connection was closed: what the kernel lacked may be there now.
    pub(crate) fn room_again(&mut self) {
        self.paused_until = None;
        self.held_back = false;
    }

    fn post(&mut self, id: PostId) -> Option<&mut Post> {
        self.listeners
            .get_mut(usize::from(id.listener))?
            .posts
            .get_mut(usize::from(id.post))
    }

    /// The next post without an accept, one listener after the other so that none takes all the room.
    fn next_idle(&mut self) -> Option<PostId> {
        let count = self.listeners.len();
        for step in 0..count {
            let index = (self.first + step) % count;
            let listener = &self.listeners[index];
            if listener.socket.is_none() {
                continue;
            }
            if let Some(post) = listener.posts.iter().position(|post| !post.armed) {
                self.first = index + 1;
                return Some(PostId {
                    listener: index as u8,
                    post: post as u16,
                });
            }
        }
        None
    }
}

impl Ring {
    /// Accepts from a listener; its connections are announced with `tag`.
    ///
    /// # Errors
    ///
    /// [`ListenError::TooMany`] beyond [`limits::LISTENERS`], [`ListenError::Stopped`] after `stop_accepting`.
    pub fn listen(&mut self, listener: TcpListener, tag: u8) -> Result<(), ListenError> {
        if self.acceptor.stopped {
            return Err(ListenError::Stopped);
        }
        if self.acceptor.listeners.len() == limits::LISTENERS {
            return Err(ListenError::TooMany);
        }
        // The kernel takes O_NONBLOCK as a wish to fail rather than to wait.
        listener.set_nonblocking(false).map_err(ListenError::Mode)?;
        let post = || Post {
            address: UnsafeCell::new(Address::blank()),
            armed: false,
        };
        let posts: Vec<Post> = (0..self.accepts).map(|_| post()).collect();
        self.acceptor.idle += posts.len() as u32;
        self.acceptor.listeners.push(Listener {
            socket: Some(listener),
            tag,
            posts,
        });
        Ok(())
    }

    /// Accepts no more; the listeners are closed as soon as their accepts have ended. Connections that came meanwhile
    /// are still announced.
    pub fn stop_accepting(&mut self) {
        self.acceptor.stopped = true;
        for listener in 0..self.acceptor.listeners.len() {
            for post in 0..self.acceptor.listeners[listener].posts.len() {
                let id = PostId {
                    listener: listener as u8,
                    post: post as u16,
                };
                if self.acceptor.listeners[listener].posts[post].armed {
                    self.cancel(Op::CancelAccept(id), Op::Accept(id));
                }
            }
            self.close_listener(listener);
        }
    }

    /// Arms what may be armed.
    pub(crate) fn arm_accepts(&mut self) {
        if self.acceptor.idle == 0 || self.acceptor.stopped {
            return;
        }
        if self.acceptor.paused_until.is_some_and(|until| until > Instant::now()) {
            return;
        }
        self.acceptor.paused_until = None;
        while self.slots.free() > self.acceptor.armed {
            let Some(id) = self.acceptor.next_idle() else {
                return;
            };
            self.arm_accept(id);
        }
        if self.acceptor.armed == 0 && !self.acceptor.held_back {
            self.acceptor.held_back = true;
            self.queue.counters.table_full += 1;
        }
    }

    fn arm_accept(&mut self, id: PostId) {
        let listener = &mut self.acceptor.listeners[usize::from(id.listener)];
        let Some(socket) = &listener.socket else {
            return;
        };
        let post = &mut listener.posts[usize::from(id.post)];
        post.armed = true;
        let address = post.address.get();
        // SAFETY: the pointer comes from the cell, so it may be projected; nothing is read through it.
        let (storage, len) = unsafe { (&raw mut (*address).storage, &raw mut (*address).len) };
        let entry = opcode::Accept::new(types::Fd(socket.as_raw_fd()), storage.cast(), len)
            .file_index(Some(types::DestinationSlot::auto_target()))
            .build();
        // SAFETY: the address stands in the heap memory of `posts`, which never grows and is dropped only with the ring,
        // after its accepts have ended (`drain`), or leaked; it is not read while `armed`. The listener is closed only
        // when none of its posts is armed, so its descriptor number is open when the entry is submitted.
        unsafe { self.queue.push(Op::Accept(id), entry) }
        self.acceptor.armed += 1;
        self.acceptor.idle -= 1;
    }

    pub(crate) fn on_accept(&mut self, id: PostId, result: i32, on: &mut dyn FnMut(Event<'_>)) {
        let Some(post) = self.acceptor.post(id) else {
            return;
        };
        post.armed = false;
        let peer = peer(post.address.get_mut());
        self.acceptor.armed -= 1;
        self.acceptor.idle += 1;
        match result {
            0.. => {
                let tag = self.acceptor.listeners[usize::from(id.listener)].tag;
                self.welcome(result as u32, peer, tag, on);
            }
            _ => match -result {
                // The connection was lost before it was taken, or we stopped: nothing to wait for.
                libc::ECONNABORTED | libc::ECANCELED | libc::EINTR | libc::EAGAIN | libc::EPROTO => {}
                _ => {
                    self.queue.counters.accept_refused += 1;
                    self.acceptor.paused_until = Some(Instant::now() + limits::ACCEPT_PAUSE);
                }
            },
        }
        if self.acceptor.stopped {
            self.close_listener(usize::from(id.listener));
        }
    }

    fn welcome(&mut self, slot: u32, peer: SocketAddr, tag: u8, on: &mut dyn FnMut(Event<'_>)) {
        if let Some(previous) = self.slots.tenant(slot) {
            // The kernel reused the index, so the close was carried out; its completion is merely behind.
            self.on_close(previous, on);
        }
        let id = self.slots.open(slot);
        self.queue.counters.accepts += 1;
        on(Event::Accepted { id, peer, tag });
        self.steer(id);
    }

    /// As for receives: asked again if the accept was between two places when the kernel looked.
    pub(crate) fn on_cancel_accept(&mut self, id: PostId, result: i32) {
        let still = self.acceptor.post(id).is_some_and(|post| post.armed);
        if result < 0 && still {
            self.queue.counters.cancel_retries += 1;
            self.cancel(Op::CancelAccept(id), Op::Accept(id));
        }
    }

    fn close_listener(&mut self, index: usize) {
        let listener = &mut self.acceptor.listeners[index];
        if listener.posts.iter().all(|post| !post.armed) {
            listener.socket = None;
        }
    }
}

/// The address the kernel has written.
fn peer(address: &mut Address) -> SocketAddr {
    let Address { storage, len } = std::mem::replace(address, Address::blank());
    let len = len.min(storage.size_of());
    // SAFETY: the storage began zeroed and the kernel wrote an address of `len` bytes into it, or nothing.
    let parsed = unsafe { SockAddr::new(storage, len) }.as_socket();
    let peer = parsed.unwrap_or(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
    SocketAddr::new(peer.ip().to_canonical(), peer.port())
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;
    use std::time::Duration;

    use super::*;
    use crate::config::RingConfig;
    use crate::event::Ending;
    use crate::slots::{Slots, SocketId};

    /// Turns until as many connections have been announced and as many accepts refused.
    fn until(ring: &mut Ring, accepted: &mut Vec<SocketId>, count: usize, refused: u64) {
        let start = Instant::now();
        while accepted.len() < count || ring.counters().accept_refused < refused {
            assert!(start.elapsed() < Duration::from_secs(30), "{accepted:?} {ring:?}");
            ring.wait(Some(limits::ACCEPT_PAUSE)).unwrap();
            ring.reap(&mut |event| {
                if let Event::Accepted { id, .. } = event {
                    accepted.push(id);
                }
            });
        }
    }

    #[test]
    fn a_kernel_that_refuses_is_left_alone_for_a_while_and_asked_again() {
        let config = RingConfig {
            connections: 2,
            accepts: 1,
            ..RingConfig::default()
        };
        let mut ring = Ring::new(config).unwrap();
        let listener = listener("127.0.0.1:0".parse().unwrap(), false).unwrap();
        let addr = listener.local_addr().unwrap();
        ring.listen(listener, 0).unwrap();
        // We believe that there is more room than the kernel's table has.
        ring.slots = Slots::new(8);
        let _clients: Vec<_> = (0..4).map(|_| TcpStream::connect(addr).unwrap()).collect();
        let mut accepted = Vec::new();
        until(&mut ring, &mut accepted, 2, 1);
        assert!(ring.acceptor.retry_at().is_some(), "no further accept is tried at once");
        until(&mut ring, &mut accepted, 2, 2);
        assert!(ring.acceptor.retry_at().is_some());
        ring.close(accepted[0], Ending::Abort);
        let _late = TcpStream::connect(addr).unwrap();
        until(&mut ring, &mut accepted, 3, 2);
        assert_eq!(accepted[2].slot, accepted[0].slot);
        assert_eq!(ring.counters().accept_refused, 2);
    }
}
