//! A request head: its end, its fields, and what they say about the body.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::Uri;
use http::{Method, Version};

use super::{BodyKind, HttpError};
use crate::conn::fields::{content_length, is_host, lists};
use crate::conn::limits;

/// A head that may be acted on.
pub(super) struct Head {
    pub(super) parts: Parts,
    pub(super) body: BodyKind,
    pub(super) persistent: bool,
    pub(super) expects: bool,
}

/// Where the head that begins `bytes` ends, its blank line included. Only looks from `from` on.
pub(super) fn end(bytes: &[u8], from: usize) -> Option<usize> {
    let found = bytes.get(from..)?.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some(from + found + 4)
}

/// Parses a whole head.
pub(super) fn parse(bytes: &[u8]) -> Result<Head, HttpError> {
    only_whole_line_ends(bytes)?;
    let mut fields = [httparse::EMPTY_HEADER; limits::HEAD_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(bytes) {
        Ok(httparse::Status::Complete(len)) if len == bytes.len() => {}
        Ok(_) => return Err(HttpError::Malformed("head")),
        Err(httparse::Error::TooManyHeaders) => return Err(HttpError::HeadTooLarge),
        Err(httparse::Error::Version) => return Err(version_error(bytes)),
        Err(httparse::Error::HeaderName) => return Err(HttpError::Malformed("field name")),
        Err(httparse::Error::HeaderValue) => return Err(HttpError::Malformed("field value")),
        Err(_) => return Err(HttpError::Malformed("request line")),
    }
    let version = match request.version {
        Some(1) => Version::HTTP_11,
        _ => Version::HTTP_10,
    };
    let mut headers = HeaderMap::with_capacity(request.headers.len() + 1);
    for field in request.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| HttpError::Malformed("field name"))?;
        let value = HeaderValue::from_bytes(field.value).map_err(|_| HttpError::Malformed("field value"))?;
        headers.append(name, value);
    }

    let method = Method::from_bytes(request.method.unwrap_or_default().as_bytes())
        .map_err(|_| HttpError::Malformed("method"))?;
    let (uri, authority) = target(&method, request.path.unwrap_or_default())?;
    host(&mut headers, version, authority)?;
    let body = body_kind(&headers, version)?;
    let expects = expectation(&headers, version)? && body != BodyKind::None;
    let persistent = version == Version::HTTP_11 && !lists(&headers, &header::CONNECTION, "close");

    let (mut parts, ()) = http::Request::new(()).into_parts();
    parts.method = method;
    parts.uri = uri;
    parts.version = version;
    parts.headers = headers;
    Ok(Head {
        parts,
        body,
        persistent,
        expects,
    })
}

/// Another version is a different complaint from no version at all or a space in the target.
fn version_error(bytes: &[u8]) -> HttpError {
    let line = bytes.split(|&octet| octet == b'\r').next().unwrap_or_default();
    match line.split(|&octet| octet == b' ').collect::<Vec<_>>()[..] {
        [_, _, version] if version.starts_with(b"HTTP/") => HttpError::Version,
        _ => HttpError::Malformed("request line"),
    }
}

/// httparse takes a bare LF for a line end; a proxy in front might not, and the two would see different fields.
fn only_whole_line_ends(bytes: &[u8]) -> Result<(), HttpError> {
    let mut previous = 0;
    for &octet in bytes {
        if (octet == b'\n') != (previous == b'\r') {
            return Err(HttpError::Malformed("line end"));
        }
        previous = octet;
    }
    Ok(())
}

/// The request target (RFC 9112 § 3.2) in origin form, and the authority when it came in absolute form.
fn target(method: &Method, text: &str) -> Result<(Uri, Option<HeaderValue>), HttpError> {
    const BAD: HttpError = HttpError::Malformed("request target");
    if *method == Method::CONNECT {
        return Err(HttpError::Connect);
    }
    if text.contains('#') {
        return Err(BAD);
    }
    let uri: Uri = text.parse().map_err(|_| BAD)?;
    if text.starts_with('/') || (text == "*" && *method == Method::OPTIONS) {
        return Ok((uri, None));
    }
    let http = matches!(uri.scheme_str(), Some("http" | "https"));
    let authority = uri
        .authority()
        .filter(|authority| http && is_host(authority.as_str().as_bytes()));
    let host = HeaderValue::from_str(authority.ok_or(BAD)?.as_str()).map_err(|_| BAD)?;
    let origin = uri
        .into_parts()
        .path_and_query
        .map_or(Ok(Uri::default()), Uri::try_from);
    Ok((origin.map_err(|_| BAD)?, Some(host)))
}

/// Exactly one valid `Host` (RFC 9112 § 3.2), which an absolute target replaces. HTTP/1.0 may leave it out.
fn host(headers: &mut HeaderMap, version: Version, absolute: Option<HeaderValue>) -> Result<(), HttpError> {
    const BAD: HttpError = HttpError::Malformed("host");
    let mut given = headers.get_all(header::HOST).iter();
    match (given.next(), given.next()) {
        (Some(host), None) if is_host(host.as_bytes()) => {}
        (None, None) if version == Version::HTTP_10 => {}
        _ => return Err(BAD),
    }
    if let Some(host) = absolute {
        headers.insert(header::HOST, host);
    }
    Ok(())
}

/// RFC 9112 § 6.3, without its leniencies: one framing field, given once, in its plainest form.
fn body_kind(headers: &HeaderMap, version: Version) -> Result<BodyKind, HttpError> {
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (lengths.next(), codings.next()) {
        (None, None) => Ok(BodyKind::None),
        (Some(length), None) if lengths.next().is_none() => {
            let length = content_length(length.as_bytes());
            length
                .map(BodyKind::Length)
                .ok_or(HttpError::Malformed("content-length"))
        }
        (None, Some(coding))
            if version == Version::HTTP_11
                && codings.next().is_none()
                && coding.as_bytes().eq_ignore_ascii_case(b"chunked") =>
        {
            Ok(BodyKind::Chunked)
        }
        (_, None) => Err(HttpError::Malformed("content-length")),
        _ => Err(HttpError::Malformed("transfer-encoding")),
    }
}

fn expectation(headers: &HeaderMap, version: Version) -> Result<bool, HttpError> {
    let mut expects = headers.get_all(header::EXPECT).iter().peekable();
    if version == Version::HTTP_10 || expects.peek().is_none() {
        return Ok(false);
    }
    if expects.all(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        Ok(true)
    } else {
        Err(HttpError::Expectation)
    }
}
