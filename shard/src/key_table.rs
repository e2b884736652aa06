//! A large table by device that never stops to move all of its entries: many small ones, each of which grows by itself.
//!
//! A hash table of 65,536 entries that doubled took 13 ms, in which its whole shard served nobody; one from which as many
//! were removed is swept out in the same way.

use std::collections::hash_map::Entry;

use crate::keys::KeyMap;
use crate::mesh::message::DeviceKey;

/// A power of two: the first bits of a key choose the part.
const PARTS: usize = 64;

/// Devices that are many, or come and go by thousands.
#[derive(Debug)]
pub(crate) struct KeyTable<T> {
    parts: Box<[KeyMap<T>; PARTS]>,
}

impl<T> Default for KeyTable<T> {
    fn default() -> Self {
        Self {
            parts: Box::new(std::array::from_fn(|_| KeyMap::default())),
        }
    }
}

impl<T> KeyTable<T> {
    pub(crate) fn len(&self) -> usize {
        self.parts.iter().map(KeyMap::len).sum()
    }

    pub(crate) fn get(&self, key: &DeviceKey) -> Option<&T> {
        self.parts[part(*key)].get(key)
    }

    pub(crate) fn get_mut(&mut self, key: &DeviceKey) -> Option<&mut T> {
        self.parts[part(*key)].get_mut(key)
    }

    pub(crate) fn entry(&mut self, key: DeviceKey) -> Entry<'_, DeviceKey, T> {
        self.parts[part(key)].entry(key)
    }

    pub(crate) fn remove(&mut self, key: &DeviceKey) -> Option<T> {
        self.parts[part(*key)].remove(key)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&DeviceKey, &T)> {
        self.parts.iter().flatten()
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.iter().map(|(_, value)| value)
    }
}

/// Bits that choose neither the shard alone nor the place in a table.
fn part(key: DeviceKey) -> usize {
    (key.0 >> (u128::BITS - PARTS.trailing_zeros())) as usize
}
