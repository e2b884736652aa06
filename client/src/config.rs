//! Who connects, to whom, and how the first request looks.

use commucat_crypto::{DEFAULT_PROLOGUE, Pattern, PublicKey, StaticKey};
use commucat_proto::DeviceId;
use commucat_proto::control::UserClaim;

use crate::http::HttpVersion;

/// When the relay hears that a frame has arrived (`delivery-ack`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acks {
    /// By itself, once the application has taken the frame: when it asks for the event after it, or closes. What was taken
    /// of one read is acknowledged together.
    #[default]
    Taken,
    /// When the application says so by [`crate::Connection::acknowledge`], or never.
    ByHand,
}

/// Everything a [`crate::Connection`] needs to know before its first byte.
#[derive(Clone, Debug)]
pub struct Config {
    /// The device that connects.
    pub device: DeviceId,
    /// Its static key; the relay pins it at first use.
    pub key: StaticKey,
    /// The relay's static key (`noise_public` of `/api/server-info`, or told out of band).
    pub server: PublicKey,
    /// The handshake pattern.
    pub pattern: Pattern,
    /// What both sides mix into the handshake.
    pub prologue: Vec<u8>,
    /// Which profile the device wants to be of; none founds a fresh one.
    pub user: Option<UserClaim>,
    /// What is offered; [`crate::Session::capabilities`] tells what was accepted.
    pub capabilities: Vec<String>,
    /// Versions of the protocol that are offered.
    pub versions: Vec<u16>,
    /// What carries the tunnel.
    pub http: HttpVersion,
    /// `Host` or `:authority`; a driver fills in its endpoint's when it is empty.
    pub authority: String,
    /// Whether `:scheme` is `https`; drivers set it by their endpoint.
    pub secure: bool,
    /// W3C trace context for the relay's logs.
    pub traceparent: Option<String>,
    /// Who acknowledges frames, where `delivery-ack` is offered and accepted.
    pub acks: Acks,
    /// Send HELLO along with the request instead of waiting for its `200`: one round trip less. The specification lets
    /// frames flow once the `200` is there, so it is off by default.
    pub eager: bool,
}

impl Config {
    /// XK over HTTP/1.1 with the default prologue and no extensions.
    #[must_use]
    pub fn new(device: DeviceId, key: StaticKey, server: PublicKey) -> Self {
        Self {
            device,
            key,
            server,
            pattern: Pattern::Xk,
            prologue: DEFAULT_PROLOGUE.to_vec(),
            user: None,
            capabilities: Vec::new(),
            versions: vec![1],
            http: HttpVersion::Http1,
            authority: String::new(),
            secure: true,
            traceparent: None,
            acks: Acks::Taken,
            eager: false,
        }
    }
}
