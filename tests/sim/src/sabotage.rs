//! Deliberate faults outside every contract. A canary test turns one on and expects a checker to see it: a simulator that
//! cannot fail proves nothing.

/// One broken part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// A lane between shards loses a frame now and then.
    MeshDropsFrame,
    /// A lane between shards swaps two batches.
    MeshReorders,
    /// A lane delivers a frame twice.
    MeshRepeatsFrame,
    /// A lane delivers a frame to somebody else.
    MeshMisdelivers,
    /// A shard confirms new members of a group that it has not been told of.
    MeshEmptiesInvite,
    /// A shard does not hear who names a speaker of an open channel.
    MeshForgetsNames,
    /// The store forgets a row that it has acknowledged.
    StoreLosesRow,
    /// The store says "durable" without writing.
    StoreAnswersEarly,
    /// The kernel loses the last byte of a receive.
    RingLosesByte,
    /// The kernel reports a send as done when half of it was taken.
    RingSendsHalf,
    /// A revocation is answered, and no shard was told.
    ShardsUntold,
}

impl Sabotage {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::MeshDropsFrame,
        Self::MeshReorders,
        Self::MeshRepeatsFrame,
        Self::MeshMisdelivers,
        Self::MeshEmptiesInvite,
        Self::MeshForgetsNames,
        Self::StoreLosesRow,
        Self::StoreAnswersEarly,
        Self::RingLosesByte,
        Self::RingSendsHalf,
        Self::ShardsUntold,
    ];
}
