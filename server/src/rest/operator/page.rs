//! The page at `/admin`: plain files, a form, and a stream of samples.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use bytes::Bytes;
use futures_util::{Stream, stream};
use http::{HeaderName, HeaderValue, StatusCode, header};
use tokio::sync::watch;

use super::{Admin, Field, Operator, no_store, switched_off, token};

const PAGE: &str = include_str!("page/index.html");
const LOGIN: &str = include_str!("page/login.html");
const SCRIPT: &str = include_str!("page/app.js");
const STYLE: &str = include_str!("page/style.css");
const ICON: &str = include_str!("page/icon.svg");

/// Where the form says what was wrong.
const MESSAGE: &str = "<!-- message -->";
const WRONG: &str = "<p class=\"problem\" role=\"alert\">That is not this relay’s admin token.</p>";

/// Nothing but what this server serves, nothing inline, in nobody's frame.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);

/// How soon a browser comes back when the stream has ended, in milliseconds.
const RETRY: &[u8] = b"retry: 2000\n\n";

fn headers(kind: &'static str) -> [Field; 4] {
    let value = HeaderValue::from_static;
    [
        (header::CONTENT_TYPE, value(kind)),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, value("nosniff")),
        (header::REFERRER_POLICY, value("no-referrer")),
    ]
}

fn file(kind: &'static str, text: impl Into<Body>) -> Response {
    (headers(kind), no_store(), text.into()).into_response()
}

/// A page for whoever is not signed in leads to the form, so that a person is not met by an error.
pub(super) async fn page(admin: Result<Admin, Response>, State(operator): State<Operator>) -> Response {
    match admin {
        Ok(_) => file("text/html; charset=utf-8", PAGE),
        Err(_) if operator.token().is_some() => Redirect::to("/admin/login").into_response(),
        Err(refusal) => refusal,
    }
}

pub(super) async fn to_page() -> Redirect {
    Redirect::permanent("/admin")
}

pub(super) async fn login(admin: Result<Admin, Response>, State(operator): State<Operator>) -> Response {
    match admin {
        Ok(_) => Redirect::to("/admin").into_response(),
        Err(_) if operator.token().is_some() => file("text/html; charset=utf-8", LOGIN),
        Err(refusal) => refusal,
    }
}

pub(super) async fn sign_in(State(operator): State<Operator>, form: Bytes) -> Response {
    let Some(token) = operator.token() else {
        return switched_off();
    };
    if token.is(&field(&form, b"token")) {
        return with_cookie(token.sign_in(), "/admin");
    }
    tracing::warn!("somebody tried to sign in at /admin with a wrong token");
    let page = file("text/html; charset=utf-8", LOGIN.replace(MESSAGE, WRONG));
    (StatusCode::UNAUTHORIZED, page).into_response()
}

pub(super) async fn sign_out() -> Response {
    with_cookie(token::sign_out(), "/admin/login")
}

fn with_cookie(cookie: String, to: &str) -> Response {
    match HeaderValue::from_str(&cookie) {
        Ok(cookie) => ([(header::SET_COOKIE, cookie)], no_store(), Redirect::to(to)).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// A field of a form (`application/x-www-form-urlencoded`), decoded; empty when it is not there.
fn field(form: &[u8], name: &[u8]) -> zeroize::Zeroizing<Vec<u8>> {
    let value = form
        .split(|byte| *byte == b'&')
        .filter_map(|pair| pair.split_at_checked(name.len()))
        .filter(|(first, _)| *first == name)
        .find_map(|(_, rest)| rest.strip_prefix(b"="));
    let mut decoded = zeroize::Zeroizing::new(Vec::with_capacity(value.map_or(0, <[u8]>::len)));
    let mut left = value.unwrap_or_default();
    while let [byte, rest @ ..] = left {
        let escaped = (*byte == b'%').then(|| rest.get(..2)).flatten();
        let escaped = escaped.and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 16).ok()
        });
        left = if escaped.is_some() { &rest[2..] } else { rest };
        decoded.push(escaped.unwrap_or(if *byte == b'+' { b' ' } else { *byte }));
    }
    decoded
}

pub(super) async fn events(_: Admin, State(operator): State<Operator>) -> Response {
    let asked = operator.clone();
    let inbox = move || {
        let operator = asked.clone();
        async move { operator.0.depth.ask().await }
    };
    let samples = operator.0.live.watch(&operator.0.board, inbox);
    // A proxy in between must not collect what should arrive as it happens.
    let unbuffered = (
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    );
    let body = Body::from_stream(as_events(samples));
    (headers("text/event-stream"), no_store(), [unbuffered], body).into_response()
}

/// Each sample once; those that a reader was too slow for are left out, for the next one says it all.
fn as_events(samples: watch::Receiver<Option<Bytes>>) -> impl Stream<Item = Result<Bytes, std::convert::Infallible>> {
    stream::unfold((samples, true), |(mut samples, first)| async move {
        if first {
            return Some((Ok(Bytes::from_static(RETRY)), (samples, false)));
        }
        loop {
            samples.changed().await.ok()?;
            let sample = samples.borrow_and_update().clone();
            if let Some(sample) = sample {
                return Some((Ok(sample), (samples, false)));
            }
        }
    })
}

pub(super) async fn script(_: Admin) -> Response {
    file("text/javascript; charset=utf-8", SCRIPT)
}

/// The form needs it too, so it is for everybody, as far as there is a form.
pub(super) async fn style(State(operator): State<Operator>) -> Response {
    match operator.token() {
        Some(_) => file("text/css; charset=utf-8", STYLE),
        None => switched_off(),
    }
}

pub(super) async fn icon(State(operator): State<Operator>) -> Response {
    match operator.token() {
        Some(_) => file("image/svg+xml", ICON),
        None => switched_off(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_decoded() {
        for (form, token) in [
            ("token=plain", "plain"),
            ("a=b&token=a%2Bb%25&c=d", "a+b%"),
            ("token=a+b", "a b"),
            ("token=50%", "50%"),
            ("token=%zz", "%zz"),
            ("tokens=x", ""),
            ("", ""),
        ] {
            assert_eq!(field(form.as_bytes(), b"token").as_slice(), token.as_bytes(), "{form}");
        }
    }

    #[test]
    fn nothing_is_inline_and_nothing_comes_from_elsewhere() {
        for page in [PAGE, LOGIN] {
            assert!(!page.contains("<style") && !page.contains(" style=") && !page.contains("onclick"));
            assert!(page.matches("<script").count() == page.matches("<script src=\"/admin/").count());
            assert!(!page.contains("http://") && !page.contains("https://"));
        }
        assert_eq!(LOGIN.matches(MESSAGE).count(), 1);
        assert!(!STYLE.contains("url(") && !STYLE.contains("@import"));
    }
}
