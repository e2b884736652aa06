//! The operator's token, and the cookie that stands for it in a browser.
//!
//! Invariants: the token itself is nowhere after boot, its hash is compared in constant time, whatever is presented. A cookie
//! is made with a key of this process alone: it says until when it is good, holds nothing of the token, and a restart ends it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, header};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// `__Host-` makes browsers insist on Secure, on `Path=/`, and on this host alone.
const COOKIE: &str = "__Host-commucat-admin";
/// How long a browser stays signed in.
const SIGNED_IN: Duration = Duration::from_secs(12 * 3600);

/// What is left of the token.
pub struct AdminToken {
    key: Zeroizing<[u8; 32]>,
    hash: [u8; 32],
}

impl AdminToken {
    /// Keeps the hash of a token.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn new(token: &[u8]) -> Result<Self, getrandom::Error> {
        let mut key = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *key)?;
        let hash = hash(&key, b"token", token);
        Ok(Self { key, hash })
    }

    /// Whether this is the token.
    #[must_use]
    pub fn is(&self, presented: &[u8]) -> bool {
        hash(&self.key, b"token", presented).ct_eq(&self.hash).into()
    }

    /// Whether a request comes from the operator: by `Authorization: Bearer`, or by cookie.
    #[must_use]
    pub fn admits(&self, headers: &HeaderMap) -> bool {
        let bearer = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.as_bytes().split_at_checked(7))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "))
            .is_some_and(|(_, token)| self.is(token));
        bearer || cookies(headers).any(|value| self.is_signed_in(value))
    }

    fn is_signed_in(&self, cookie: &str) -> bool {
        let Some((until, mac)) = cookie.split_once('.') else {
            return false;
        };
        let Ok(mac) = hex::decode(mac) else { return false };
        let genuine: bool = hash(&self.key, b"cookie", until.as_bytes())
            .as_slice()
            .ct_eq(&mac)
            .into();
        genuine && until.parse::<u64>().is_ok_and(|until| now() < until)
    }

    /// The `Set-Cookie` of somebody who has shown the token.
    #[must_use]
    pub fn sign_in(&self) -> String {
        let until = (now() + SIGNED_IN.as_secs()).to_string();
        let mac = hex::encode(hash(&self.key, b"cookie", until.as_bytes()));
        set_cookie(&format!("{until}.{mac}"), SIGNED_IN.as_secs())
    }
}

/// The `Set-Cookie` that takes it back.
pub(super) fn sign_out() -> String {
    set_cookie("", 0)
}

fn set_cookie(value: &str, age: u64) -> String {
    format!("{COOKIE}={value}; Max-Age={age}; Path=/; Secure; HttpOnly; SameSite=Strict")
}

fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| *name == COOKIE)
        .map(|(_, value)| value)
}

fn hash(key: &[u8; 32], purpose: &[u8], text: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(purpose);
    hasher.update(text);
    hasher.finalize().into()
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const TOKEN: &str = "correct horse battery";

    fn with(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn the_token_opens_and_everything_else_does_not() {
        let token = AdminToken::new(TOKEN.as_bytes()).unwrap();
        for (value, opens) in [
            (format!("Bearer {TOKEN}"), true),
            (format!("bearer {TOKEN}"), true),
            (format!("Bearer {TOKEN}!"), false),
            ("Bearer ".to_owned(), false),
            (TOKEN.to_owned(), false),
            (format!("Basic {TOKEN}"), false),
        ] {
            assert_eq!(token.admits(&with(header::AUTHORIZATION, &value)), opens, "{value}");
        }
        assert!(!token.admits(&HeaderMap::new()));
    }

    #[test]
    fn a_cookie_stands_for_the_token_until_its_time_in_this_process() {
        let token = AdminToken::new(TOKEN.as_bytes()).unwrap();
        let set = token.sign_in();
        assert!(
            !set.contains(TOKEN) && set.ends_with("; Path=/; Secure; HttpOnly; SameSite=Strict"),
            "{set}"
        );
        let cookie = set.split(';').next().unwrap();
        assert!(token.admits(&with(header::COOKIE, &format!("a=b; {cookie}; c=d"))));
        let other = AdminToken::new(TOKEN.as_bytes()).unwrap();
        assert!(!other.admits(&with(header::COOKIE, cookie)), "another process");
        let (until, mac) = cookie.split_once('=').unwrap().1.split_once('.').unwrap();
        let later = until.parse::<u64>().unwrap() + 1;
        assert!(
            !token.admits(&with(header::COOKIE, &format!("{COOKIE}={later}.{mac}"))),
            "longer"
        );
        let past = hex::encode(hash(&token.key, b"cookie", b"1"));
        assert!(
            !token.admits(&with(header::COOKIE, &format!("{COOKIE}=1.{past}"))),
            "over"
        );
        assert!(!token.admits(&with(header::COOKIE, &format!("{COOKIE}={TOKEN}"))));
    }
}
