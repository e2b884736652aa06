//! What a relay is and where: addresses, names, who comes in, logs, certificate.

use super::{SECOND, SHARDS, YEAR};
use crate::config::LogFormat;
use crate::config::table::Key;
use crate::config::value::{Kind, Value};

fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // A device id with its domain has 128 characters in all (decisions, section 4).
    text.len() <= 100 && text.split('.').all(label)
}

fn is_prologue(text: &str) -> bool {
    text.len() <= 256
}

fn is_filter(text: &str) -> bool {
    text.parse::<tracing_subscriber::filter::Targets>().is_ok()
}

pub(super) static KEYS: &[Key] = &[
    Key {
        name: "listen",
        flag: Some("listen"),
        kind: Kind::Address,
        doc: "Where clients connect, by TLS 1.3.",
        get: |config| Value::Address(Some(config.listen)),
        set: |config, value| {
            if let Value::Address(Some(address)) = value {
                config.listen = address;
            }
        },
    },
    key!(
        "plain_listen",
        Kind::OptionalAddress,
        Address,
        plain_listen,
        "Where a TLS-terminating proxy on this host connects, without TLS."
    )
    .flag("plain-listen"),
    key!(
        "plain_anywhere",
        Kind::Switch,
        Switch,
        plain_anywhere,
        "Lets `plain_listen` be other than a loopback address."
    ),
    Key {
        name: "data",
        flag: Some("data"),
        kind: Kind::Path,
        doc: "The folder of keys, certificate and the embedded store.",
        get: |config| Value::Path(Some(config.data.clone())),
        set: |config, value| {
            if let Value::Path(Some(path)) = value {
                config.data = path;
            }
        },
    },
    number!(
        "shards",
        Count,
        0,
        SHARDS as u64,
        shards,
        "Threads that carry traffic, each pinned to a core; 0 for every core."
    )
    .flag("shards"),
    key!(
        "domain",
        Kind::Text {
            allowed: "a host name in lower case, at most 100 characters",
            check: is_domain
        },
        Text,
        domain,
        "This server's name: `device@domain` is a device of its own."
    )
    .flag("domain"),
    key!(
        "auto_approve_devices",
        Kind::Switch,
        Switch,
        policy.auto_approve_devices,
        "Whether an unknown device may found a new profile by itself."
    ),
    number!(
        "max_auto_devices_per_user",
        Count,
        0,
        1000,
        policy.max_auto_devices_per_user,
        "Devices a profile may gain without a pairing code; its founder counts."
    ),
    key!(
        "open_channels",
        Kind::Switch,
        Switch,
        policy.open_channels,
        "Whether a JOIN that names nobody joins the open channel of its number."
    ),
    time!(
        "session_ttl",
        SECOND,
        YEAR,
        policy.session_ttl,
        "How long a session's token is good for the REST calls."
    ),
    time!(
        "pairing_ttl",
        SECOND,
        YEAR,
        pairing.ttl,
        "How long a pairing code is good when nobody asks for less or more."
    ),
    time!(
        "pairing_ttl_max",
        SECOND,
        YEAR,
        pairing.ttl_max,
        "The longest that anybody can ask for."
    ),
    time!(
        "certificate_ttl",
        SECOND,
        YEAR,
        pairing.certificate_ttl,
        "How long the certificate of a paired device is good."
    ),
    number!(
        "max_devices_per_user",
        Count,
        1,
        65_536,
        pairing.devices,
        "Devices of a profile, revoked ones included, past which it gets no pairing code."
    ),
    Key {
        name: "log",
        flag: Some("log"),
        kind: Kind::Choice(&["text", "json"]),
        doc: "How log lines look: text for people, json for machines.",
        get: |config| Value::Text(if config.log == LogFormat::Json { "json" } else { "text" }.to_owned()),
        set: |config, value| {
            config.log = if value == Value::Text("json".to_owned()) {
                LogFormat::Json
            } else {
                LogFormat::Text
            };
        },
    },
    key!(
        "log_filter",
        Kind::Text {
            allowed: "error, warn, info, debug, trace or off, also by target, like info,commucat_shard=debug",
            check: is_filter,
        },
        Text,
        log_filter,
        "Which log lines there are."
    ),
    key!(
        "admin_token_file",
        Kind::OptionalPath,
        Path,
        admin_token_file,
        "A file with the operator's token; opens `/admin`, and closes `/metrics` to everybody else."
    ),
    key!(
        "tls.certificate",
        Kind::OptionalPath,
        Path,
        tls_certificate,
        "A certificate chain (PEM) instead of the development certificate."
    ),
    key!(
        "tls.private_key",
        Kind::OptionalPath,
        Path,
        tls_private_key,
        "Its private key (PEM), which others on this host must not be able to read."
    ),
    key!(
        "noise.prologue",
        Kind::Text {
            allowed: "at most 256 bytes",
            check: is_prologue
        },
        Text,
        noise_prologue,
        "The Noise prologue; clients must use the same."
    ),
];
