//! On tokio: one thread, epoll, a task that reads and one that writes for each connection.

use std::cell::RefCell;
use std::io;
use std::net::TcpListener;
use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Notify;
use tokio::task::LocalSet;

use super::{BareError, READ, Room, Runtime, Seat};

/// What all tasks share.
struct Hall {
    room: RefCell<Room>,
    /// By seat: wakes the task that writes.
    writers: RefCell<Vec<Rc<Notify>>>,
}

pub(super) fn serve(listener: TcpListener, room: Room) -> Result<(), BareError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .map_err(BareError::of(Runtime::Tokio))?;
    LocalSet::new()
        .block_on(&runtime, accept(listener, room))
        .map_err(BareError::of(Runtime::Tokio))
}

async fn accept(listener: TcpListener, room: Room) -> io::Result<()> {
    let hall = Rc::new(Hall {
        room: RefCell::new(room),
        writers: RefCell::default(),
    });
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let seat = hall.room.borrow_mut().accepted();
        let notify = Rc::new(Notify::new());
        {
            let mut writers = hall.writers.borrow_mut();
            if writers.len() <= seat {
                writers.resize_with(seat + 1, Rc::default);
            }
            writers[seat] = Rc::clone(&notify);
        }
        let (reading, writing) = stream.into_split();
        tokio::task::spawn_local(write(writing, Rc::clone(&hall), seat, notify));
        tokio::task::spawn_local(read(reading, Rc::clone(&hall), seat));
    }
}

async fn read(mut half: OwnedReadHalf, hall: Rc<Hall>, seat: Seat) {
    let mut buffer = vec![0; READ];
    while let Ok(count @ 1..) = half.read(&mut buffer).await {
        let mut room = hall.room.borrow_mut();
        if room.receive(seat, &mut buffer[..count]).is_err() {
            break;
        }
        while let Some(dirty) = room.next_dirty() {
            hall.writers.borrow()[dirty].notify_one();
        }
    }
    hall.room.borrow_mut().gone(seat);
    hall.writers.borrow()[seat].notify_one();
}

async fn write(mut half: OwnedWriteHalf, hall: Rc<Hall>, seat: Seat, notify: Rc<Notify>) {
    let mut out = Vec::new();
    loop {
        notify.notified().await;
        hall.room.borrow_mut().collect(seat, &mut out);
        if !Rc::ptr_eq(&hall.writers.borrow()[seat], &notify) || half.write_all(&out).await.is_err() {
            return;
        }
        out.clear();
    }
}
