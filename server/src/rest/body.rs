//! JSON bodies, read without trusting them; what is wrong with one is a problem like any other (RFC 9457).

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::problem::Problem;

/// A JSON object. An empty body is `{}`: calls whose members are all optional need none.
#[derive(Debug)]
pub(super) struct JsonBody<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let is_json = is_json(request.headers());
        // Its size has been checked by the shard that collected it.
        let body = Bytes::from_request(request, state)
            .await
            .map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()))?;
        if body.is_empty() {
            return parse(b"{}");
        }
        if !is_json {
            let detail = "the body must be JSON: content-type application/json";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
        }
        parse(&body)
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<JsonBody<T>, Problem> {
    // serde would take a struct from an array as well.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "the body must be a JSON object"));
    }
    serde_json::from_slice(body).map(JsonBody).map_err(|error| {
        let status = match error.classify() {
            Category::Data => StatusCode::UNPROCESSABLE_ENTITY,
            Category::Syntax | Category::Eof | Category::Io => StatusCode::BAD_REQUEST,
        };
        Problem::new(status, error.to_string())
    })
}

/// `application/json` or `application/…+json`, with any parameters (RFC 6839).
fn is_json(headers: &HeaderMap) -> bool {
    let Some(Ok(value)) = headers.get(CONTENT_TYPE).map(|value| value.to_str()) else {
        return false;
    };
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence
        .strip_prefix("application/")
        .is_some_and(|subtype| subtype == "json" || subtype.ends_with("+json"))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Wanted {
        number: u8,
    }

    fn status(body: &str) -> u16 {
        match parse::<Wanted>(body.as_bytes()) {
            Ok(JsonBody(wanted)) => u16::from(wanted.number),
            Err(problem) => problem.status().as_u16(),
        }
    }

    #[test]
    fn broken_json_is_a_400_and_json_that_says_something_else_a_422() {
        assert_eq!(status(" {\"number\": 7, \"unknown\": null}"), 7);
        for broken in ["", "{", "{\"number\": 7} x", "[7]", "7", "nul", "\u{feff}{}"] {
            assert_eq!(status(broken), 400, "{broken:?}");
        }
        for wrong in ["{}", "{\"number\": \"7\"}", "{\"number\": 256}", "{\"number\": null}"] {
            assert_eq!(status(wrong), 422, "{wrong:?}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_before_it_can_overflow_a_stack() {
        let deep = format!("{{\"x\": {}", "[".repeat(100_000));
        assert_eq!(status(&deep), 400);
    }

    #[test]
    fn json_goes_by_its_media_type() {
        let of = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(value));
            is_json(&headers)
        };
        for json in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/x+json",
        ] {
            assert!(of(json), "{json}");
        }
        for other in [
            "text/json",
            "application/jsonx",
            "application/x-www-form-urlencoded",
            "",
        ] {
            assert!(!of(other), "{other}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}
