//! Errors as RFC 9457 says: `application/problem+json`.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use commucat_storage::api::StoreError;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;

/// One problem. Its title is the status's own phrase, so its type is `about:blank` (RFC 9457, section 4.2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    detail: String,
    /// What a client needs beside the body: when to come back, what to bring.
    header: Option<(HeaderName, HeaderValue)>,
}

#[derive(Serialize)]
struct Members<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
}

impl Problem {
    /// A problem with a sentence for the person who reads it.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let soon = (header::RETRY_AFTER, HeaderValue::from_static("1"));
        Self {
            status,
            detail: detail.into(),
            header: (status == StatusCode::SERVICE_UNAVAILABLE).then_some(soon),
        }
    }

    /// The same with a header of its own.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.header = Some((name, value));
        self
    }

    /// Which.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The same for a shard, which takes complete bodies.
    #[must_use]
    pub fn into_bytes_response(self) -> http::Response<Bytes> {
        let members = Members {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
        };
        // Strings and a number: writing them cannot fail, and an empty body would still carry the status.
        let body = serde_json::to_vec(&members).unwrap_or_default();
        let mut response = http::Response::new(Bytes::from(body));
        *response.status_mut() = self.status;
        let json = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.into_bytes_response().map(Body::from)
    }
}

/// A store that could not do what was asked, where the handler has no better word for it.
impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if error != StoreError::PortFull {
            tracing::warn!(%error, "a REST call could not be served");
        }
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "the store cannot answer now")
    }
}
