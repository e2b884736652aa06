//! Frames (RFC 6455 § 5): ours are masked, the relay's are not.

use crate::http::HttpError;

const CONTINUATION: u8 = 0x0;
pub(super) const BINARY: u8 = 0x2;
pub(super) const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
pub(super) const PONG: u8 = 0xa;

const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const MASKED: u8 = 0x80;
const CONTROL: u8 = 0x8;
/// What a control frame may carry.
const CONTROL_PAYLOAD: usize = 125;
/// Two octets and a length of eight; the relay's frames have no key.
const HEADER: usize = 10;

/// Appends a whole frame with `payload`, masked by `key`.
pub(super) fn write(opcode: u8, payload: &[u8], key: [u8; 4], out: &mut Vec<u8>) {
    out.push(FIN | opcode);
    match payload.len() {
        length @ 0..=125 => out.push(MASKED | length as u8),
        length @ 126..=0xffff => {
            out.push(MASKED | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(MASKED | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&key);
    let start = out.len();
    out.extend_from_slice(payload);
    let (words, rest) = out[start..].as_chunks_mut::<4>();
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ u32::from_ne_bytes(key)).to_ne_bytes();
    }
    for (octet, key) in rest.iter_mut().zip(key) {
        *octet ^= key;
    }
}

/// Takes the relay's frames apart. Bytes of messages are passed on as they come; a control frame is kept until it is
/// whole.
#[derive(Debug, Default)]
pub(super) struct Reader {
    header: Vec<u8>,
    opcode: u8,
    /// Of the payload; a frame is being read while there is one.
    left: Option<u64>,
    fragmented: bool,
    control: Vec<u8>,
    ping: Option<Vec<u8>>,
    closed: bool,
}

const fn broken(what: &'static str) -> HttpError {
    HttpError::WebSocket(what)
}

impl Reader {
    /// The relay's Close has come.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// The payload of the latest Ping that is not answered.
    pub(super) fn take_ping(&mut self) -> Option<Vec<u8>> {
        self.ping.take()
    }

    pub(super) fn read(&mut self, mut bytes: &[u8], body: &mut Vec<u8>) -> Result<(), HttpError> {
        while !bytes.is_empty() && !self.closed {
            let used = match self.left {
                None => self.read_header(bytes)?,
                Some(left) => {
                    let take = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    let into = if self.opcode & CONTROL == 0 {
                        &mut *body
                    } else {
                        &mut self.control
                    };
                    into.extend_from_slice(&bytes[..take]);
                    self.left = Some(left - take as u64);
                    take
                }
            };
            bytes = &bytes[used..];
            if self.left == Some(0) {
                self.left = None;
                self.whole()?;
            }
        }
        Ok(())
    }

    /// Collects a header; returns how many of `bytes` belong to it.
    fn read_header(&mut self, bytes: &[u8]) -> Result<usize, HttpError> {
        for (index, octet) in bytes.iter().enumerate() {
            self.header.push(*octet);
            if let [first, second, length @ ..] = self.header.as_slice()
                && let Some(left) = length_of(*second, length)?
            {
                let first = *first;
                self.header.clear();
                self.begin(first, left)?;
                return Ok(index + 1);
            }
            assert!(self.header.len() < HEADER, "a header is whole by then");
        }
        Ok(bytes.len())
    }

    fn begin(&mut self, first: u8, left: u64) -> Result<(), HttpError> {
        let (fin, opcode) = (first & FIN != 0, first & 0x0f);
        if first & RESERVED != 0 {
            return Err(broken("a reserved bit, though no extension was agreed on"));
        }
        match opcode {
            CONTINUATION if !self.fragmented => return Err(broken("a continuation of nothing")),
            BINARY if self.fragmented => return Err(broken("a message inside a message")),
            CONTINUATION | BINARY => self.fragmented = !fin,
            CLOSE | PING | PONG if !fin || left > CONTROL_PAYLOAD as u64 => {
                return Err(broken("a control frame that is too long or in fragments"));
            }
            CLOSE | PING | PONG => {}
            _ => return Err(broken("a frame that is neither binary nor control")),
        }
        self.opcode = opcode;
        self.left = Some(left);
        Ok(())
    }

    fn whole(&mut self) -> Result<(), HttpError> {
        let payload = match self.opcode {
            CLOSE | PING | PONG => std::mem::take(&mut self.control),
            _ => return Ok(()),
        };
        match self.opcode {
            PING => self.ping = Some(payload),
            CLOSE if payload.len() == 1 => return Err(broken("half a close code")),
            CLOSE => self.closed = true,
            _ => {}
        }
        Ok(())
    }
}

/// The payload's length, once the header is whole.
fn length_of(second: u8, length: &[u8]) -> Result<Option<u64>, HttpError> {
    if second & MASKED != 0 {
        return Err(broken("a masked frame"));
    }
    Ok(match second {
        126 => length.try_into().ok().map(|two| u64::from(u16::from_be_bytes(two))),
        127 => {
            if length.first().is_some_and(|octet| octet & 0x80 != 0) {
                return Err(broken("a length of 64 bits"));
            }
            length.try_into().ok().map(u64::from_be_bytes)
        }
        short => Some(u64::from(short)),
    })
}

#[cfg(test)]
mod tests {
    use super::{BINARY, Reader, write};

    #[test]
    fn a_masked_frame_looks_as_rfc_6455_section_5_7_shows_it() {
        let mut out = Vec::new();
        // The example is of text; ours are binary.
        write(BINARY, b"Hello", [0x37, 0xfa, 0x21, 0x3d], &mut out);
        assert_eq!(out, [0x82, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
    }

    #[test]
    fn the_length_stands_in_as_few_octets_as_it_takes() {
        for (length, header) in [
            (0, &[0x80][..]),
            (125, &[0xfd]),
            (126, &[0xfe, 0, 126]),
            (65_535, &[0xfe, 0xff, 0xff]),
            (65_536, &[0xff, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let mut out = Vec::new();
            write(BINARY, &vec![7; length], [0; 4], &mut out);
            assert_eq!(&out[1..=header.len()], header);
            assert_eq!(out.len(), 1 + header.len() + 4 + length);
        }
    }

    #[test]
    fn messages_are_joined_wherever_the_wire_is_cut_and_the_latest_ping_is_kept() {
        let long = vec![9; 300];
        let wire = [
            &[0x02, 3][..],
            b"abc",
            &[0x89, 2],
            b"no",
            &[0x80, 0],
            &[0x82, 126, 1, 44],
            &long,
            &[0x82, 127, 0, 0, 0, 0, 0, 0, 0, 2],
            b"de",
            &[0x8a, 1, 0, 0x89, 2],
            b"hi",
            &[0x88, 2, 0x03, 0xe8],
            b"whatever follows",
        ]
        .concat();
        let expected = [b"abc", long.as_slice(), b"de"].concat();
        for cut in 1..=wire.len() {
            let (mut reader, mut body) = (Reader::default(), Vec::new());
            for piece in wire.chunks(cut) {
                reader.read(piece, &mut body).expect("valid");
            }
            assert_eq!(body, expected, "cut every {cut} bytes");
            assert_eq!(reader.take_ping().as_deref(), Some(&b"hi"[..]));
            assert!(reader.is_closed());
        }
    }

    #[test]
    fn what_a_relay_must_not_send_is_refused() {
        for bad in [
            &[0x82, 0x80][..],
            &[0xc2, 0],
            &[0x81, 0],
            &[0x80, 0],
            &[0x83, 0],
            &[0x02, 0, 0x82, 0],
            &[0x09, 0],
            &[0x89, 126, 0, 126],
            &[0x88, 1, 3],
            &[0x82, 127, 0x80],
        ] {
            let refused = bad.chunks(1).try_fold(Reader::default(), |mut reader, piece| {
                reader.read(piece, &mut Vec::new()).map(|()| reader)
            });
            assert!(refused.is_err(), "{bad:?}");
        }
    }
}
