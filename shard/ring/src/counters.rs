//! What a ring counts. All of it only grows.

/// Plain numbers; the owner reads them between turns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RingCounters {
    /// Calls of io_uring_enter by `wait`: one per turn.
    pub enters: u64,
    /// Further calls because the submission queue was full in mid-turn.
    pub early_submits: u64,
    /// Operations queued.
    pub sqes: u64,
    /// Completions reaped.
    pub cqes: u64,
    /// Turns that found the completion queue overflown; the kernel kept the rest and handed it over later.
    pub overflows: u64,
    /// Receives that found the buffer pool empty.
    pub enobufs: u64,
    /// Connections accepted.
    pub accepts: u64,
    /// Accepts the kernel refused for want of descriptors or memory; accepting paused.
    pub accept_refused: u64,
    /// Times the table was found full, so that accepting had to wait for a close.
    pub table_full: u64,
    /// Connections closed.
    pub closes: u64,
    /// Sends completed.
    pub sends: u64,
    /// Times a socket had no room for all of a send, and the rest waited.
    pub stalls: u64,
    /// Bytes received and given to the owner.
    pub received_bytes: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Bytes that came after a close was asked for, and were thrown away.
    pub discarded_bytes: u64,
    /// Calls with the id of a connection that is gone.
    pub stale_ids: u64,
    /// Cancellations repeated because the operation was between two places when the kernel looked.
    pub cancel_retries: u64,
    /// Bells rung on other rings.
    pub bells: u64,
    /// Bells whose ring was gone.
    pub bells_lost: u64,
    /// Bells and wakers heard.
    pub rung: u64,
}
