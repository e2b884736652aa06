//! What a store has to be. The pool calls it; `suite` tells what each answer must be.

use std::future::Future;

use crate::api::{Reply, Request, StoreError, Wall};

/// A store: the embedded one, PostgreSQL, or the simulator's.
///
/// Invariant: the answers stand in the order of the requests, and each is given only when it is durable, unless its
/// request says otherwise. Requests of one batch that name the same device take effect in their order; a batch takes
/// effect after those answered before it. Each request happens wholly or not at all. After [`StoreError::Unavailable`] it
/// may have happened or not.
pub trait Store: Send + Sync + 'static {
    /// Carries out a batch: one commit for all of it.
    fn execute(&self, batch: Vec<Request>) -> impl Future<Output = Vec<Result<Reply, StoreError>>> + Send;

    /// A bounded step of what nobody asked for: drops rows that expired by `now`. The pool calls it between batches.
    fn upkeep(&self, now: Wall) -> impl Future<Output = ()> + Send {
        let _ = now;
        async {}
    }
}
