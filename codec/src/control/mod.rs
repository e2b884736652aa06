//! The JSON of control frames, one type per payload (CCP-1, Frame Types; decisions § 2, § 4).
//!
//! What all of them keep: unknown members are ignored, a known member of the wrong type or beyond its limit is
//! `Invalid Control Payload`, `null` in an optional member means it is absent, and an object is an object: serde's
//! habit of reading a struct from an array is shut off. Payloads that are relayed travel as they came; these types are
//! how the relay reads them, not how it forwards them.

mod ack;
mod auth;
mod call;
mod certificate;
mod channel;
mod error;
mod group;
mod hello;
mod json;
mod text;
mod user;
mod version;

pub use ack::Ack;
pub use auth::{Auth, AuthProof, AuthSecret, Ready};
pub use call::{
    Audio, AudioStats, CallAnswer, CallEnd, CallOffer, CallStats, Candidate, Media, Metadata, Resolution, Transport,
    Video, VideoStats,
};
pub use certificate::{DeviceCertificate, HexSignature};
pub use channel::{Join, Leave, Presence, PresenceUpdate};
pub use error::Problem;
pub use group::{GroupCreate, GroupInvite, Role};
pub use hello::{Hello, Zkp};
pub use json::{parse, write};
pub use text::{HexBytes, HexKey, Text, TextTooLong};
pub use user::{UserClaim, UserProfile};
pub use version::negotiate;
