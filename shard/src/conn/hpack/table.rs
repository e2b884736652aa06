//! The static table (RFC 7541, Appendix A) and the dynamic one.

use std::collections::VecDeque;

use crate::conn::limits::HPACK_TABLE;

/// What an entry costs beyond its octets (RFC 7541 § 4.1).
pub(super) const ENTRY_OVERHEAD: usize = 32;

/// What the peer's encoder told us to remember. Stored as one run of octets, oldest entry first, so that a connection's
/// usual ten fields cost two small allocations and a connection without any costs none.
///
/// Invariant: the lengths in `entries` add up to `octets[start..]`, and `size() <= max <= HPACK_TABLE`.
#[derive(Debug)]
pub(super) struct Dynamic {
    octets: Vec<u8>,
    /// Octets at the front whose entries are gone.
    start: usize,
    /// Name and value lengths. Both fit: an entry is no larger than the table.
    entries: VecDeque<(u16, u16)>,
    max: usize,
}

impl Dynamic {
    pub(super) fn new() -> Self {
        Self {
            octets: Vec::new(),
            start: 0,
            entries: VecDeque::new(),
            max: HPACK_TABLE,
        }
    }

    fn size(&self) -> usize {
        self.octets.len() - self.start + self.entries.len() * ENTRY_OVERHEAD
    }

    /// The peer's table size update; `None` when it is more than we allow.
    pub(super) fn resize(&mut self, max: usize) -> Option<()> {
        if max > HPACK_TABLE {
            return None;
        }
        self.max = max;
        self.evict(0);
        Some(())
    }

    /// Adds an entry, and drops old ones to make room. One that is larger than the table empties it (§ 4.4).
    pub(super) fn insert(&mut self, name: &[u8], value: &[u8]) {
        let need = name.len() + value.len() + ENTRY_OVERHEAD;
        self.evict(need.min(self.max));
        if need > self.max {
            return;
        }
        if self.start > self.octets.len() / 2 {
            self.octets.drain(..self.start);
            self.start = 0;
        }
        self.octets.extend_from_slice(name);
        self.octets.extend_from_slice(value);
        self.entries.push_back((name.len() as u16, value.len() as u16));
    }

    /// Name and value at `index`, 0 for the newest.
    pub(super) fn get(&self, index: usize) -> Option<(&[u8], &[u8])> {
        let mut end = self.octets.len();
        let mut entries = self.entries.iter().rev();
        for &(name, value) in entries.by_ref().take(index) {
            end -= usize::from(name) + usize::from(value);
        }
        let &(name, value) = entries.next()?;
        let value_at = end - usize::from(value);
        Some((
            &self.octets[value_at - usize::from(name)..value_at],
            &self.octets[value_at..end],
        ))
    }

    /// Drops the oldest entries until `room` fits.
    fn evict(&mut self, room: usize) {
        while self.size() + room > self.max
            && let Some((name, value)) = self.entries.pop_front()
        {
            self.start += usize::from(name) + usize::from(value);
        }
        if self.entries.is_empty() {
            self.octets = Vec::new();
            self.start = 0;
        }
    }
}

/// Index 1 is the first.
pub(super) static STATIC: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];
