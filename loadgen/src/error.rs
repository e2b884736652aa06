//! What ends a command, said so that a person knows what to do.

use std::path::PathBuf;

use commucat_client::ClientError;
use commucat_client::blocking::DriverError;
use commucat_client::keys::KeyFileError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// The relay, the network or the certificate.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// The session.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The relay did not take one of our sessions.
    #[error("{device}: {why}")]
    Refused {
        /// Which device it was.
        device: String,
        /// What the relay said.
        why: String,
    },
    /// A file of ours.
    #[error("{}: {what}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A device's key file.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The operating system said no.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was attempted.
        doing: &'static str,
        /// The reason.
        source: std::io::Error,
    },
    /// The relay that was spawned did not come up.
    #[error("the relay that was started ended or did not answer: {what}\n{log}")]
    Spawn {
        /// What happened.
        what: String,
        /// The end of what it printed.
        log: String,
    },
    /// An argument that clap cannot judge.
    #[error("{0}")]
    Argument(String),
    /// The chat waited for something that did not come.
    #[error("{0}")]
    GaveUp(String),
}
