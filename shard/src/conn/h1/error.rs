//! What is wrong with a request, as the client is told.

use thiserror::Error;

/// A request that is refused before anything of it is acted on. The connection is closed after the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HttpError {
    /// Not HTTP/1.1, or not certainly one request (RFC 9112).
    #[error("malformed {0}")]
    Malformed(&'static str),
    /// `Expect` with something else than `100-continue`.
    #[error("unknown expectation")]
    Expectation,
    /// More than `limits::HEAD` octets or `limits::HEAD_FIELDS` fields.
    #[error("request head too large")]
    HeadTooLarge,
    /// `CONNECT`: this is no proxy.
    #[error("CONNECT is not implemented")]
    Connect,
    /// Neither HTTP/1.1 nor HTTP/1.0.
    #[error("HTTP version not supported")]
    Version,
}

impl HttpError {
    /// The status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Malformed(_) => 400,
            Self::Expectation => 417,
            Self::HeadTooLarge => 431,
            Self::Connect => 501,
            Self::Version => 505,
        }
    }

    /// The RFC 9457 body (`application/problem+json`).
    #[must_use]
    pub fn problem(&self) -> String {
        let status = self.status();
        let title = super::write::reason(status);
        // Neither the titles nor the details hold a character that JSON escapes.
        format!(r#"{{"type":"about:blank","title":"{title}","status":{status},"detail":"{self}"}}"#)
    }
}
