//! What can go wrong with PostgreSQL, and what follows from it.

use std::error::Error as _;

use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

/// Why the two stores cannot be used at the start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// An address or a file of the configuration.
    #[error("{0}")]
    Configuration(String),
    /// Nobody answers, or not as we need it.
    #[error("PostgreSQL at {address}: {why}")]
    Connect {
        /// Where, without the password.
        address: String,
        /// Why not.
        why: String,
    },
    /// It answered and then refused.
    #[error("PostgreSQL refuses: {0}")]
    Refused(String),
    /// A migration does not work on this database.
    #[error("migration {number} of the schema fails, nothing was changed: {why}")]
    Migration {
        /// Which.
        number: u32,
        /// Why.
        why: String,
    },
    /// The schema is older, and migrating it was not allowed.
    #[error("the schema has version {found} and this server needs {needed}: migrate it, or set `store.migrate = true`")]
    Outdated {
        /// The database's.
        found: u32,
        /// Ours.
        needed: u32,
    },
    /// A newer server was here.
    #[error("the schema has version {found}, this server knows up to {known}: it needs a newer server")]
    Newer {
        /// The database's.
        found: u32,
        /// Ours.
        known: u32,
    },
}

impl From<Error> for OpenError {
    fn from(error: Error) -> Self {
        Self::Refused(describe(&error))
    }
}

/// The whole story in one line; the library's own `Display` may leave out the cause.
pub(super) fn describe(error: &Error) -> String {
    if let Some(db) = error.as_db_error() {
        return format!("{} (SQLSTATE {})", db.message(), db.code().code());
    }
    let mut story = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !story.contains(&inner_text) {
            story = format!("{story}: {inner_text}");
        }
        cause = inner.source();
    }
    story
}

/// What to do about a failed transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// The connection is of no use any more.
    Reconnect,
    /// Somebody else was in the way: the same once more.
    Again,
    /// Something in it is at fault: find out what, so that the rest is not.
    Split,
    /// The server cannot right now.
    Refuse,
}

pub(super) fn remedy(error: &Error) -> Remedy {
    let Some(db) = error.as_db_error() else {
        // An encoding error is about a value, everything else about the connection.
        return if error.is_closed() || error.source().is_none_or(|cause| cause.is::<std::io::Error>()) {
            Remedy::Reconnect
        } else {
            Remedy::Split
        };
    };
    let code = db.code();
    if [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED].contains(code) {
        return Remedy::Again;
    }
    match code.code().get(..2).unwrap_or_default() {
        // Data and constraints.
        "22" | "23" => Remedy::Split,
        // Connection exceptions; an operator's intervention, a time-out included, after which the session may be gone.
        "08" | "57" => Remedy::Reconnect,
        _ => Remedy::Refuse,
    }
}
