//! A store that knows nobody and keeps nothing: enough for sessions that are never away.

use commucat_storage::api::{Completion, Reply, Request, Submission};

/// Answers at once: every device is new, every inbox empty.
#[must_use]
pub fn answer(submission: &Submission) -> Completion {
    let reply = match submission.request {
        Request::Lookup { .. } => Reply::Found {
            device: None,
            user: None,
            handle_taken: false,
        },
        Request::ReadInbox { .. } => Reply::Rows {
            rows: Vec::new(),
            more: false,
        },
        _ => Reply::Done,
    };
    Completion {
        ticket: submission.ticket,
        outcome: Ok(reply),
    }
}
