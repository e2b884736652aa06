//! The machine under both programs: cores, descriptors, addresses of loopback, and what `/proc` tells of processes.

pub(crate) mod cores;
pub(crate) mod descriptors;
pub(crate) mod host;
pub(crate) mod process;
pub(crate) mod sources;
pub(crate) mod usage;
