//! On glommio: one thread, io_uring, a task that reads and one that writes for each connection.

use std::cell::RefCell;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;

use futures_util::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use glommio::net::TcpStream;
use glommio::{GlommioError, LocalExecutorBuilder, Placement};

use super::monoio::Bell;
use super::{BareError, READ, Room, Runtime, Seat};

/// What all tasks share.
struct Hall {
    room: RefCell<Room>,
    /// By seat: wakes the task that writes.
    writers: RefCell<Vec<Rc<Bell>>>,
}

pub(super) fn serve(listener: TcpListener, room: Room) -> Result<(), BareError> {
    // It can only have a listener by binding the address itself.
    let address = listener.local_addr().map_err(BareError::of(Runtime::Glommio))?;
    drop(listener);
    let executor = LocalExecutorBuilder::new(Placement::Unbound)
        .make()
        .map_err(BareError::of(Runtime::Glommio))?;
    executor
        .run(accept(address, room))
        .map_err(BareError::of(Runtime::Glommio))
}

async fn accept(address: SocketAddr, room: Room) -> Result<(), GlommioError<()>> {
    let hall = Rc::new(Hall {
        room: RefCell::new(room),
        writers: RefCell::default(),
    });
    let listener = glommio::net::TcpListener::bind(address)?;
    loop {
        let stream = listener.accept().await?;
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
        let (reading, writing) = stream.split();
        glommio::spawn_local(write(writing, Rc::clone(&hall), seat, bell)).detach();
        glommio::spawn_local(read(reading, Rc::clone(&hall), seat)).detach();
    }
}

async fn read(mut half: ReadHalf<TcpStream>, hall: Rc<Hall>, seat: Seat) {
    let mut buffer = vec![0; READ];
    while let Ok(count @ 1..) = half.read(&mut buffer).await {
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

async fn write(mut half: WriteHalf<TcpStream>, hall: Rc<Hall>, seat: Seat, bell: Rc<Bell>) {
    let mut out = Vec::new();
    loop {
        bell.rung().await;
        hall.room.borrow_mut().collect(seat, &mut out);
        if !Rc::ptr_eq(&hall.writers.borrow()[seat], &bell) || half.write_all(&out).await.is_err() {
            return;
        }
        out.clear();
    }
}
