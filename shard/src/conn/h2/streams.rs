//! The open streams of a connection, and the windows.

/// RFC 9113 § 6.9.1: no window is larger.
pub(super) const MAX_WINDOW: i64 = 0x7fff_ffff;

/// One open or half-closed stream.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) id: u32,
    /// What we may still send; a smaller setting of the peer can push it below zero.
    pub(super) send: i32,
    /// What the peer may still send.
    pub(super) receive: u32,
    /// Delivered to the caller and not credited yet.
    pub(super) held: u32,
    /// Credited and not yet announced in a WINDOW_UPDATE.
    pub(super) owed: u32,
    /// What `content-length` says is still to come.
    pub(super) expected: Option<u64>,
    pub(super) peer_ended: bool,
    pub(super) we_ended: bool,
}

impl Stream {
    /// Counts the body octets of a frame against `content-length`; `false` when they do not agree (RFC 9113 § 8.1.1).
    #[must_use]
    pub(super) fn take(&mut self, octets: u64, end: bool) -> bool {
        let Some(expected) = &mut self.expected else {
            return true;
        };
        match expected.checked_sub(octets) {
            Some(left) => {
                *expected = left;
                !end || left == 0
            }
            None => false,
        }
    }
}

/// Sorted by id, which is the order in which streams open. At most `H2Limits::streams` of them; most connections have
/// one, and then this is one small allocation.
#[derive(Debug, Default)]
pub(super) struct Streams(Vec<Stream>);

impl Streams {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn get(&self, id: u32) -> Option<&Stream> {
        self.0
            .binary_search_by_key(&id, |stream| stream.id)
            .ok()
            .map(|at| &self.0[at])
    }

    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut Stream> {
        self.0
            .binary_search_by_key(&id, |stream| stream.id)
            .ok()
            .map(|at| &mut self.0[at])
    }

    pub(super) fn push(&mut self, stream: Stream) {
        assert!(self.0.last().is_none_or(|last| last.id < stream.id), "ids only rise");
        if self.0.is_empty() {
            // Left to itself, the list would begin with room for four.
            self.0.reserve_exact(1);
        }
        self.0.push(stream);
    }

    pub(super) fn remove(&mut self, id: u32) -> Option<Stream> {
        let at = self.0.binary_search_by_key(&id, |stream| stream.id).ok()?;
        let gone = self.0.remove(at);
        if self.0.is_empty() {
            self.0 = Vec::new();
        }
        Some(gone)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.0.iter_mut()
    }
}

/// Adds to a sending window; `None` when it would leave what RFC 9113 § 6.9.1 allows.
pub(super) fn widen(window: i32, octets: i64) -> Option<i32> {
    let sum = i64::from(window) + octets;
    if sum > MAX_WINDOW {
        None
    } else {
        i32::try_from(sum).ok()
    }
}
