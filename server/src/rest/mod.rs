//! The REST surface: an axum router that never sees a socket.
//!
//! A shard reads a request from its own connection and hands it over whole; [`desk`] carries it to the router, which
//! runs on a few threads of its own, and brings the answer back. Each area is a file with its `endpoints()`; adding a call
//! means adding an `Endpoint` there, which is its route and its place in the OpenAPI document.

mod bearer;
mod body;
mod code;
pub mod commands;
pub mod desk;
mod devices;
mod endpoint;
mod friends;
pub mod limit;
pub mod noise;
mod openapi;
pub mod operator;
mod page;
pub mod pairing;
pub mod problem;
pub mod store;
mod time;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, State};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router, middleware};
use commucat_storage::api::Request;
use http::{Method, StatusCode, Uri};
use serde::Serialize;
use serde_json::json;

use commands::Commands;
use endpoint::{Endpoint, Operation};
use limit::Limiter;
use noise::NoiseInfo;
use openapi::Document;
use operator::Operator;
use pairing::Authority;
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
    /// The shards, to be told what was decided about a device.
    pub commands: Commands,
    /// What vouches for devices.
    pub authority: Arc<Authority>,
    /// How often anybody may call.
    pub limits: Arc<Limiter>,
}

/// `GET /api/server-info` (decisions, section 10): what a client needs before its first HELLO.
#[derive(Debug, Serialize)]
pub struct ServerInfo {
    /// This server's name.
    pub domain: String,
    /// The Noise keys that work.
    #[serde(flatten)]
    pub noise: NoiseInfo,
    /// The authority of device certificates, Ed25519, hex.
    pub device_ca_public: String,
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
    let endpoints = endpoints();
    let document = Document::of(&endpoints);
    endpoints
        .into_iter()
        .fold(Router::new(), |router, Endpoint { path, handler, .. }| {
            router.route(path, handler)
        })
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        // A body that comes here was collected by a shard, within `limits.rest_body`.
        .layer(DefaultBodyLimit::disable())
        .layer(Extension(document))
        .layer(middleware::from_fn_with_state(site.clone(), limit::guard))
        .with_state(site)
}

/// Every call there is.
fn endpoints() -> Vec<Endpoint> {
    [
        site_endpoints(),
        pairing::endpoints(),
        devices::endpoints(),
        friends::endpoints(),
        operator::endpoints(),
        openapi::endpoints(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// For anybody: who this is, and whether it works.
fn site_endpoints() -> Vec<Endpoint> {
    let of = |path, handler, operation| Endpoint {
        method: Method::GET,
        path,
        handler,
        operation,
    };
    let page = Operation::new("landing", "A page for people.").answers("text/html", json!({ "type": "string" }));
    let health = Operation::new("healthz", "The process is up.").json("Status");
    let ready = Operation::new("readyz", "The store can be used.").json("Status");
    let info = Operation::new("serverInfo", "What a client needs before its first HELLO.").json("ServerInfo");
    vec![
        of("/", get(landing), page),
        of("/healthz", get(healthz), health),
        of("/readyz", get(readyz), ready),
        of("/api/server-info", get(server_info), info),
    ]
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
