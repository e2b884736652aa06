//! `GET /api/openapi.json`: the OpenAPI 3.1 document of everything the router serves, made from the same list as the router.

use axum::Extension;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method};
use serde_json::{Map, Value, json};

use super::endpoint::{Endpoint, Operation};

/// The document, written once.
#[derive(Clone)]
pub(super) struct Document(Bytes);

impl Document {
    /// What it says of these calls.
    pub(super) fn of(endpoints: &[Endpoint]) -> Self {
        // Values made of strings and numbers: writing them cannot fail.
        Self(
            serde_json::to_vec_pretty(&document(endpoints))
                .unwrap_or_default()
                .into(),
        )
    }
}

async fn serve(Extension(Document(document)): Extension<Document>) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (CACHE_CONTROL, HeaderValue::from_static("max-age=300")),
    ];
    (headers, document).into_response()
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint {
        method: Method::GET,
        path: "/api/openapi.json",
        handler: get(serve),
        operation: Operation::new("openapi", "This document.").answers("application/json", json!({ "type": "object" })),
    }]
}

fn document(endpoints: &[Endpoint]) -> Value {
    let mut paths = Map::new();
    for endpoint in endpoints.iter().filter(|endpoint| !endpoint.operation.hidden) {
        let path = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        path[endpoint.method.as_str().to_lowercase()] = endpoint.operation.describe();
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "CommuCat relay",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What the relay answers beside the tunnel `POST /connect`. Errors are RFC 9457 problems. \
                A token is the `session` of the AUTH frame.",
        },
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer", "description": "The `session` of the AUTH frame." },
                "operator": { "type": "http", "scheme": "bearer", "description": "The relay's admin token." },
            },
            "schemas": schemas(),
        },
    })
}

/// An object of these members and no others; those with a question mark may be absent.
fn object(members: &[(&str, Value)]) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (name, schema) in members {
        let optional = name.strip_suffix('?');
        properties.insert(optional.unwrap_or(name).to_owned(), schema.clone());
        if optional.is_none() {
            required.push(*name);
        }
    }
    json!({ "type": "object", "properties": properties, "required": required })
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

fn list(items: &Value) -> Value {
    json!({ "type": "array", "items": items })
}

fn schemas() -> Value {
    let mut all = Map::new();
    for area in [scalars(), site(), pairing(), devices(), friends()] {
        for (name, schema) in area {
            all.insert(name.to_owned(), schema);
        }
    }
    Value::Object(all)
}

type Schemas = Vec<(&'static str, Value)>;

fn scalars() -> Schemas {
    vec![
        (
            "Key",
            json!({ "type": "string", "pattern": "^[0-9a-fA-F]{64}$", "description": "32 bytes, hex." }),
        ),
        (
            "DeviceId",
            json!({ "type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[!-~]+$" }),
        ),
        ("UserId", json!({ "type": "string", "minLength": 1, "maxLength": 256 })),
        (
            "Handle",
            json!({ "type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[^@\\s]+$" }),
        ),
        ("Text", json!({ "type": "string", "maxLength": 256 })),
        ("Moment", json!({ "type": "string", "format": "date-time" })),
        (
            "Problem",
            object(&[
                ("type", json!({ "type": "string", "const": "about:blank" })),
                (
                    "title",
                    json!({ "type": "string", "description": "The status's own phrase." }),
                ),
                ("status", json!({ "type": "integer", "minimum": 400, "maximum": 599 })),
                ("detail", json!({ "type": "string" })),
            ]),
        ),
    ]
}

fn site() -> Schemas {
    let strings = list(&json!({ "type": "string" }));
    let counter = json!({ "type": "integer", "minimum": 0 });
    vec![
        (
            "Status",
            object(&[("status", json!({ "type": "string", "const": "ok" }))]),
        ),
        (
            "SecurityStats",
            object(&[
                ("noise_handshakes", counter.clone()),
                ("pq_handshakes", counter.clone()),
                ("fec_packets", counter.clone()),
                ("multipath_sessions", counter.clone()),
                ("average_paths", json!({ "type": "number", "minimum": 0 })),
                ("censorship_deflections", counter),
            ]),
        ),
        (
            "ServerInfo",
            object(&[
                ("domain", json!({ "type": "string" })),
                ("noise_public", reference("Key")),
                ("noise_keys", list(&reference("Key"))),
                ("device_ca_public", reference("Key")),
                ("supported_patterns", strings.clone()),
                ("supported_versions", list(&json!({ "type": "integer" }))),
                ("capabilities", strings),
                (
                    "pairing",
                    object(&[
                        ("auto_approve", json!({ "type": "boolean" })),
                        ("pairing_ttl", json!({ "type": "integer", "description": "Seconds." })),
                        ("max_auto_devices", json!({ "type": "integer" })),
                    ]),
                ),
            ]),
        ),
    ]
}

fn pairing() -> Schemas {
    let code = json!({
        "type": "string",
        "description": "Forty letters and digits in groups of five; case, dashes and spaces do not matter.",
    });
    let name = json!({
        "type": ["string", "null"], "maxLength": 256, "description": "Accepted from existing clients; not kept.",
    });
    let own_key = json!({
        "type": ["string", "null"], "pattern": "^[0-9a-fA-F]{64}$",
        "description": "The X25519 key of the new device. Without it the server makes an Ed25519 pair, and pins the X25519 key \
            whose scalar is its seed.",
    });
    let seconds = json!({ "type": "integer", "minimum": 1, "description": "Seconds." });
    let ttl = json!({
        "type": ["integer", "null"], "minimum": 1, "description": "Seconds; at most what the server allows.",
    });
    vec![
        ("PairingWish", object(&[("ttl?", ttl)])),
        (
            "PairingOffer",
            object(&[
                ("pair_code", code.clone()),
                ("issued_at", reference("Moment")),
                ("expires_at", reference("Moment")),
                ("ttl", seconds),
                ("device_seed", reference("Key")),
                ("issuer_device_id", reference("DeviceId")),
                ("device_ca_public", reference("Key")),
            ]),
        ),
        (
            "PairingClaim",
            object(&[("pair_code", code), ("device_name?", name), ("client_static?", own_key)]),
        ),
        (
            "PairedDevice",
            object(&[
                ("device_id", reference("DeviceId")),
                ("private_key?", reference("Key")),
                ("public_key", reference("Key")),
                ("seed?", reference("Key")),
                ("issuer_device_id", reference("DeviceId")),
                ("user_id", reference("UserId")),
                ("user", reference("User")),
                ("device_certificate", reference("DeviceCertificate")),
                ("device_ca_public", reference("Key")),
            ]),
        ),
        (
            "User",
            object(&[
                ("id", reference("UserId")),
                ("user_id", reference("UserId")),
                ("handle", reference("Handle")),
                ("display_name?", reference("Text")),
                ("avatar_url?", reference("Text")),
            ]),
        ),
        ("DeviceCertificate", certificate()),
    ]
}

fn certificate() -> Value {
    let unix = json!({ "type": "integer", "minimum": 0, "description": "Unix seconds." });
    let signature = json!({
        "type": "string", "pattern": "^[0-9a-f]{128}$",
        "description": "Ed25519 by the device authority over the compact JSON of the other members, in this order.",
    });
    object(&[
        ("serial", json!({ "type": "integer", "minimum": 0 })),
        ("user_id", reference("UserId")),
        ("device_id", reference("DeviceId")),
        ("public_key", reference("Key")),
        ("issuer", json!({ "type": "string" })),
        ("issued_at", unix.clone()),
        ("expires_at", unix),
        ("signature", signature),
    ])
}

fn devices() -> Schemas {
    let status = json!({ "type": "string", "enum": ["active", "revoked"] });
    let entry = object(&[
        ("device_id", reference("DeviceId")),
        ("status", status),
        ("created_at", reference("Moment")),
        ("public_key", reference("Key")),
        (
            "current",
            json!({ "type": "boolean", "description": "It is the one that asks." }),
        ),
    ]);
    vec![
        ("Devices", object(&[("devices", list(&entry))])),
        ("DeviceRevocation", object(&[("device_id", reference("DeviceId"))])),
        (
            "RevokedDevice",
            object(&[
                ("device_id", reference("DeviceId")),
                ("status", json!({ "type": "string", "const": "revoked" })),
            ]),
        ),
        ("KeyRotation", object(&[("client_static", reference("Key"))])),
        (
            "RotatedKey",
            object(&[
                ("device_id", reference("DeviceId")),
                ("public_key", reference("Key")),
                ("device_certificate", reference("DeviceCertificate")),
                ("device_ca_public", reference("Key")),
            ]),
        ),
    ]
}

fn friends() -> Schemas {
    // Null is as good as absent, and never answered.
    let handle = json!({ "type": ["string", "null"], "minLength": 1, "maxLength": 64, "pattern": "^[^@\\s]+$" });
    let alias = json!({ "type": ["string", "null"], "maxLength": 256 });
    let entry = object(&[("user_id", reference("UserId")), ("handle?", handle), ("alias?", alias)]);
    let mut list = list(&entry);
    list["maxItems"] = json!(commucat_storage::api::FRIENDS_PER_USER);
    list["uniqueItems"] = json!(true);
    list["description"] = json!("No `user_id` stands twice.");
    vec![("Friends", object(&[("friends", list)]))]
}
