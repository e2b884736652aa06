//! The handshake: a request head in, what to answer out (RFC 6455 § 4.2, RFC 8441 § 5).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{self, HeaderMap, HeaderName};
use http::request::Parts;
use http::{Method, Version};
use sha1::{Digest, Sha1};

use crate::conn::fields::lists;

/// What a client may name in `Sec-WebSocket-Protocol`.
pub const SUBPROTOCOL: &str = "ccp.1";

/// The version of RFC 6455, and the only one there is.
const VERSION: &[u8] = b"13";
/// § 1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A WebSocket that may be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upgrade {
    accept: Option<[u8; 28]>,
    subprotocol: bool,
}

/// Why it may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The head is no WebSocket handshake.
    Malformed,
    /// Another version of the protocol.
    Version,
}

impl Upgrade {
    /// `Sec-WebSocket-Accept`, which HTTP/2 does not have.
    #[must_use]
    pub fn accept(&self) -> Option<&str> {
        std::str::from_utf8(self.accept.as_ref()?).ok()
    }

    /// `Sec-WebSocket-Protocol`.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&'static str> {
        self.subprotocol.then_some(SUBPROTOCOL)
    }
}

/// Whether an HTTP/1.1 request asks for a WebSocket, well or badly.
#[must_use]
pub fn asks_upgrade(head: &Parts) -> bool {
    head.method == Method::GET && lists(&head.headers, &header::UPGRADE, "websocket")
}

/// Judges the head of a GET for which [`asks_upgrade`] holds.
///
/// # Errors
/// What is wrong with it.
pub fn upgrade(head: &Parts) -> Result<Upgrade, Refused> {
    let fields = &head.headers;
    if head.version != Version::HTTP_11 || !lists(fields, &header::CONNECTION, "upgrade") {
        return Err(Refused::Malformed);
    }
    let mut upgrade = extended(head)?;
    let key = only(fields, &header::SEC_WEBSOCKET_KEY).ok_or(Refused::Malformed)?;
    if !STANDARD.decode(key).is_ok_and(|key| key.len() == 16) {
        return Err(Refused::Malformed);
    }
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    let mut accept = [0; 28];
    STANDARD
        .encode_slice(digest, &mut accept)
        .map_err(|_| Refused::Malformed)?;
    upgrade.accept = Some(accept);
    Ok(upgrade)
}

/// Judges what HTTP/2's extended CONNECT leaves of the handshake: no key, for a proxy cannot mistake it.
///
/// # Errors
/// What is wrong with it.
pub fn extended(head: &Parts) -> Result<Upgrade, Refused> {
    let fields = &head.headers;
    let mut lengths = fields.get_all(header::CONTENT_LENGTH).iter();
    if fields.contains_key(header::TRANSFER_ENCODING) || lengths.any(|length| length.as_bytes() != b"0") {
        return Err(Refused::Malformed);
    }
    if only(fields, &header::SEC_WEBSOCKET_VERSION) != Some(VERSION) {
        return Err(Refused::Version);
    }
    Ok(Upgrade {
        accept: None,
        subprotocol: offers(fields),
    })
}

fn only<'a>(fields: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = fields.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Some(value.as_bytes()),
        _ => None,
    }
}

/// Names of subprotocols are exact to the letter.
fn offers(fields: &HeaderMap) -> bool {
    let lists = fields.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    lists
        .filter_map(|list| list.to_str().ok())
        .flat_map(|list| list.split(','))
        .any(|name| name.trim() == SUBPROTOCOL)
}
