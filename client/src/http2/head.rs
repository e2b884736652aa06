//! The request head, encoded with literals and the static table alone, and the response head, decoded (RFC 7541).

use loona_hpack::Decoder;

use crate::http::{HttpError, Request};
use crate::websocket::{SUBPROTOCOL, VERSION};

// RFC 7541, appendix A.
const METHOD: u8 = 2;
const METHOD_POST: u8 = 3;
const SCHEME_HTTP: u8 = 6;
const SCHEME_HTTPS: u8 = 7;
const AUTHORITY: u8 = 1;
const PATH: u8 = 4;
const CONTENT_TYPE: u8 = 31;

const INDEXED: u8 = 0x80;

/// The header block of `POST /connect`. Nothing enters the server's dynamic table.
pub(super) fn encode(request: &Request<'_>) -> Vec<u8> {
    let scheme = if request.secure { SCHEME_HTTPS } else { SCHEME_HTTP };
    let mut block = vec![INDEXED | METHOD_POST, INDEXED | scheme];
    literal(AUTHORITY, request.authority, &mut block);
    literal(PATH, "/connect", &mut block);
    literal(CONTENT_TYPE, "application/octet-stream", &mut block);
    trace(request, &mut block);
    block
}

/// The header block that opens a WebSocket (RFC 8441 §4).
pub(super) fn encode_extended(request: &Request<'_>) -> Vec<u8> {
    let scheme = if request.secure { SCHEME_HTTPS } else { SCHEME_HTTP };
    let mut block = Vec::new();
    literal(METHOD, "CONNECT", &mut block);
    field(":protocol", "websocket", &mut block);
    block.push(INDEXED | scheme);
    literal(AUTHORITY, request.authority, &mut block);
    literal(PATH, "/connect", &mut block);
    field("sec-websocket-version", VERSION, &mut block);
    field("sec-websocket-protocol", SUBPROTOCOL, &mut block);
    trace(request, &mut block);
    block
}

fn trace(request: &Request<'_>, block: &mut Vec<u8>) {
    if let Some(traceparent) = request.traceparent {
        field("traceparent", traceparent, block);
    }
}

/// RFC 7541 §6.2.2: a literal without indexing whose name stands in the static table.
fn literal(name: u8, value: &str, block: &mut Vec<u8>) {
    integer(4, 0, usize::from(name), block);
    string(value, block);
}

/// The same with a name that does not.
fn field(name: &str, value: &str, block: &mut Vec<u8>) {
    block.push(0);
    string(name, block);
    string(value, block);
}

fn string(value: &str, block: &mut Vec<u8>) {
    integer(7, 0, value.len(), block);
    block.extend_from_slice(value.as_bytes());
}

/// RFC 7541 §5.1.
fn integer(prefix: u32, first: u8, mut value: usize, block: &mut Vec<u8>) {
    let full = (1_usize << prefix) - 1;
    if value < full {
        block.push(first | value.to_le_bytes()[0]);
        return;
    }
    block.push(first | full.to_le_bytes()[0]);
    value -= full;
    while value >= 0x80 {
        block.push(0x80 | (value & 0x7f).to_le_bytes()[0]);
        value >>= 7;
    }
    block.push(value.to_le_bytes()[0]);
}

/// The status of a response head; `None` for trailers, which have none.
pub(super) fn decode_status(decoder: &mut Decoder<'_>, block: &[u8]) -> Result<Option<u16>, HttpError> {
    let mut status = None;
    let decoded = decoder.decode_with_cb(block, |name, value| {
        if name.as_ref() == b":status" {
            status = std::str::from_utf8(&value)
                .ok()
                .and_then(|text| text.parse::<u16>().ok());
        }
    });
    match decoded {
        Ok(()) => Ok(status),
        Err(_) => Err(HttpError::Protocol {
            section: "RFC 7541",
            what: "a header block that cannot be decoded",
        }),
    }
}

#[cfg(test)]
mod tests {
    use loona_hpack::Decoder;

    use super::{encode, encode_extended, integer};
    use crate::http::Request;

    #[test]
    fn an_independent_decoder_reads_the_request_back() {
        let long = "x".repeat(300);
        let request = Request {
            authority: &long,
            secure: true,
            traceparent: Some("00-aa-bb-01"),
        };
        let expected = [
            (":method", "POST"),
            (":scheme", "https"),
            (":authority", &long),
            (":path", "/connect"),
            ("content-type", "application/octet-stream"),
            ("traceparent", "00-aa-bb-01"),
        ];
        assert_eq!(decode(&encode(&request)), expected.map(owned));
        let expected = [
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            (":scheme", "https"),
            (":authority", &long),
            (":path", "/connect"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-protocol", "ccp.1"),
            ("traceparent", "00-aa-bb-01"),
        ];
        assert_eq!(decode(&encode_extended(&request)), expected.map(owned));
    }

    fn owned((name, value): (&str, &str)) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    fn decode(block: &[u8]) -> Vec<(String, String)> {
        let text = |octets: Vec<u8>| String::from_utf8(octets).expect("text");
        let fields = Decoder::new().decode(block).expect("decodes");
        fields
            .into_iter()
            .map(|(name, value)| (text(name), text(value)))
            .collect()
    }

    #[test]
    fn integers_follow_the_examples_of_rfc_7541_appendix_c_1() {
        for (prefix, value, expected) in [(5, 10, vec![10]), (5, 1337, vec![31, 154, 10]), (8, 42, vec![42])] {
            let mut block = Vec::new();
            integer(prefix, 0, value, &mut block);
            assert_eq!(block, expected);
        }
    }
}
