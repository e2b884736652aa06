//! The Noise handshakes of CCP-1, and the keys they prove.
//!
//! ```text
//!      client                          server
//!  Initiator::start ──message 1──► Responder::read_hello      HELLO.handshake
//!  InitiatorHello                  ResponderHello             IK: the client's key is known, not yet proven
//!  ::read_auth      ◄──message 2── ::write_auth               AUTH.handshake, payload encrypted
//!  InitiatorReady                  ResponderAwait
//!  ::proof          ───proof─────► ::finish                   AUTH.handshake: XK message 3, IK first transport message
//!  Established                     Established
//! ```
//!
//! Invariants: [`Established`] exists only after both sides have proven their keys in this very session; no bytes of a
//! peer can cause a panic; randomness is an argument; secrets are wiped where this crate holds them, and no `Debug`
//! prints one.

// What a peer sends may end its connection and never the process; where something cannot fail, its place says why.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable)]
#![deny(clippy::indexing_slicing)]

pub mod certificate;
pub mod entropy;
pub mod error;
pub mod established;
pub mod initiator;
pub mod key;
pub mod pattern;
mod primitives;
pub mod responder;
pub mod stage;
#[cfg(test)]
mod vectors;
pub mod zkp;

pub use certificate::DeviceCa;
pub use entropy::Entropy;
pub use error::NoiseError;
pub use established::{Established, Transport};
pub use initiator::{Initiator, InitiatorHello, InitiatorReady};
pub use key::{KeyTextError, PublicKey, StaticKey};
pub use pattern::{DEFAULT_PROLOGUE, MAX_MESSAGE, MAX_PLAINTEXT, Pattern};
pub use responder::{Responder, ResponderAwait, ResponderHello};
pub use stage::{NoiseStage, NoiseStageError, Unsealed};
