//! The REST calls of people over curl, both versions of HTTP, each answer held against the relay's own OpenAPI document; and
//! what a session needs to make them.

use std::cell::Cell;

use commucat_client::blocking::{Account, Options};
use commucat_client::{Endpoint, HttpVersion};
use commucat_proto::SessionToken;
use commucat_proto::control::UserProfile;
use serde_json::Value;

use crate::curl::{Answer, curl};
use crate::openapi::Spec;
use crate::people::{Device, Peer, endpoint, options};
use crate::relay::Relay;

/// A person who has connected: what its device may ask over REST.
#[derive(Debug)]
pub struct Person {
    /// Its device.
    pub device: Device,
    /// Its session.
    pub peer: Peer,
    /// The session's token.
    pub token: SessionToken,
    /// Its profile.
    pub user: UserProfile,
    endpoint: Endpoint,
    options: Options,
}

impl Person {
    /// Connects.
    #[must_use]
    pub fn new(relay: &Relay, name: &str, http: HttpVersion) -> Self {
        Self::of(relay, Device::new(name), http)
    }

    /// Connects this device.
    ///
    /// # Panics
    /// When the relay refuses.
    #[must_use]
    pub fn of(relay: &Relay, device: Device, http: HttpVersion) -> Self {
        let mut peer = device.connect(relay, http);
        let session = peer.client().connection().session().unwrap();
        Self {
            token: session.token.clone(),
            user: session.user.clone(),
            device,
            peer,
            endpoint: endpoint(relay),
            options: options(),
        }
    }

    /// The client's own calls.
    #[must_use]
    pub const fn account(&self) -> Account<'_> {
        Account {
            endpoint: &self.endpoint,
            options: &self.options,
            token: &self.token,
        }
    }
}

/// A pairing code with its last symbol changed: the secret is wrong, the selector right.
#[must_use]
pub fn spoilt(code: &str) -> String {
    let (rest, last) = code.split_at(code.len() - 1);
    format!("{rest}{}", if last == "7" { "8" } else { "7" })
}

/// Calls by curl, HTTP/1.1 and HTTP/2 in turn.
#[derive(Debug)]
pub struct Rest {
    url: String,
    spec: Spec,
    two: Cell<bool>,
}

impl Rest {
    /// Of this relay.
    #[must_use]
    pub fn of(relay: &Relay) -> Self {
        Self {
            url: relay.url().to_owned(),
            spec: Spec::of(relay),
            two: Cell::new(false),
        }
    }

    /// What the relay says of itself.
    #[must_use]
    pub const fn spec(&self) -> &Spec {
        &self.spec
    }

    /// One call.
    pub fn call(&self, method: &str, path: &str, token: Option<&SessionToken>, body: Option<&Value>) -> Answer {
        let body = body.map(Value::to_string);
        let mut arguments = Vec::new();
        let bearer = token.map(|token| format!("authorization: Bearer {}", token.expose()));
        if let Some(header) = &bearer {
            arguments.extend(["--header", header]);
        }
        if let Some(body) = &body {
            arguments.extend(["--header", "content-type: application/json", "--data-binary", body]);
        }
        self.raw(method, path, &arguments)
    }

    /// One call with arguments of curl's own.
    ///
    /// # Panics
    /// When curl fails, or the answer is not as the document says.
    pub fn raw(&self, method: &str, path: &str, arguments: &[&str]) -> Answer {
        let two = self.two.replace(!self.two.get());
        let version = if two { "--http2" } else { "--http1.1" };
        let url = format!("{}{path}", self.url);
        let answer = curl(&[&[version, "--request", method], arguments, &[url.as_str()]].concat()).unwrap();
        assert_eq!(answer.version, if two { "2" } else { "1.1" });
        self.spec.check(method, path, &answer);
        answer
    }
}
