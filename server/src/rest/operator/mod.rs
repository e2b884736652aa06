//! What the operator sees: `/metrics`, `/api/security-stats` and the page at `/admin`.
//!
//! With an admin token configured, all of it needs the token, or the cookie that the page's form gives for it. Without one
//! the numbers are open and the page is not served (decisions § 10).

mod page;
pub mod token;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{FromRef, FromRequestParts, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use commucat_storage::api::{Reply, Request};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::json;
use tokio::sync::Mutex;

use self::token::AdminToken;
use super::Site;
use super::endpoint::{Endpoint, Operation};
use super::problem::Problem;
use super::store::StoreClient;
use crate::telemetry::board::Board;
use crate::telemetry::catalogue::{Inboxes, SecuritySnapshot, View};
use crate::telemetry::live::Live;
use crate::telemetry::openmetrics;

/// A store that does not say how much it keeps within this time is not waited for.
const DEPTH_TIMEOUT: Duration = Duration::from_millis(500);
/// For this long, what it said is good for the next who asks.
const DEPTH_FRESH: Duration = Duration::from_secs(1);

/// Cheap to clone.
#[derive(Clone)]
pub struct Operator(Arc<Desk>);

struct Desk {
    board: Arc<Board>,
    token: Option<AdminToken>,
    live: Arc<Live>,
    depth: Depth,
}

/// What the store says, if it does.
type Known = Option<Inboxes>;

struct Depth {
    store: StoreClient,
    last: Mutex<Option<(Instant, Known)>>,
}

impl Depth {
    async fn ask(&self) -> Known {
        let mut last = self.last.lock().await;
        if let Some((at, depth)) = *last
            && at.elapsed() < DEPTH_FRESH
        {
            return depth;
        }
        let depth = match tokio::time::timeout(DEPTH_TIMEOUT, self.store.call(Request::Depth)).await {
            Ok(Ok(Reply::Depth { rows: frames, bytes })) => Some(Inboxes { frames, bytes }),
            _ => None,
        };
        *last = Some((Instant::now(), depth));
        depth
    }
}

impl Operator {
    /// Over these numbers, for whoever has the token.
    #[must_use]
    pub fn new(board: Arc<Board>, token: Option<AdminToken>, store: StoreClient) -> Self {
        let depth = Depth {
            store,
            last: Mutex::new(None),
        };
        Self(Arc::new(Desk {
            board,
            token,
            live: Arc::default(),
            depth,
        }))
    }

    fn token(&self) -> Option<&AdminToken> {
        self.0.token.as_ref()
    }
}

impl FromRef<Site> for Operator {
    fn from_ref(site: &Site) -> Self {
        site.operator.clone()
    }
}

/// For the operator, and for what collects numbers.
pub(super) fn endpoints() -> Vec<Endpoint> {
    let of = |method, path, handler, operation| Endpoint {
        method,
        path,
        handler,
        operation,
    };
    let page = |method, path, handler| of(method, path, handler, Operation::page());
    let text = json!({ "type": "string" });
    let numbers = Operation::new("metrics", "Every counter and queue, as OpenMetrics.")
        .operator()
        .answers("application/openmetrics-text", text);
    let security = Operation::new("securityStats", "The six security counters.")
        .operator()
        .json("SecurityStats");
    vec![
        of(Method::GET, "/metrics", get(metrics), numbers),
        of(Method::GET, "/api/security-stats", get(security_stats), security),
        page(Method::GET, "/admin", get(page::page)),
        page(Method::GET, "/admin/", get(page::to_page)),
        page(Method::GET, "/admin/login", get(page::login)),
        page(Method::POST, "/admin/login", post(page::sign_in)),
        page(Method::POST, "/admin/logout", post(page::sign_out)),
        page(Method::GET, "/admin/events", get(page::events)),
        page(Method::GET, "/admin/app.js", get(page::script)),
        page(Method::GET, "/admin/style.css", get(page::style)),
        page(Method::GET, "/admin/icon.svg", get(page::icon)),
    ]
}

/// Whoever may read numbers: the operator, or everybody when there is no token.
struct Reader;

/// The operator, by token or cookie. Without a token there is none.
struct Admin;

impl FromRequestParts<Site> for Reader {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<Self, Response> {
        match site.operator.token() {
            Some(token) if !token.admits(&parts.headers) => Err(unauthorized()),
            _ => Ok(Self),
        }
    }
}

impl FromRequestParts<Site> for Admin {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<Self, Response> {
        match site.operator.token() {
            Some(token) if token.admits(&parts.headers) => Ok(Self),
            Some(_) => Err(unauthorized()),
            None => Err(switched_off()),
        }
    }
}

fn unauthorized() -> Response {
    let challenge = HeaderValue::from_static("Bearer realm=\"commucat admin\"");
    let problem = Problem::new(StatusCode::UNAUTHORIZED, "this needs the admin token");
    ([(header::WWW_AUTHENTICATE, challenge)], problem).into_response()
}

fn switched_off() -> Response {
    let how = "the operator's page is off; to have it, put a token of 16 characters or more into a file \
               and name that file in `admin_token_file`";
    Problem::new(StatusCode::NOT_FOUND, how).into_response()
}

async fn metrics(State(operator): State<Operator>, _: Reader) -> Response {
    let (inboxes, shards) = (operator.0.depth.ask().await, operator.0.board.collect().await);
    let view = View {
        shards: &shards,
        started: operator.0.board.started(),
        inboxes,
    };
    let kind = HeaderValue::from_static(openmetrics::CONTENT_TYPE);
    (no_store(), [(header::CONTENT_TYPE, kind)], openmetrics::write(&view)).into_response()
}

async fn security_stats(State(operator): State<Operator>, _: Reader) -> ([Field; 1], Json<SecuritySnapshot>) {
    let shards = operator.0.board.collect().await;
    let view = View {
        shards: &shards,
        started: operator.0.board.started(),
        inboxes: None,
    };
    (no_store(), Json(view.security()))
}

type Field = (header::HeaderName, HeaderValue);

/// Numbers of now are no use later, and nobody else's business.
fn no_store() -> [Field; 1] {
    [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))]
}
