//! From decoded fields to a request head (RFC 9113 § 8).

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::Uri;
use http::{Method, Version};

use crate::conn::fields::{content_length, is_host};
use crate::conn::h1::HttpError;
use crate::conn::limits;

/// The `:protocol` of an extended CONNECT (RFC 8441), in the extensions of its head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocol(pub Box<str>);

/// Why a head is not handed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// RFC 9113 § 8.1.1: a stream error.
    Malformed,
    /// Well-formed; this is the answer.
    Answer(HttpError),
}

/// Fields of one block, collected in order. Too many of them are counted and dropped; the block is decoded to its end
/// all the same, or the tables would be out of step.
#[derive(Debug, Default)]
pub(super) struct Fields {
    method: Option<Method>,
    scheme: Option<()>,
    authority: Option<HeaderValue>,
    path: Option<Uri>,
    protocol: Option<Protocol>,
    headers: HeaderMap,
    length: Option<u64>,
    /// In HPACK's measure.
    size: usize,
    malformed: bool,
}

impl Fields {
    /// Takes the next field.
    pub(super) fn add(&mut self, name: &[u8], value: &[u8]) {
        self.size += name.len() + value.len() + 32;
        if self.malformed || self.too_large() {
            return;
        }
        let taken = match name.split_first() {
            Some((b':', name)) => self.pseudo(name, value),
            _ => self.regular(name, value),
        };
        self.malformed = taken.is_none();
    }

    /// The head, and the body length it declares.
    pub(super) fn request(mut self, extended_connect: bool) -> Result<(Box<Parts>, Option<u64>), Refusal> {
        if self.malformed {
            return Err(Refusal::Malformed);
        }
        if self.too_large() {
            return Err(Refusal::Answer(HttpError::HeadTooLarge));
        }
        let method = self.method.take().ok_or(Refusal::Malformed)?;
        match (&self.protocol, method == Method::CONNECT) {
            (None, true) => return Err(Refusal::Answer(HttpError::Connect)),
            (Some(_), false) => return Err(Refusal::Malformed),
            (Some(_), true) if !extended_connect => return Err(Refusal::Malformed),
            _ => {}
        }
        self.scheme.ok_or(Refusal::Malformed)?;
        let path = self.path.take().ok_or(Refusal::Malformed)?;
        if path.path() == "*" && method != Method::OPTIONS {
            return Err(Refusal::Malformed);
        }
        self.host().ok_or(Refusal::Malformed)?;
        self.join_cookies();

        let (mut parts, ()) = http::Request::new(()).into_parts();
        parts.method = method;
        parts.uri = path;
        parts.version = Version::HTTP_2;
        parts.headers = self.headers;
        if let Some(protocol) = self.protocol {
            parts.extensions.insert(protocol);
        }
        Ok((Box::new(parts), self.length))
    }

    /// Whether these fields may end a request body. Their content is dropped.
    pub(super) fn are_trailers(&self) -> bool {
        let pseudo = self.method.is_some()
            || self.scheme.is_some()
            || self.authority.is_some()
            || self.path.is_some()
            || self.protocol.is_some();
        !self.malformed && !pseudo
    }

    fn too_large(&self) -> bool {
        self.size > limits::HEAD || self.headers.len() > limits::HEAD_FIELDS
    }

    /// § 8.3: before the regular fields, each once, none but these. `None` is malformed, here and below.
    fn pseudo(&mut self, name: &[u8], value: &[u8]) -> Option<()> {
        if !self.headers.is_empty() {
            return None;
        }
        match name {
            b"method" => once(&mut self.method, Method::from_bytes(value).ok()?),
            b"scheme" => once(&mut self.scheme, matches!(value, b"http" | b"https").then_some(())?),
            b"authority" => {
                let value = HeaderValue::from_bytes(value).ok()?;
                once(&mut self.authority, is_host(value.as_bytes()).then_some(value)?)
            }
            b"path" => {
                let origin = value.first() == Some(&b'/') || value == b"*";
                let uri = Uri::try_from(value).ok()?;
                once(&mut self.path, (origin && !value.contains(&b'#')).then_some(uri)?)
            }
            b"protocol" => {
                let value = std::str::from_utf8(value).ok()?;
                once(&mut self.protocol, Protocol(value.into()))
            }
            _ => None,
        }
    }

    /// § 8.2.
    fn regular(&mut self, name: &[u8], value: &[u8]) -> Option<()> {
        let name = HeaderName::from_lowercase(name).ok()?;
        let blank = |octet: Option<&u8>| matches!(octet, Some(b' ' | b'\t'));
        if blank(value.first()) || blank(value.last()) {
            return None;
        }
        match name {
            header::CONNECTION | header::TRANSFER_ENCODING | header::UPGRADE => return None,
            header::TE if value != b"trailers" => return None,
            header::CONTENT_LENGTH => once(&mut self.length, content_length(value)?)?,
            header::HOST if self.headers.contains_key(header::HOST) => return None,
            _ if matches!(name.as_str(), "keep-alive" | "proxy-connection") => return None,
            _ => {}
        }
        self.headers.append(name, HeaderValue::from_bytes(value).ok()?);
        Some(())
    }

    /// § 8.3.1: one authority, and afterwards it is `host`, as under HTTP/1.1.
    fn host(&mut self) -> Option<()> {
        match (self.authority.take(), self.headers.get(header::HOST)) {
            (Some(authority), None) => {
                self.headers.insert(header::HOST, authority);
                Some(())
            }
            (Some(authority), Some(host)) => authority.as_bytes().eq_ignore_ascii_case(host.as_bytes()).then_some(()),
            (None, Some(host)) => is_host(host.as_bytes()).then_some(()),
            (None, None) => None,
        }
    }

    /// § 8.2.3: HTTP/2 may split what everyone else reads as one field.
    fn join_cookies(&mut self) {
        let crumbs = self.headers.get_all(header::COOKIE);
        if crumbs.iter().nth(1).is_none() {
            return;
        }
        let crumbs: Vec<&[u8]> = crumbs.iter().map(HeaderValue::as_bytes).collect();
        if let Ok(cookie) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
            self.headers.insert(header::COOKIE, cookie);
        }
    }
}

fn once<T>(place: &mut Option<T>, value: T) -> Option<()> {
    place.replace(value).is_none().then_some(())
}
