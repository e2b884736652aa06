//! How often anybody may call: token buckets per address, per session, and per address for pairing codes that were wrong.
//!
//! Invariant: no table holds more than `rest.buckets` buckets. What is forgotten to make room is what was asked for least
//! recently, and a bucket that is forgotten is full when it comes back.
//!
//! The address is the one the shard has observed (an IPv6 address counts as its /64). Through the plain listener there is
//! none: with `rest.trust_forwarded` it is the last one in `Forwarded` or `X-Forwarded-For`, which the proxy itself has
//! written; otherwise such calls are limited per session alone, and the proxy limits the rest.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use commucat_shard::input::Observed;
use commucat_storage::api::TokenHash;
use http::header::{CACHE_CONTROL, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::Site;
use super::problem::Problem;

/// What operators can set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimits {
    /// Calls per second from one address.
    pub address_rate: u32,
    /// Calls at once from one address that was quiet before.
    pub address_burst: u32,
    /// Calls per second of one session.
    pub session_rate: u32,
    /// Calls at once of one session that was quiet before.
    pub session_burst: u32,
    /// Wrong pairing codes per minute from one address.
    pub wrong_codes: u32,
    /// Buckets that are remembered, of each kind.
    pub buckets: usize,
    /// Whether the plain listener's proxy is believed about addresses.
    pub trust_forwarded: bool,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            address_rate: 50,
            address_burst: 200,
            session_rate: 20,
            session_burst: 100,
            wrong_codes: 10,
            buckets: 65_536,
            trust_forwarded: false,
        }
    }
}

/// All buckets.
pub struct Limiter {
    addresses: Mutex<Buckets<IpAddr>>,
    sessions: Mutex<Buckets<TokenHash>>,
    codes: Mutex<Buckets<IpAddr>>,
    trust_forwarded: bool,
}

/// Who asks, as far as it is known; stands in the extensions of a request that has come to a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller(pub Option<IpAddr>);

impl Limiter {
    /// With all buckets full.
    #[must_use]
    pub fn new(limits: &RateLimits) -> Self {
        let per_second = |rate: u32, burst: u32| Rate {
            per_second: f64::from(rate),
            burst: f64::from(burst),
        };
        let codes = Rate {
            per_second: f64::from(limits.wrong_codes) / 60.0,
            burst: f64::from(limits.wrong_codes),
        };
        let calls = per_second(limits.address_rate, limits.address_burst);
        let sessions = per_second(limits.session_rate, limits.session_burst);
        Self {
            addresses: Mutex::new(Buckets::new(calls, limits.buckets)),
            sessions: Mutex::new(Buckets::new(sessions, limits.buckets)),
            codes: Mutex::new(Buckets::new(codes, limits.buckets)),
            trust_forwarded: limits.trust_forwarded,
        }
    }

    /// A call of this session.
    ///
    /// # Errors
    /// It has made too many: 429.
    pub fn session(&self, token: TokenHash) -> Result<(), Problem> {
        take(&self.sessions, token).map_err(|wait| too_many("this session calls too often", wait))
    }

    /// A pairing code is about to be tried from there.
    ///
    /// # Errors
    /// Too many were wrong: 429.
    pub fn code(&self, caller: Caller) -> Result<(), Problem> {
        let Some(address) = caller.0 else { return Ok(()) };
        take(&self.codes, address).map_err(|wait| too_many("too many wrong pairing codes come from there", wait))
    }

    /// It was not wrong.
    pub fn code_was_right(&self, caller: Caller) {
        if let Some(address) = caller.0 {
            let mut codes = self.codes.lock().unwrap_or_else(PoisonError::into_inner);
            codes.give_back(address, Instant::now());
        }
    }

    fn caller(&self, request: &Request) -> Caller {
        let observed = request.extensions().get::<Observed>().and_then(|observed| observed.0);
        let address = match observed {
            Some(peer) => Some(peer.ip()),
            None if self.trust_forwarded => forwarded(request.headers()),
            None => None,
        };
        Caller(address.map(network))
    }
}

/// Around every route: the address's bucket first, and nothing of what is answered is for a cache.
pub async fn guard(State(site): State<Site>, mut request: Request, next: Next) -> Response {
    let caller = site.limits.caller(&request);
    if let Some(address) = caller.0
        && let Err(wait) = take(&site.limits.addresses, address)
    {
        return too_many("this address calls too often", wait).into_response();
    }
    request.extensions_mut().insert(caller);
    let mut response = next.run(request).await;
    let uncached = HeaderValue::from_static("no-store");
    response.headers_mut().entry(CACHE_CONTROL).or_insert(uncached);
    response
}

fn take<K: Hash + Eq + Copy>(buckets: &Mutex<Buckets<K>>, key: K) -> Result<(), Duration> {
    let mut buckets = buckets.lock().unwrap_or_else(PoisonError::into_inner);
    buckets.take(key, Instant::now())
}

fn too_many(detail: &str, wait: Duration) -> Problem {
    // Rounded up: who comes back then is let in.
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    Problem::new(StatusCode::TOO_MANY_REQUESTS, detail).with(RETRY_AFTER, HeaderValue::from(seconds.max(1)))
}

/// Whose bucket it is: an IPv6 host has a whole /64 to call from.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

/// The last address of `Forwarded` (RFC 7239) or else of `X-Forwarded-For`: what stands before it is the client's to make
/// up.
fn forwarded(headers: &HeaderMap) -> Option<IpAddr> {
    let last = |name: &str| {
        let value = headers.get_all(name).iter().next_back()?.to_str().ok()?;
        value.rsplit(',').next().map(str::trim)
    };
    if let Some(element) = last("forwarded") {
        let node = element.split(';').find_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            name.trim().eq_ignore_ascii_case("for").then_some(value.trim())
        })?;
        return address(node.trim_matches('"'));
    }
    address(last("x-forwarded-for")?)
}

fn address(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    bare.parse().ok().or_else(with_port)
}

#[derive(Clone, Copy, Debug)]
struct Rate {
    per_second: f64,
    burst: f64,
}

/// Tokens left, and when that was true.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    at: Instant,
}

/// Two generations: what is asked for moves into the younger one; when that is full, the older one is forgotten.
#[derive(Debug)]
struct Buckets<K> {
    rate: Rate,
    most: usize,
    young: HashMap<K, Bucket>,
    old: HashMap<K, Bucket>,
}

impl<K: Hash + Eq + Copy> Buckets<K> {
    fn new(rate: Rate, buckets: usize) -> Self {
        Self {
            rate,
            most: (buckets / 2).max(1),
            young: HashMap::new(),
            old: HashMap::new(),
        }
    }

    /// The bucket as it is at `now`.
    fn bucket(&mut self, key: K, now: Instant) -> &mut Bucket {
        if !self.young.contains_key(&key) && self.young.len() >= self.most {
            self.old = std::mem::take(&mut self.young);
        }
        let Rate { per_second, burst } = self.rate;
        let Self { young, old, .. } = self;
        let bucket = young
            .entry(key)
            .or_insert_with(|| old.remove(&key).unwrap_or(Bucket { left: burst, at: now }));
        let gained = now.saturating_duration_since(bucket.at).as_secs_f64() * per_second;
        bucket.left = (bucket.left + gained).min(burst);
        bucket.at = bucket.at.max(now);
        bucket
    }

    /// Takes a token, or tells how long it takes until there is one.
    fn take(&mut self, key: K, now: Instant) -> Result<(), Duration> {
        let per_second = self.rate.per_second;
        let bucket = self.bucket(key, now);
        if bucket.left >= 1.0 {
            bucket.left -= 1.0;
            return Ok(());
        }
        let wait = (1.0 - bucket.left) / per_second;
        Err(Duration::try_from_secs_f64(wait).unwrap_or(Duration::MAX))
    }

    fn give_back(&mut self, key: K, now: Instant) {
        let burst = self.rate.burst;
        let bucket = self.bucket(key, now);
        bucket.left = (bucket.left + 1.0).min(burst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        per_second: 2.0,
        burst: 3.0,
    };

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let (mut buckets, start) = (Buckets::new(RATE, 16), Instant::now());
        for _ in 0..3 {
            assert_eq!(buckets.take(1, start), Ok(()));
        }
        assert_eq!(buckets.take(1, start), Err(Duration::from_millis(500)));
        assert_eq!(buckets.take(2, start), Ok(()), "another's bucket is its own");
        let later = start + Duration::from_millis(250);
        assert_eq!(buckets.take(1, later), Err(Duration::from_millis(250)));
        let later = start + Duration::from_millis(500);
        assert_eq!(buckets.take(1, later), Ok(()));
        assert!(buckets.take(1, later).is_err());
        let much_later = start + Duration::from_secs(3600);
        for _ in 0..3 {
            assert_eq!(buckets.take(1, much_later), Ok(()));
        }
        assert!(buckets.take(1, much_later).is_err());
        buckets.give_back(1, much_later);
        assert_eq!(buckets.take(1, much_later), Ok(()));
    }

    #[test]
    fn the_table_is_bounded_and_forgets_what_nobody_asks_for() {
        let (mut buckets, now) = (Buckets::new(RATE, 64), Instant::now());
        for _ in 0..3 {
            buckets.take(u32::MAX, now).unwrap();
        }
        for key in 0..10_000 {
            buckets.take(key, now).unwrap();
            assert!(buckets.young.len() + buckets.old.len() <= 64);
            // Whoever goes on asking is not forgotten.
            assert!(buckets.take(u32::MAX, now).is_err());
        }
        assert_eq!(buckets.take(0, now), Ok(()), "full again");
    }

    #[test]
    fn an_ipv6_host_has_one_bucket_for_its_network_and_a_mapped_one_that_of_ipv4() {
        let of = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("2001:db8:1:2::9"), "2001:db8:1:2::");
        assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(of("192.0.2.7"), "192.0.2.7");
    }

    #[test]
    fn of_forwarded_addresses_the_last_counts() {
        let of = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            forwarded(&headers).map(|address| address.to_string())
        };
        let xff = |value| of("x-forwarded-for", value);
        assert_eq!(xff("192.0.2.1, 192.0.2.2").as_deref(), Some("192.0.2.2"));
        assert_eq!(xff("192.0.2.2:4711").as_deref(), Some("192.0.2.2"));
        assert_eq!(xff("2001:db8::1").as_deref(), Some("2001:db8::1"));
        assert_eq!(xff("192.0.2.1, nonsense"), None);
        let rfc = |value| of("forwarded", value);
        assert_eq!(
            rfc("for=192.0.2.1, For=\"[2001:db8::1]:80\";proto=https").as_deref(),
            Some("2001:db8::1")
        );
        assert_eq!(rfc("proto=https;for=192.0.2.3").as_deref(), Some("192.0.2.3"));
        assert_eq!(rfc("for=unknown"), None);
        assert_eq!(forwarded(&HeaderMap::new()), None);
    }

    #[test]
    fn whoever_waits_as_told_is_let_in() {
        let header = |wait| too_many("x", wait).into_bytes_response().headers()["retry-after"].clone();
        assert_eq!(header(Duration::from_millis(1)), "1");
        assert_eq!(header(Duration::from_millis(1001)), "2");
        assert_eq!(header(Duration::from_secs(5)), "5");
    }
}
