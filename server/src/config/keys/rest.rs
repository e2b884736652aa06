//! How often anybody may call.

use crate::config::table::Key;
use crate::config::value::{Kind, Value};

pub(super) static KEYS: &[Key] = &[
    number!(
        "rest.address_rate",
        Count,
        1,
        1_000_000,
        rest.address_rate,
        "REST calls per second from one address (an IPv6 /64 is one)."
    ),
    number!(
        "rest.address_burst",
        Count,
        1,
        1_000_000,
        rest.address_burst,
        "REST calls at once from an address that was quiet before."
    ),
    number!(
        "rest.session_rate",
        Count,
        1,
        1_000_000,
        rest.session_rate,
        "REST calls per second with one session's token."
    ),
    number!(
        "rest.session_burst",
        Count,
        1,
        1_000_000,
        rest.session_burst,
        "REST calls at once with a token that was quiet before."
    ),
    number!(
        "rest.wrong_codes",
        Count,
        1,
        1_000_000,
        rest.wrong_codes,
        "Wrong pairing codes per minute from one address."
    ),
    number!(
        "rest.buckets",
        Count,
        16,
        16_777_216,
        rest.buckets,
        "Addresses, and sessions, whose rates are remembered; the least recent are forgotten first."
    ),
    key!(
        "rest.trust_forwarded",
        Kind::Switch,
        Switch,
        rest.trust_forwarded,
        "Whether addresses that the plain listener's proxy adds to `Forwarded` or `X-Forwarded-For` count; without it calls through a proxy are limited per session alone."
    ),
];
