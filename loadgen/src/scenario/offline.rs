//! `loadgen offline`: what is stored for those who are away, and how fast they get it when they return.

use super::ground::{Ground, Load};
use crate::cli::Offline;
use crate::engine::plan::Crowd;
use crate::engine::{Absence, conduct_storing};
use crate::error::LoadError;
use crate::report::Report;

/// Stores and replays, and tells whether every message came back once and in order.
pub(crate) fn offline(arguments: &Offline) -> Result<bool, LoadError> {
    let Offline {
        recipients, messages, ..
    } = *arguments;
    // As many sessions as pairs: the senders, and whoever is back.
    let crowd = Crowd {
        pairs: recipients,
        ..Crowd::default()
    };
    let load = Load {
        payload: arguments.payload,
        window: arguments.window,
        rate: arguments.rate,
    };
    let ground = Ground::prepare(&arguments.common, crowd, load)?;
    let pace = match arguments.rate {
        Some(rate) => format!("{rate} a second of all senders together, each due by the clock"),
        None => format!(
            "each sender waits for the relay's ACK with {} in flight",
            arguments.window
        ),
    };
    let about = ground.about(
        "offline",
        format!(
            "{recipients} devices are away. Each is sent {messages} messages of {} bytes by a sender of its own ({pace}); the \
             relay's ACK says that a message is stored. Then the devices return, {} at once on each thread, and take what \
             waited for them. Processor times are those of storing.",
            arguments.payload, arguments.concurrency
        ),
    );
    let absence = Absence {
        recipients,
        messages: messages.into(),
        lanes: arguments.concurrency as usize,
    };
    let stored = conduct_storing(&ground.plan, absence, &ground.target, ground.pid, &ground.stop)?;
    let report = Report::of_offline(about, u64::from(recipients), stored);
    let output = ground.common.output.clone();
    drop(ground);
    report.publish(&output)?;
    Ok(report.is_clean())
}
