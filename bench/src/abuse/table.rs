//! What is attacked, how often, and which limit meets it.

use std::io;

use super::{Striker, Target, http, sessions, transport};

/// One attack.
#[derive(Clone, Copy, Debug)]
pub struct Attack {
    /// Its name on the command line.
    pub name: &'static str,
    /// What is done, for people.
    pub what: &'static str,
    /// The limit and its configuration key, or the constant.
    pub limit: &'static str,
    /// Blows a second, at most.
    pub rate: f64,
    /// Makes the attacker ready.
    pub(super) begin: fn(&Target) -> io::Result<Box<dyn Striker>>,
}

/// All of them. One attacker of each, which could be anybody's laptop: many times what a client does, and far less than
/// what fills a line.
pub const ATTACKS: &[Attack] = &[
    Attack {
        name: "connections",
        what: "connections that never speak, 2,000 held",
        limit: "`limits.connections`, `limits.head_timeout`",
        rate: 1000.0,
        begin: transport::silent,
    },
    Attack {
        name: "tls-handshakes",
        what: "whole TLS handshakes",
        limit: "`limits.connections`, `limits.head_timeout`",
        rate: 300.0,
        begin: transport::handshakes,
    },
    Attack {
        name: "tls-1.2",
        what: "ClientHello of TLS 1.2",
        limit: "TLS 1.3 alone",
        rate: 1000.0,
        begin: transport::old_tls,
    },
    Attack {
        name: "hellos",
        what: "HELLOs that are never proven",
        limit: "`limits.hello_timeout`",
        rate: 200.0,
        begin: sessions::unproven,
    },
    Attack {
        name: "ik-replay",
        what: "a recorded message 1 of IK",
        limit: "`limits.hello_timeout`",
        rate: 200.0,
        begin: sessions::replay,
    },
    Attack {
        name: "slow-heads",
        what: "200 heads, a byte at a time",
        limit: "`limits.head_timeout`",
        rate: 2000.0,
        begin: transport::slow_heads,
    },
    Attack {
        name: "tiny-chunks",
        what: "1,000 chunks of one octet",
        limit: "`limits.frame_timeout`, `limits.unparsed_bytes`",
        rate: 50.0,
        begin: sessions::crumbs,
    },
    Attack {
        name: "tiny-windows",
        what: "100 answers through windows of one octet",
        limit: "`H2Limits::control`",
        rate: 30.0,
        begin: http::windows,
    },
    Attack {
        name: "rapid-resets",
        what: "1,000 requests cancelled at once",
        limit: "`H2Limits::resets`",
        rate: 50.0,
        begin: http::resets,
    },
    Attack {
        name: "hpack-bombs",
        what: "60 MB of fields in 19 KB",
        limit: "`H2_BLOCK_DECODED`",
        rate: 100.0,
        begin: http::hpack,
    },
    Attack {
        name: "rosters",
        what: "JOINs of 4,096 names",
        limit: "`limits.roster`, `limits.session_members`",
        rate: 10.0,
        begin: sessions::rosters,
    },
    Attack {
        name: "pairing-codes",
        what: "guesses of a pairing code",
        limit: "`rest.wrong_codes`, `rest.address_rate`",
        rate: 500.0,
        begin: http::guesses,
    },
    Attack {
        name: "federation",
        what: "events of 100 KB",
        limit: "`rest.address_rate`, `limits.rest_body`",
        rate: 100.0,
        begin: http::federation,
    },
    Attack {
        name: "oversized-json",
        what: "bodies of 256 KiB and an octet",
        limit: "`limits.rest_body`",
        rate: 50.0,
        begin: http::oversized,
    },
    Attack {
        name: "deep-json",
        what: "HELLOs 262,144 arrays deep",
        limit: "`limits.control_payload`",
        rate: 50.0,
        begin: sessions::deep_json,
    },
    Attack {
        name: "no-utf8",
        what: "HELLOs of 262 KB that are no UTF-8",
        limit: "`limits.control_payload`",
        rate: 50.0,
        begin: sessions::no_utf8,
    },
];
