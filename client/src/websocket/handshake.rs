//! The opening handshake over HTTP/1.1 (RFC 6455 § 4.1).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use crate::http::Request;

/// The version of RFC 6455.
pub(crate) const VERSION: &str = "13";
/// What we speak inside.
pub(crate) const SUBPROTOCOL: &str = "ccp.1";
/// § 1.3.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// `Sec-WebSocket-Key`.
pub(super) fn key(nonce: [u8; 16]) -> String {
    STANDARD.encode(nonce)
}

/// `Sec-WebSocket-Accept` as the answer to `key`.
pub(super) fn accept(key: &str) -> String {
    STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

/// The request.
pub(super) fn head(request: &Request<'_>, key: &str) -> Vec<u8> {
    let mut head = format!(
        "GET /connect HTTP/1.1\r\nhost: {}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: {VERSION}\r\nsec-websocket-key: {key}\r\nsec-websocket-protocol: {SUBPROTOCOL}\r\n",
        request.authority
    );
    if let Some(traceparent) = request.traceparent {
        head.push_str("traceparent: ");
        head.push_str(traceparent);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    head.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::{accept, key};

    #[test]
    fn the_example_of_rfc_6455_section_1_3_is_answered_as_it_says() {
        assert_eq!(key(*b"the sample nonce"), "dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
