//! What can go wrong with the store's folder and with a value in it.

use std::io;
use std::path::PathBuf;

use crate::api::StoreError;

/// Why a store could not be opened. Each says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds the folder.
    #[error(
        "{}: another process{} is running on this data folder; stop it, or give this one a folder of its own",
        .path.display(), .pid.map_or_else(String::new, |pid| format!(" (pid {pid})"))
    )]
    AlreadyRunning {
        /// The folder.
        path: PathBuf,
        /// Who holds it, when it could be told.
        pid: Option<u32>,
    },
    /// Written by a release whose format this one does not know.
    #[error(
        "{}: the data has format {found}, this release reads {known}; start the release that wrote it, or upgrade this one",
        .path.display()
    )]
    UnknownFormat {
        /// The folder.
        path: PathBuf,
        /// The format found.
        found: u32,
        /// The format this release writes.
        known: u32,
    },
    /// What lies there is not what was written: nothing has been changed.
    #[error(
        "{}: the data is damaged: {detail}; restore the folder from a backup, or move it aside to start without it",
        .path.display()
    )]
    Damaged {
        /// The file or folder.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// The system refused an operation.
    #[error("{}: cannot {what}: {source}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The operation.
        what: &'static str,
        /// The system's word.
        source: io::Error,
    },
}

impl OpenError {
    pub(super) fn io(path: impl Into<PathBuf>, what: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, what, source }
    }

    /// What the engine says while it opens `path`.
    pub(super) fn engine(path: impl Into<PathBuf>) -> impl FnOnce(fjall::Error) -> Self {
        let path = path.into();
        move |error| match error {
            fjall::Error::Locked => Self::AlreadyRunning { path, pid: None },
            fjall::Error::Io(source) => Self::Io {
                path,
                what: "open the engine",
                source,
            },
            other => Self::Damaged {
                path,
                detail: other.to_string(),
            },
        }
    }
}

/// Why one request could not be carried out, beside what the port's language names.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// The engine failed.
    #[error("{0}")]
    Engine(#[from] fjall::Error),
    /// A stored value is not one.
    #[error("the stored {table} value is corrupt: {detail}")]
    Corrupt {
        /// Which kind of value.
        table: &'static str,
        /// What validation said.
        detail: String,
    },
    /// The good answer to a bad request.
    #[error("{0}")]
    Refused(#[from] StoreError),
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Refused(error) => error,
            other => Self::Unavailable(other.to_string()),
        }
    }
}
