//! A response of HTTP/1.1: its head, then chunks (RFC 9112 §7.1), or after a 101 whatever comes. Knows nothing of bodies
//! with a length, for a tunnel's is never one.

use super::TapError;

/// Where in the response the reader stands.
#[derive(Debug, PartialEq, Eq)]
enum At {
    Head,
    ChunkSize,
    ChunkBody { left: usize },
    ChunkEnd,
    Trailer,
    Over,
}

/// The reader.
#[derive(Debug)]
pub(super) struct Http1 {
    at: At,
    /// Of the response head, 0 before it.
    status: u16,
    line: Vec<u8>,
}

impl Http1 {
    pub(super) fn new() -> Self {
        Self {
            at: At::Head,
            status: 0,
            line: Vec::new(),
        }
    }

    pub(super) fn is_tunnel(&self) -> bool {
        matches!(self.status, 101 | 200)
    }

    #[cfg(test)]
    pub(super) fn is_over(&self) -> bool {
        self.at == At::Over
    }

    /// Reads bytes from the wire; body bytes are appended to `body`.
    pub(super) fn read(&mut self, mut bytes: &[u8], body: &mut Vec<u8>) -> Result<(), TapError> {
        while !bytes.is_empty() {
            bytes = self.step(bytes, body)?;
        }
        Ok(())
    }

    fn step<'a>(&mut self, bytes: &'a [u8], body: &mut Vec<u8>) -> Result<&'a [u8], TapError> {
        match self.at {
            At::ChunkBody { left } => {
                let (now, later) = bytes.split_at(left.min(bytes.len()));
                body.extend_from_slice(now);
                self.at = match left - now.len() {
                    0 => At::ChunkEnd,
                    left => At::ChunkBody { left },
                };
                Ok(later)
            }
            At::Over => Err(TapError::AfterEnd),
            _ => {
                self.line.push(bytes[0]);
                self.line_step()?;
                Ok(&bytes[1..])
            }
        }
    }

    fn line_step(&mut self) -> Result<(), TapError> {
        let end: &[u8] = if self.at == At::Head { b"\r\n\r\n" } else { b"\r\n" };
        if !self.line.ends_with(end) {
            return Ok(());
        }
        let line = String::from_utf8_lossy(&self.line).into_owned();
        self.line.clear();
        self.at = match self.at {
            At::Head => self.head(&line)?,
            At::ChunkEnd if line == "\r\n" => At::ChunkSize,
            At::Trailer if line == "\r\n" => At::Over,
            At::ChunkSize => {
                let size = line.trim_end().split(';').next().unwrap_or_default();
                match usize::from_str_radix(size, 16).map_err(|_| TapError::Chunk(line.clone()))? {
                    0 => At::Trailer,
                    left => At::ChunkBody { left },
                }
            }
            _ => return Err(TapError::Chunk(line)),
        };
        Ok(())
    }

    fn head(&mut self, head: &str) -> Result<At, TapError> {
        let status = head
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3))
            .and_then(|status| status.parse().ok());
        self.status = status.ok_or_else(|| TapError::Head(head.to_owned()))?;
        let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
        match (self.status, chunked) {
            (100, _) => Ok(At::Head),
            (200, false) => Err(TapError::Head(head.to_owned())),
            (_, true) => Ok(At::ChunkSize),
            // An error answer with a length: nothing after it concerns us.
            (_, false) => Ok(At::ChunkBody { left: usize::MAX }),
        }
    }
}
