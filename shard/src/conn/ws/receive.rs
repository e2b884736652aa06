//! The receiving half: from masked frames to the bytes of the stream.

use super::frame::{self, Header};
use super::{CloseCode, Farewell, Stage, Ws, WsError};

impl Ws {
    /// Takes all of `bytes` and appends the payload of binary messages to `body`, unmasked. What came before an error
    /// stands in `body`, too; after an error, or the client's Close, whatever comes is ignored.
    ///
    /// # Errors
    /// When the client breaks the protocol; told once.
    pub fn receive(&mut self, bytes: &[u8], body: &mut Vec<u8>) -> Result<(), WsError> {
        let read = self.read(bytes, body);
        if let Err(error) = read {
            self.stage = Stage::Deaf;
            self.error = Some(error);
            self.control = Vec::new();
        }
        read
    }

    fn read(&mut self, mut bytes: &[u8], body: &mut Vec<u8>) -> Result<(), WsError> {
        while !bytes.is_empty() {
            match self.stage {
                Stage::Header => self.header(&mut bytes)?,
                Stage::Payload => self.payload(&mut bytes, body),
                Stage::Deaf => return Ok(()),
            }
            // A frame without payload is whole with its header.
            if self.stage == Stage::Payload && self.frame.left == 0 {
                self.stage = Stage::Header;
                self.whole()?;
            }
        }
        Ok(())
    }

    fn header(&mut self, bytes: &mut &[u8]) -> Result<(), WsError> {
        if self.started == 0 {
            match Header::parse(bytes, self.fragmented)? {
                Some((header, len)) => {
                    *bytes = &bytes[len..];
                    self.begin(header);
                }
                None => {
                    self.start[..bytes.len()].copy_from_slice(bytes);
                    self.started = bytes.len() as u8;
                    *bytes = &[];
                }
            }
            return Ok(());
        }
        while let Some((&octet, rest)) = bytes.split_first() {
            *bytes = rest;
            self.start[usize::from(self.started)] = octet;
            self.started += 1;
            if let Some((header, len)) = Header::parse(&self.start[..usize::from(self.started)], self.fragmented)? {
                assert!(
                    len == usize::from(self.started),
                    "a header is whole with its last octet"
                );
                self.started = 0;
                self.begin(header);
                return Ok(());
            }
        }
        Ok(())
    }

    fn begin(&mut self, header: Header) {
        if !header.is_control() {
            self.fragmented = !header.fin;
        }
        self.frame = header;
        self.stage = Stage::Payload;
    }

    fn payload(&mut self, bytes: &mut &[u8], body: &mut Vec<u8>) {
        let len = usize::try_from(self.frame.left).map_or(bytes.len(), |left| left.min(bytes.len()));
        let (piece, rest) = bytes.split_at(len);
        *bytes = rest;
        let out = if self.frame.is_control() {
            &mut self.control
        } else {
            body
        };
        let at = out.len();
        out.extend_from_slice(piece);
        frame::mask(&mut out[at..], self.frame.key);
        self.frame.key.rotate_left(len % 4);
        self.frame.left -= len as u64;
    }

    /// The last octet of a frame has come.
    fn whole(&mut self) -> Result<(), WsError> {
        if !self.frame.is_control() {
            return Ok(());
        }
        let payload = std::mem::take(&mut self.control);
        match self.frame.opcode {
            frame::PING => self.ping = Some(payload),
            frame::CLOSE => {
                self.farewell = Some(farewell(&payload)?);
                self.stage = Stage::Deaf;
            }
            _ => {}
        }
        Ok(())
    }
}

/// What a Close says (§ 5.5.1).
fn farewell(payload: &[u8]) -> Result<Farewell, WsError> {
    match payload.split_first_chunk() {
        None if payload.is_empty() => Ok(None),
        None => Err(WsError::Protocol("half a close code")),
        Some((code, reason)) => {
            let code = CloseCode::from_wire(u16::from_be_bytes(*code));
            let code = code.ok_or(WsError::Protocol("a close code that nobody may send"))?;
            std::str::from_utf8(reason).map_err(|_| WsError::NotUtf8)?;
            Ok(Some(code))
        }
    }
}
