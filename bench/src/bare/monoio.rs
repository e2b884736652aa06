//! On monoio: one thread, io_uring, a task that reads and one that writes for each connection.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::task::{Poll, Waker};

use monoio::RuntimeBuilder;
use monoio::io::{AsyncReadRent, AsyncWriteRentExt, OwnedReadHalf, OwnedWriteHalf, Splitable};
use monoio::net::TcpStream;

use super::{BareError, READ, Room, Runtime, Seat};

/// What all tasks share.
struct Hall {
    room: RefCell<Room>,
    /// By seat: wakes the task that writes.
    writers: RefCell<Vec<Rc<Bell>>>,
}

/// A flag and the task that waits for it.
#[derive(Default)]
pub(super) struct Bell {
    set: Cell<bool>,
    waiting: RefCell<Option<Waker>>,
}

impl Bell {
    pub(super) fn ring(&self) {
        if !self.set.replace(true)
            && let Some(waker) = self.waiting.borrow_mut().take()
        {
            waker.wake();
        }
    }

    pub(super) async fn rung(&self) {
        poll_fn(|context| {
            if self.set.replace(false) {
                return Poll::Ready(());
            }
            *self.waiting.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

pub(super) fn serve(listener: TcpListener, room: Room) -> Result<(), BareError> {
    let mut ring = monoio_io_uring::IoUring::builder();
    ring.setup_single_issuer().setup_defer_taskrun();
    RuntimeBuilder::<monoio::IoUringDriver>::new()
        .uring_builder(ring)
        .with_entries(4096)
        .build()
        .map_err(BareError::of(Runtime::Monoio))?
        .block_on(accept(listener, room))
        .map_err(BareError::of(Runtime::Monoio))
}

async fn accept(listener: TcpListener, room: Room) -> io::Result<()> {
    let hall = Rc::new(Hall {
        room: RefCell::new(room),
        writers: RefCell::default(),
    });
    let listener = monoio::net::TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let seat = hall.room.borrow_mut().accepted();
        let bell = Rc::new(Bell::default());
        {
            let mut writers = hall.writers.borrow_mut();
            if writers.len() <= seat {
                writers.resize_with(seat + 1, Rc::default);
            }
            writers[seat] = Rc::clone(&bell);
        }
        let (reading, writing) = stream.into_split();
        monoio::spawn(write(writing, Rc::clone(&hall), seat, bell));
        monoio::spawn(read(reading, Rc::clone(&hall), seat));
    }
}

async fn read(mut half: OwnedReadHalf<TcpStream>, hall: Rc<Hall>, seat: Seat) {
    let mut buffer = Vec::with_capacity(READ);
    loop {
        let (read, filled) = half.read(buffer).await;
        buffer = filled;
        let Ok(count @ 1..) = read else { break };
        let mut room = hall.room.borrow_mut();
        if room.receive(seat, &mut buffer[..count]).is_err() {
            break;
        }
        while let Some(dirty) = room.next_dirty() {
            hall.writers.borrow()[dirty].ring();
        }
    }
    hall.room.borrow_mut().gone(seat);
    hall.writers.borrow()[seat].ring();
}

async fn write(mut half: OwnedWriteHalf<TcpStream>, hall: Rc<Hall>, seat: Seat, bell: Rc<Bell>) {
    let mut out = Vec::new();
    loop {
        bell.rung().await;
        hall.room.borrow_mut().collect(seat, &mut out);
        if !Rc::ptr_eq(&hall.writers.borrow()[seat], &bell) {
            return;
        }
        let (written, back) = half.write_all(out).await;
        if written.is_err() {
            return;
        }
        out = back;
        out.clear();
    }
}
