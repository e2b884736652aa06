//! The requests of an HTTP/2 connection, by stream. Most connections have one for as long as they live, and it needs no
//! allocation. Used by the connection layer.

use smallvec::SmallVec;

use super::exchange::Exchange;

/// Sorted by stream; at most `limits.streams` of them.
#[derive(Debug, Default)]
pub(super) struct Exchanges(SmallVec<[(u32, Exchange); 1]>);

impl Exchanges {
    fn find(&self, stream: u32) -> Result<usize, usize> {
        self.0.binary_search_by_key(&stream, |(stream, _)| *stream)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn get(&self, stream: u32) -> Option<&Exchange> {
        self.find(stream).ok().map(|at| &self.0[at].1)
    }

    pub(super) fn get_mut(&mut self, stream: u32) -> Option<&mut Exchange> {
        self.find(stream).ok().map(|at| &mut self.0[at].1)
    }

    /// In place of what `stream` had.
    pub(super) fn insert(&mut self, stream: u32, exchange: Exchange) {
        match self.find(stream) {
            Ok(at) => self.0[at].1 = exchange,
            Err(at) => self.0.insert(at, (stream, exchange)),
        }
    }

    pub(super) fn remove(&mut self, stream: u32) -> Option<Exchange> {
        let at = self.find(stream).ok()?;
        let (_, exchange) = self.0.remove(at);
        self.give_back();
        Some(exchange)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Exchange)> {
        self.0.iter().map(|(stream, exchange)| (*stream, exchange))
    }

    pub(super) fn retain(&mut self, mut stays: impl FnMut(u32, &mut Exchange) -> bool) {
        self.0.retain(|(stream, exchange)| stays(*stream, exchange));
        self.give_back();
    }

    /// What many requests at once have taken is not kept by none.
    fn give_back(&mut self) {
        if self.0.is_empty() && self.0.spilled() {
            self.0 = SmallVec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Exchange, Exchanges};

    fn streams(exchanges: &Exchanges) -> Vec<u32> {
        exchanges.iter().map(|(stream, _)| stream).collect()
    }

    #[test]
    fn requests_are_found_by_their_stream_in_whatever_order_they_come_and_go() {
        let mut exchanges = Exchanges::default();
        for stream in [5, 1, 3] {
            exchanges.insert(stream, Exchange::Calling);
        }
        assert_eq!(streams(&exchanges), [1, 3, 5]);
        exchanges.insert(3, Exchange::Answered);
        assert!(matches!(exchanges.get(3), Some(Exchange::Answered)));
        assert!(matches!(exchanges.remove(1), Some(Exchange::Calling)));
        assert!(exchanges.remove(1).is_none() && exchanges.get_mut(2).is_none());
        exchanges.retain(|stream, _| stream == 5);
        assert_eq!(streams(&exchanges), [5]);
    }

    #[test]
    fn one_request_takes_no_memory_of_its_own_and_none_keeps_none() {
        let mut exchanges = Exchanges::default();
        exchanges.insert(1, Exchange::Calling);
        assert!(!exchanges.0.spilled());
        exchanges.insert(3, Exchange::Calling);
        assert!(exchanges.0.spilled());
        exchanges.retain(|_, _| false);
        assert!(!exchanges.0.spilled() && exchanges.is_empty());
    }
}
