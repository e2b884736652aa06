//! What a turn says to each shard, itself included: messages to oneself wait in a batch like all others, so that one
//! order holds for every pair of shards.

use bytes::Bytes;

use super::message::{Batch, Message, Payload, ShardId};
use crate::lane::SHARE_FROM;
use crate::outbox::Opaque;

/// Emptied batches kept for their memory.
const SPARE: usize = 8;
/// A batch whose arena grew beyond this is not kept.
const SPARE_ARENA: usize = 1 << 20;

#[derive(Debug)]
pub(crate) struct Outgoing {
    to: Vec<Batch>,
    spare: Vec<Batch>,
}

impl Outgoing {
    pub(crate) fn new(shards: u16) -> Self {
        Self {
            to: (0..shards).map(|_| Batch::default()).collect(),
            spare: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, to: ShardId, message: Message) {
        self.to[usize::from(to.0)].messages.push(message);
    }

    /// Puts a payload where a message to `to` can name it: small ones are copied, large ones counted.
    pub(crate) fn payload(&mut self, to: ShardId, frame: Opaque<'_>) -> Payload {
        if let Some(shared) = frame.shared {
            return Payload::Shared(shared.clone());
        }
        if frame.payload.len() >= SHARE_FROM {
            return Payload::Shared(Bytes::copy_from_slice(frame.payload));
        }
        let arena = &mut self.to[usize::from(to.0)].arena;
        let start = arena.len();
        arena.extend_from_slice(frame.payload);
        Payload::Inline(start..arena.len())
    }

    pub(crate) fn take(&mut self, to: ShardId) -> Option<Batch> {
        let slot = &mut self.to[usize::from(to.0)];
        if slot.is_empty() {
            return None;
        }
        Some(std::mem::replace(slot, self.spare.pop().unwrap_or_default()))
    }

    pub(crate) fn recycle(&mut self, mut batch: Batch) {
        if self.spare.len() < SPARE && batch.arena.capacity() <= SPARE_ARENA {
            batch.messages.clear();
            batch.arena.clear();
            self.spare.push(batch);
        }
    }
}
