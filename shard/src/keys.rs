//! Device ids become 128-bit keys once, at HELLO and JOIN; tables hash no strings after that.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use commucat_proto::{ChannelId, DeviceId, GroupId};

use crate::mesh::message::{DeviceKey, GroupKey, ShardId};

/// A table by device.
pub(crate) type KeyMap<T> = HashMap<DeviceKey, T, BuildHasherDefault<KeyHasher>>;

/// A table by group.
pub(crate) type GroupMap<T> = HashMap<GroupKey, T, BuildHasherDefault<KeyHasher>>;

/// A session's own table by channel.
pub(crate) type ChannelMap<T> = HashMap<ChannelId, T, BuildHasherDefault<ChannelHasher>>;

/// Channel numbers are the client's choice, and a table holds one client's channels, at most `Limits::channels`: who
/// makes them collide slows down nobody else. One multiplication spreads ordinary numbers.
#[derive(Debug, Default, Clone)]
pub(crate) struct ChannelHasher(u64);

impl Hasher for ChannelHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        let mixed = (self.0 ^ u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

/// A device key is a keyed hash already: half of it will do.
#[derive(Debug, Default, Clone)]
pub(crate) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 = self.0.rotate_left(5) ^ u64::from_le_bytes(word);
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "half of a keyed hash is a hash")]
    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }
}

/// The keyed hash under which all shards of a process know a device.
pub(crate) fn device_key(hash_key: &[u8; 32], device: &DeviceId) -> DeviceKey {
    DeviceKey(half(hash_key, device.as_str()))
}

/// The keyed hash under which all shards of a process know a group. It never meets a device's in one table.
pub(crate) fn group_key(hash_key: &[u8; 32], group: &GroupId) -> GroupKey {
    GroupKey(half(hash_key, group.as_str()))
}

/// The same for the open channel of a number. A group id holds no control character, so it is never a group's.
pub(crate) fn open_key(hash_key: &[u8; 32], channel: ChannelId) -> GroupKey {
    GroupKey(half(hash_key, &format!("open channel\0{}", channel.get())))
}

fn half(hash_key: &[u8; 32], name: &str) -> u128 {
    let hash = blake3::keyed_hash(hash_key, name.as_bytes());
    let mut half = [0; 16];
    half.copy_from_slice(&hash.as_bytes()[..16]);
    u128::from_le_bytes(half)
}

/// The upper half chooses the shard, the lower one the place in its table.
fn home(key: u128, shards: u16) -> ShardId {
    #[expect(clippy::cast_possible_truncation, reason = "the remainder is below a u16")]
    ShardId(((key >> 64) % u128::from(shards)) as u16)
}

impl DeviceKey {
    /// The shard that knows where this device is.
    pub(crate) fn home(self, shards: u16) -> ShardId {
        home(self.0, shards)
    }
}

impl GroupKey {
    /// The shard that keeps this group's roster.
    pub(crate) fn home(self, shards: u16) -> ShardId {
        home(self.0, shards)
    }
}
