//! The driver against real sockets on loopback.

mod backpressure;
mod bed;
mod chaos;
mod doorbell;
mod echo;
mod endings;
mod setup;
mod table;
