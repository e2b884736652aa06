//! The chunked coding (RFC 9112 § 7.1), read strictly: no white space around a size, no bare LF anywhere, extensions and
//! trailers bounded and dropped.

use super::HttpError;
use crate::conn::fields::is_token;
use crate::conn::limits;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Counts the digits seen.
    Size(u8),
    /// Counts the octets seen.
    Extension(u16),
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// At the start of a trailer line.
    Trailer,
    TrailerName,
    TrailerValue,
    TrailerLf,
    LastLf,
}

/// Where in the body we are.
#[derive(Debug)]
pub(super) struct Chunked {
    step: Step,
    /// Octets of the current chunk still to come; while in `Size`, what its digits say so far.
    left: u64,
    trailers: u16,
}

pub(super) enum Piece<'a> {
    More,
    Data(&'a [u8]),
    End,
}

impl Chunked {
    pub(super) fn new() -> Self {
        Self {
            step: Step::Size(0),
            left: 0,
            trailers: 0,
        }
    }

    pub(super) fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Piece<'a>, HttpError> {
        while let Some((&octet, rest)) = input.split_first() {
            if let Step::Data = self.step {
                let len = usize::try_from(self.left).map_or(input.len(), |left| left.min(input.len()));
                let (piece, rest) = input.split_at(len);
                *input = rest;
                self.left -= len as u64;
                if self.left == 0 {
                    self.step = Step::DataCr;
                }
                return Ok(Piece::Data(piece));
            }
            *input = rest;
            if let Step::LastLf = self.step
                && octet == b'\n'
            {
                return Ok(Piece::End);
            }
            self.step = self.after(octet)?;
        }
        Ok(Piece::More)
    }

    /// The step after a framing octet.
    fn after(&mut self, octet: u8) -> Result<Step, HttpError> {
        match (self.step, octet) {
            (Step::Size(digits), _) if octet.is_ascii_hexdigit() => self.digit(digits, octet),
            (Step::Size(1..) | Step::Extension(_), b'\r') => Ok(Step::SizeLf),
            (Step::Size(1..), b';') => Ok(Step::Extension(0)),
            (Step::Extension(seen), b'\t' | b' '..=b'~' | 0x80..) if seen < limits::H1_CHUNK_EXTENSION => {
                Ok(Step::Extension(seen + 1))
            }
            (Step::SizeLf, b'\n') if self.left == 0 => Ok(Step::Trailer),
            (Step::SizeLf, b'\n') => Ok(Step::Data),
            (Step::DataCr, b'\r') => Ok(Step::DataLf),
            (Step::DataLf, b'\n') => Ok(Step::Size(0)),
            (Step::Trailer, b'\r') => Ok(Step::LastLf),
            (Step::Trailer | Step::TrailerName, _) if is_token(octet) => self.trailer(Step::TrailerName),
            (Step::TrailerName, b':') => self.trailer(Step::TrailerValue),
            (Step::TrailerValue, b'\r') => Ok(Step::TrailerLf),
            (Step::TrailerValue, b'\t' | b' '..=b'~' | 0x80..) => self.trailer(Step::TrailerValue),
            (Step::TrailerLf, b'\n') => Ok(Step::Trailer),
            (Step::Trailer | Step::TrailerName | Step::TrailerValue | Step::TrailerLf, _) => {
                Err(HttpError::Malformed("trailer"))
            }
            _ => Err(HttpError::Malformed("chunk")),
        }
    }

    fn digit(&mut self, digits: u8, octet: u8) -> Result<Step, HttpError> {
        if digits == limits::H1_CHUNK_DIGITS {
            return Err(HttpError::Malformed("chunk size"));
        }
        let value = char::from(octet).to_digit(16).unwrap_or(0);
        self.left = if digits == 0 { 0 } else { self.left << 4 } | u64::from(value);
        Ok(Step::Size(digits + 1))
    }

    fn trailer(&mut self, next: Step) -> Result<Step, HttpError> {
        self.trailers += 1;
        if self.trailers > limits::H1_TRAILERS {
            return Err(HttpError::HeadTooLarge);
        }
        Ok(next)
    }
}
