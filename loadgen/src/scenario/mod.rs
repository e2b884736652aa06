//! The scenarios: from a command line to a crowd, and from what was counted to a report.

mod ground;
mod hold;
mod offline;
mod traffic;

pub(crate) use hold::idle;
pub(crate) use offline::offline;
pub(crate) use traffic::{calls, connect, fanout, groups, mixed, pairs};
