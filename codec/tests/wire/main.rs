//! What the codec promises, checked from outside: bytes in these tests are written by hand from the specification.

mod control;
mod control_hostile;
mod diagnostics;
mod handshake;
mod ids;
mod properties;
mod varint;
mod vectors;
