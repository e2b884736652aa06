//! Why a ring or a listener could not be made, and what to do about it.

use std::io;
use std::net::SocketAddr;

use thiserror::Error;

/// A ring could not be set up. Each text names the cause and the way out.
#[derive(Debug, Error)]
pub enum SetupError {
    /// The administrator switched io_uring off.
    #[error(
        "io_uring is not available: kernel.io_uring_disabled is {value}; set it to 0 \
         (sysctl -w kernel.io_uring_disabled=0), or to 1 and run in the group of kernel.io_uring_group"
    )]
    Disabled {
        /// What the setting is.
        value: u8,
    },
    /// Something else said no.
    #[error(
        "io_uring_setup was refused (EPERM) although kernel.io_uring_disabled allows it: a seccomp filter or a security \
         module is in the way; in a container, allow io_uring_setup, io_uring_enter and io_uring_register in its profile"
    )]
    Forbidden,
    /// The kernel was built without it, or a filter pretends so.
    #[error(
        "the kernel has no io_uring (ENOSYS): use a kernel built with CONFIG_IO_URING, or allow the three io_uring calls \
         in the container's seccomp profile"
    )]
    Absent,
    /// A needed feature is not there.
    #[error(
        "Linux {release} cannot do {feature}, which came with {since}: boot a newer kernel (6.12 or later is best)"
    )]
    TooOld {
        /// The kernel that runs.
        release: String,
        /// What it lacks.
        feature: &'static str,
        /// Where it would have it.
        since: &'static str,
    },
    /// The kernel could not have its memory.
    #[error(
        "the kernel refused memory for the ring (ENOMEM); RLIMIT_MEMLOCK is {limit} bytes: raise it (systemd: \
         LimitMEMLOCK), or lower `entries` or `connections`"
    )]
    Memory {
        /// RLIMIT_MEMLOCK.
        limit: u64,
    },
    /// The process could not have its memory.
    #[error("{bytes} bytes of receive buffers cannot be had: lower `buffers` or `buffer_size`")]
    Pool {
        /// How much was asked for.
        bytes: usize,
    },
    /// The descriptor table is larger than the process may have.
    #[error(
        "{connections} connections do not fit RLIMIT_NOFILE, which is {limit}: raise it (systemd: LimitNOFILE), or lower \
         `connections`"
    )]
    Descriptors {
        /// Size of the table asked for.
        connections: u32,
        /// RLIMIT_NOFILE.
        limit: u64,
    },
    /// A setting makes no sense.
    #[error("`{setting}` is {value}; it must be between {low} and {high}")]
    OutOfRange {
        /// Its name in [`crate::RingConfig`].
        setting: &'static str,
        /// What it is.
        value: u64,
        /// Least allowed.
        low: u64,
        /// Most allowed.
        high: u64,
    },
    /// Anything else, with the step that failed.
    #[error("{step} failed: {source}")]
    Io {
        /// What was attempted.
        step: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

impl SetupError {
    pub(crate) fn io(step: &'static str) -> impl FnOnce(io::Error) -> SetupError {
        move |source| SetupError::Io { step, source }
    }
}

/// A listener could not be made or given to a ring.
#[derive(Debug, Error)]
pub enum ListenError {
    /// The kernel refused one of the steps.
    #[error("{step} for {addr} failed: {source}")]
    Socket {
        /// Which step.
        step: &'static str,
        /// Where to listen.
        addr: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// The ring has its fill.
    #[error("a ring serves at most {limit} listeners", limit = crate::limits::LISTENERS)]
    TooMany,
    /// The ring accepts no more.
    #[error("the ring has stopped accepting")]
    Stopped,
    /// The listener could not be put into the mode the ring needs.
    #[error("the listener cannot be made blocking: {0}")]
    Mode(#[source] io::Error),
}
