//! A user's own devices (decisions § 10): the list, revocation, and another key for the device that asks.

use axum::Json;
use axum::extract::State;
use axum::routing::{get, post};
use commucat_proto::DeviceId;
use commucat_proto::control::{DeviceCertificate, HexKey};
use commucat_shard::input::Command;
use commucat_storage::api::{AccountRequest, DeviceRecord, Reply, Request, StoreError};
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};

use super::Site;
use super::bearer::Bearer;
use super::body::JsonBody;
use super::endpoint::{Endpoint, Operation};
use super::problem::Problem;
use super::time::{now, rfc3339};

#[derive(Serialize)]
struct Devices {
    devices: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    device_id: DeviceId,
    status: &'static str,
    created_at: String,
    /// The pinned X25519 key.
    public_key: String,
    /// It is the one that asks.
    current: bool,
}

async fn list(bearer: Bearer, State(site): State<Site>) -> Result<Json<Devices>, Problem> {
    let user = bearer.user.id;
    let listed = site
        .store
        .call(Request::Account(AccountRequest::ListDevices { user }))
        .await?;
    let Reply::Devices(records) = listed else {
        return Err(StoreError::Unavailable("no list came".to_owned()).into());
    };
    let entry = |record: DeviceRecord| Entry {
        status: if record.revoked_at.is_some() {
            "revoked"
        } else {
            "active"
        },
        created_at: rfc3339(record.created_at),
        public_key: hex::encode(record.static_key),
        current: record.device == bearer.device,
        device_id: record.device,
    };
    Ok(Json(Devices {
        devices: records.into_iter().map(entry).collect(),
    }))
}

#[derive(Debug, Deserialize)]
struct Revocation {
    device_id: DeviceId,
}

#[derive(Serialize)]
struct Revoked {
    device_id: DeviceId,
    status: &'static str,
}

/// Answers when no session of the device is left on any core.
async fn revoke(
    bearer: Bearer,
    State(site): State<Site>,
    JsonBody(Revocation { device_id }): JsonBody<Revocation>,
) -> Result<Json<Revoked>, Problem> {
    let device = local(&device_id, &site.info.domain).unwrap_or(device_id);
    let request = AccountRequest::RevokeDevice {
        user: bearer.user.id,
        device: device.clone(),
        at: now(),
    };
    match site.store.call(Request::Account(request)).await {
        Ok(_) => {}
        Err(StoreError::UnknownDevice) => {
            return Err(Problem::new(StatusCode::NOT_FOUND, "this user has no such device"));
        }
        Err(error) => return Err(error.into()),
    }
    let revoked = Command::Revoked { device: device.clone() };
    site.commands.tell(&revoked).await;
    tracing::info!(
        device = device.as_str(),
        by = bearer.device.as_str(),
        "a device was revoked"
    );
    Ok(Json(Revoked {
        device_id: device,
        status: "revoked",
    }))
}

/// `device@domain` of this domain is `device` here.
fn local(device: &DeviceId, domain: &str) -> Option<DeviceId> {
    let ours = device.domain()?.eq_ignore_ascii_case(domain);
    ours.then(|| DeviceId::parse(device.local()).ok())?
}

#[derive(Debug, Deserialize)]
struct Rotation {
    client_static: HexKey,
}

#[derive(Serialize)]
struct Rotated {
    device_id: DeviceId,
    public_key: String,
    device_certificate: DeviceCertificate,
    device_ca_public: String,
}

/// Answers when no session that stands on the old key is left on any core, and no token but the one that asks: it is the
/// only one whose holder knew of the rotation.
async fn rotate_key(
    bearer: Bearer,
    State(site): State<Site>,
    JsonBody(Rotation { client_static }): JsonBody<Rotation>,
) -> Result<Json<Rotated>, Problem> {
    let (device, static_key, at) = (bearer.device, client_static.0, now());
    let device_certificate = site.authority.certify((&bearer.user.id, &device), static_key, at)?;
    let request = AccountRequest::RotateKey {
        device: device.clone(),
        static_key,
        keep: bearer.token,
        at,
    };
    match site.store.call(Request::Account(request)).await {
        Ok(_) => {}
        Err(StoreError::DeviceRevoked | StoreError::UnknownDevice) => {
            return Err(Problem::new(StatusCode::FORBIDDEN, "this device has been revoked"));
        }
        Err(error) => return Err(error.into()),
    }
    let rekeyed = Command::Rekeyed {
        device: device.clone(),
        static_key,
    };
    site.commands.tell(&rekeyed).await;
    tracing::info!(device = device.as_str(), "a device has another key");
    Ok(Json(Rotated {
        device_id: device,
        public_key: hex::encode(static_key),
        device_certificate,
        device_ca_public: site.authority.public(),
    }))
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint {
            method: Method::GET,
            path: "/api/devices",
            handler: get(list),
            operation: Operation::new("listDevices", "The devices of the caller's profile.")
                .bearer()
                .json("Devices"),
        },
        Endpoint {
            method: Method::POST,
            path: "/api/devices/revoke",
            handler: post(revoke),
            operation: Operation::new(
                "revokeDevice",
                "Refuses a device from now on; its sessions and tokens have ended when this is answered.",
            )
            .bearer()
            .body("DeviceRevocation", true)
            .json("RevokedDevice")
            .problem(404, "The caller's profile has no such device."),
        },
        Endpoint {
            method: Method::POST,
            path: "/api/devices/rotate-key",
            handler: post(rotate_key),
            operation: Operation::new(
                "rotateKey",
                "Pins another X25519 key for the calling device; sessions that stand on the old one have ended when this is answered, and so have the device's tokens but the one that asks.",
            )
            .bearer()
            .body("KeyRotation", true)
            .json("RotatedKey")
            .problem(403, "The device was revoked meanwhile."),
        },
    ]
}
