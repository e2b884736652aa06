//! What the process tells of itself: log lines, and numbers.
//!
//! ```text
//!  log          lines on standard error, that never make a shard wait
//!  snapshot     one shard's numbers at one moment; how they leave its thread
//!  board        all shards' latest snapshots, collected when somebody asks
//!  catalogue    what a metric is
//!  metrics      every one of them
//!  openmetrics  all as text for `/metrics`
//!  live         a sample a second for those who watch the operator's page
//! ```

pub mod board;
pub mod catalogue;
pub mod live;
mod log;
pub mod metrics;
pub mod openmetrics;
pub mod snapshot;

pub use log::{Logging, start};
