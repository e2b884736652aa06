//! The counters of inboxes that were used lately. Bounded; what falls out is read from the tables again.

use std::collections::HashMap;

use commucat_proto::DeviceId;

use super::inbox::Inbox;

/// Two generations: what is used moves to the young one; when that is full it becomes the old one and the old one goes.
/// So the cache holds the last `capacity / 2` devices used and at most `capacity`, without a list to keep in order.
///
/// Full: forgets what was not used for longest.
pub(super) struct Cache {
    young: HashMap<DeviceId, Inbox>,
    old: HashMap<DeviceId, Inbox>,
    half: usize,
}

impl Cache {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            half: (capacity / 2).max(1),
        }
    }

    /// The entry of `device`, from `load` when it is not here; `None` is not kept.
    pub(super) fn entry<E>(
        &mut self,
        device: &DeviceId,
        load: impl FnOnce() -> Result<Option<Inbox>, E>,
    ) -> Result<Option<&mut Inbox>, E> {
        if !self.young.contains_key(device) {
            let inbox = match self.old.remove(device) {
                Some(inbox) => inbox,
                None => match load()? {
                    Some(inbox) => inbox,
                    None => return Ok(None),
                },
            };
            if self.young.len() >= self.half {
                self.old = std::mem::take(&mut self.young);
            }
            self.young.insert(device.clone(), inbox);
        }
        Ok(self.young.get_mut(device))
    }

    /// The entry of `device` if it is here; does not make it younger.
    pub(super) fn peek(&mut self, device: &DeviceId) -> Option<&mut Inbox> {
        match self.young.get_mut(device) {
            Some(inbox) => Some(inbox),
            None => self.old.get_mut(device),
        }
    }

    /// Forgets `device`, which has nothing staged.
    pub(super) fn remove(&mut self, device: &DeviceId) {
        self.young.remove(device);
        self.old.remove(device);
    }

    /// How many entries can be asked for before one that was asked for may be forgotten.
    pub(super) fn safe_run(&self) -> usize {
        self.half
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn device(number: u64) -> DeviceId {
        DeviceId::parse(&format!("d{number}")).unwrap()
    }

    /// Asks for a device's entry; tells whether it had to be loaded.
    fn ask(cache: &mut Cache, number: u64) -> bool {
        let mut loaded = false;
        let load = || -> Result<Option<Inbox>, Infallible> {
            loaded = true;
            let mut inbox = Inbox::default();
            inbox.staged_in = number;
            Ok(Some(inbox))
        };
        let Ok(entry) = cache.entry(&device(number), load);
        assert_eq!(entry.map(|inbox| inbox.staged_in), Some(number));
        loaded
    }

    #[test]
    fn it_never_holds_more_than_its_capacity() {
        let mut cache = Cache::new(8);
        for number in 0..1_000 {
            ask(&mut cache, number % 37);
            assert!(cache.young.len() + cache.old.len() <= 8);
        }
    }

    #[test]
    fn what_was_asked_for_within_a_safe_run_is_never_forgotten() {
        let mut cache = Cache::new(8);
        let run = cache.safe_run() as u64;
        for number in 0..1_000 {
            ask(&mut cache, number);
            for recent in number.saturating_sub(run - 1)..=number {
                assert!(cache.peek(&device(recent)).is_some(), "{recent} at {number}");
            }
        }
    }

    #[test]
    fn what_is_used_stays_and_what_is_not_goes() {
        let mut cache = Cache::new(8);
        assert!(ask(&mut cache, 0));
        for number in 1..100 {
            ask(&mut cache, number);
            assert!(!ask(&mut cache, 0), "used every time");
        }
        assert!(ask(&mut cache, 1), "not used for long");
    }

    #[test]
    fn what_does_not_exist_is_not_remembered() {
        let mut cache = Cache::new(8);
        for _ in 0..2 {
            let absent: Result<_, Infallible> = cache.entry(&device(1), || Ok(None));
            assert!(absent.unwrap().is_none());
        }
        assert!(ask(&mut cache, 1));
    }
}
