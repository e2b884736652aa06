//! The REST surface: an axum router that never sees a socket.
//!
//! A shard reads a request from its own connection and hands it over whole; [`desk`] carries it to the router, which
//! runs on a few threads of its own, and brings the answer back. Adding a call means adding a route here.

pub mod desk;
pub mod noise;
pub mod operator;
mod page;
pub mod problem;
pub mod store;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use commucat_storage::api::Request;
use http::{Method, StatusCode, Uri};
use serde::Serialize;

use noise::NoiseInfo;
use operator::Operator;
use problem::Problem;
use store::StoreClient;

/// A load balancer that asks for readiness has given up after this long anyway.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// What the handlers know.
#[derive(Clone)]
pub struct Site {
    /// Public facts.
    pub info: Arc<ServerInfo>,
    /// The store.
    pub store: StoreClient,
    /// What the operator alone may see.
    pub operator: Operator,
}

/// `GET /api/server-info` (decisions, section 10): what a client needs before its first HELLO.
#[derive(Debug, Serialize)]
pub struct ServerInfo {
    /// This server's name.
    pub domain: String,
    /// The Noise keys that work.
    #[serde(flatten)]
    pub noise: NoiseInfo,
    /// The authority of device certificates; none yet.
    pub device_ca_public: Option<String>,
    /// Noise patterns.
    pub supported_patterns: &'static [&'static str],
    /// Protocol versions.
    pub supported_versions: &'static [u16],
    /// Extensions this server accepts in HELLO.
    pub capabilities: &'static [&'static str],
    /// How devices come in.
    pub pairing: Pairing,
}

/// How devices come in.
#[derive(Clone, Debug, Serialize)]
pub struct Pairing {
    /// Whether an unknown device may found a profile.
    pub auto_approve: bool,
    /// Seconds a pairing code lives.
    pub pairing_ttl: u64,
    /// Devices per profile without a code.
    pub max_auto_devices: u32,
}

/// All routes.
pub fn router(site: Site) -> Router {
    Router::new()
        .route("/", get(landing))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/api/server-info", get(server_info))
        .merge(operator::routes())
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(site)
}

#[derive(Serialize)]
struct Status {
    status: &'static str,
}

async fn landing(State(site): State<Site>) -> Html<String> {
    Html(page::landing(&site.info))
}

async fn healthz() -> Json<Status> {
    Json(Status { status: "ok" })
}

async fn readyz(State(site): State<Site>) -> Response {
    match tokio::time::timeout(PROBE_TIMEOUT, site.store.call(Request::Probe)).await {
        Ok(Ok(_)) => Json(Status { status: "ok" }).into_response(),
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready");
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the store cannot be used").into_response()
        }
        Err(_) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the store does not answer").into_response(),
    }
}

async fn server_info(State(site): State<Site>) -> Json<Arc<ServerInfo>> {
    Json(Arc::clone(&site.info))
}

async fn not_found(uri: Uri) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, format!("nothing is at {}", uri.path()))
}

async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("{} does not take {method}", uri.path()),
    )
}
