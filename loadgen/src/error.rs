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
    /// No connection.
    #[error("cannot connect to {endpoint}: {source}{}", hint(source))]
    Connect {
        /// To whom.
        endpoint: String,
        /// The reason.
        source: std::io::Error,
    },
    /// Sessions are descriptors, and there are too few.
    #[error(
        "{sessions} sessions need {needed} open files, and this process may have {allowed}: raise the limit (ulimit -n {needed}, \
         or LimitNOFILE= of its systemd unit), open fewer, or run several load generators"
    )]
    Descriptors {
        /// Sessions asked for.
        sessions: u64,
        /// What they and everything else take.
        needed: u64,
        /// What is allowed.
        allowed: u64,
    },
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

/// What to do about it.
fn hint(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::AddrNotAvailable | std::io::ErrorKind::AddrInUse => {
            "; every port of the source addresses is taken: give more of them with --sources"
        }
        std::io::ErrorKind::TimedOut => "; its backlog may be full: open fewer at once",
        _ => "",
    }
}
