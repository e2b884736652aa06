//! Opening an io_uring with everything the driver needs, and telling why when it cannot be had.

use std::io;

use io_uring::{IoUring, Probe, opcode};

use crate::config::RingConfig;
use crate::error::SetupError;
use crate::limits;
use crate::probe;

/// Operations the driver uses, with the kernel that brought each; features that cannot be asked for by name came before
/// DEFER_TASKRUN (6.1), except incremental buffers, which are tried.
pub(crate) const OPERATIONS: [(u8, &str, &str); 9] = [
    (opcode::Accept::CODE, "accept", "5.5"),
    (opcode::AsyncCancel::CODE, "cancel", "5.5"),
    (opcode::Close::CODE, "close", "5.6"),
    (opcode::Recv::CODE, "receive", "5.6"),
    (opcode::Send::CODE, "send", "5.6"),
    (opcode::Read::CODE, "read", "5.6"),
    (opcode::PollAdd::CODE, "watching a descriptor", "5.13"),
    (opcode::Shutdown::CODE, "shutdown", "5.11"),
    (opcode::MsgRingData::CODE, "messages between rings", "5.18"),
];

/// The io_uring, its features checked and its descriptor table registered.
pub(crate) fn open(config: &RingConfig) -> Result<IoUring, SetupError> {
    let ring = build(config.entries)?;
    check_features(&ring)?;
    register_table(&ring, config.connections)?;
    let mut workers = [limits::KERNEL_WORKERS; 2];
    let submitter = ring.submitter();
    submitter
        .register_iowq_max_workers(&mut workers)
        .map_err(SetupError::io("bounding the kernel's workers"))?;
    Ok(ring)
}

/// SINGLE_ISSUER and DEFER_TASKRUN: completions are made by this thread inside `wait`, never by an interrupt of it.
/// SUBMIT_ALL: a refused operation completes with its error and does not hold back those behind it.
pub(crate) fn build(entries: u32) -> Result<IoUring, SetupError> {
    let entries = entries.next_power_of_two();
    IoUring::builder()
        .dontfork()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_submit_all()
        .setup_cqsize(entries * limits::COMPLETIONS_PER_ENTRY)
        .setup_clamp()
        .build(entries)
        .map_err(explain)
}

fn explain(error: io::Error) -> SetupError {
    match error.raw_os_error() {
        Some(libc::EPERM) => match probe::disabled() {
            Some(value @ 1..) => SetupError::Disabled { value },
            _ => SetupError::Forbidden,
        },
        Some(libc::ENOSYS) => SetupError::Absent,
        Some(libc::EINVAL) => too_old("SINGLE_ISSUER with DEFER_TASKRUN", "6.1"),
        Some(libc::ENOMEM) => SetupError::Memory {
            limit: probe::limit(libc::RLIMIT_MEMLOCK),
        },
        _ => SetupError::io("io_uring_setup")(error),
    }
}

pub(crate) fn too_old(feature: &'static str, since: &'static str) -> SetupError {
    SetupError::TooOld {
        release: probe::release(),
        feature,
        since,
    }
}

pub(crate) fn check_features(ring: &IoUring) -> Result<(), SetupError> {
    let params = ring.params();
    if !params.is_feature_nodrop() {
        return Err(too_old("keeping completions that overflow", "5.5"));
    }
    if !params.is_feature_ext_arg() {
        return Err(too_old("waiting with a time-out", "5.11"));
    }
    if !params.is_feature_skip_cqe_on_success() {
        return Err(too_old("operations that are silent when they succeed", "5.17"));
    }
    let mut known = Probe::new();
    ring.submitter()
        .register_probe(&mut known)
        .map_err(SetupError::io("asking for the kernel's operations"))?;
    match OPERATIONS.iter().find(|(code, ..)| !known.is_supported(*code)) {
        Some((_, name, since)) => Err(too_old(name, since)),
        None => Ok(()),
    }
}

pub(crate) fn register_table(ring: &IoUring, connections: u32) -> Result<(), SetupError> {
    ring.submitter()
        .register_files_sparse(connections)
        .map_err(|error| match error.raw_os_error() {
            Some(libc::EMFILE) => SetupError::Descriptors {
                connections,
                limit: probe::limit(libc::RLIMIT_NOFILE),
            },
            Some(libc::ENOMEM) => SetupError::Memory {
                limit: probe::limit(libc::RLIMIT_MEMLOCK),
            },
            Some(libc::EINVAL) => too_old("a sparse table of direct descriptors", "5.19"),
            _ => SetupError::io("registering the descriptor table")(error),
        })
}
