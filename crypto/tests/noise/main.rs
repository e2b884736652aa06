//! What the handshakes promise, checked from outside.

mod certificate;
mod forgery;
mod hostile;
mod keys;
mod round_trip;
mod stage;
mod support;
mod zkp;
