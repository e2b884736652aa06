//! Who asks (decisions § 4, § 10): the `session` of AUTH as a bearer token (RFC 6750).
//!
//! A handler that takes a [`Bearer`] runs only for a session that the store knows, of a device that is not revoked.

use axum::extract::FromRequestParts;
use commucat_proto::DeviceId;
use commucat_shard::token_hash;
use commucat_storage::api::{AccountRequest, Profile, Reply, Request, SessionOwner, TokenHash};
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};

use super::Site;
use super::problem::Problem;
use super::time::now;

/// A request of this device of this user.
#[derive(Clone, Debug)]
pub(super) struct Bearer {
    /// The device whose session the token is of.
    pub(super) device: DeviceId,
    /// Its user.
    pub(super) user: Profile,
    /// The token, as the store knows it.
    pub(super) token: TokenHash,
}

impl FromRequestParts<Site> for Bearer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<Self, Problem> {
        let token = token(&parts.headers).ok_or_else(|| unauthorized("a bearer token is needed", ASKED))?;
        let token = token_hash(token);
        let found = site
            .store
            .call(Request::Account(AccountRequest::FindSession { token, now: now() }))
            .await?;
        let Reply::Session(Some(SessionOwner { device, user })) = found else {
            let detail = "this token is worth nothing: it has expired, or its device was revoked";
            return Err(unauthorized(detail, REFUSED));
        };
        // After the store has named its owner: nobody fills the table with tokens that are none.
        site.limits.session(token)?;
        Ok(Self { device, user, token })
    }
}

/// What is asked of somebody without a token, and of somebody with a wrong one (RFC 6750, section 3).
const ASKED: &str = "Bearer realm=\"commucat\"";
const REFUSED: &str = "Bearer realm=\"commucat\", error=\"invalid_token\"";

/// RFC 6750, section 2.1; the scheme's case does not matter (RFC 9110, section 11.1).
fn token(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim_matches(' ');
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

fn unauthorized(detail: &str, challenge: &'static str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, detail).with(WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_what_follows_bearer_in_any_case() {
        let of = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_static(value));
            token(&headers).map(str::to_owned)
        };
        assert_eq!(of("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(of("bEARER   abc").as_deref(), Some("abc"));
        for none in ["Bearer", "Bearer ", "Basic abc", "abc", ""] {
            assert_eq!(of(none), None, "{none:?}");
        }
        assert_eq!(token(&HeaderMap::new()), None);
    }
}
