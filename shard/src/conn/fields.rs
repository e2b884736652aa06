//! What HTTP/1.1 and HTTP/2 heads have in common. Used by `h1`, `h2` and `ws`.

use http::header::{HeaderMap, HeaderName};
use http::uri::Authority;

/// Whether an octet may stand in a method or a field name (RFC 9110 § 5.6.2).
pub(super) fn is_token(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet)
}

/// `Content-Length`: digits and nothing else; `str::parse` would take a plus sign.
pub(super) fn content_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0u64, |sum, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

/// A host, perhaps a port, and no user.
pub(super) fn is_host(authority: &[u8]) -> bool {
    !authority.contains(&b'@') && Authority::try_from(authority).is_ok_and(|authority| !authority.host().is_empty())
}

/// Whether a comma-separated field names `item`.
pub(super) fn lists(headers: &HeaderMap, name: &HeaderName, item: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|one| one.trim().eq_ignore_ascii_case(item))
}
