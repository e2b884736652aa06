//! `loadgen idle`: sessions that are established, say nothing, and are held; what each costs the relay is reported.
//!
//! Each is answered for: a PING of the relay's gets its answer, a session that ends is counted.

use std::time::Duration;

use super::ground::{Ground, Load};
use crate::cli::Idle;
use crate::engine::plan::{Crowd, random};
use crate::engine::{Course, conduct};
use crate::error::LoadError;
use crate::machine::process::resident_bytes;
use crate::report::{Held, Report};

/// After the last handshake, before memory is read: timers of the handshake run out, buffers are given back.
const SETTLE: Duration = Duration::from_secs(3);

/// Sessions of the crowd before the first reading.
const FIRST_CROWD: u32 = 500;

/// A few sessions come and leave. An allocator gives back what starting up took only when it is used again: read before
/// that, the growth would look smaller than it is, or be none.
fn first_crowd(ground: &Ground) -> Result<(), LoadError> {
    let mut plan = ground.plan.clone();
    plan.run = random();
    plan.crowd.idle = plan.crowd.idle.min(FIRST_CROWD);
    let course = Course {
        warmup: Duration::ZERO,
        measure: Some(Duration::ZERO),
    };
    conduct(
        &plan,
        &ground.target,
        course,
        ground.pid,
        &ground.stop,
        &mut |_, _, _| {},
    )?;
    std::thread::sleep(SETTLE);
    Ok(())
}

/// Opens and holds the sessions, and tells whether all of them lasted.
pub(crate) fn idle(arguments: &Idle) -> Result<bool, LoadError> {
    let crowd = Crowd {
        idle: arguments.connections,
        ..Crowd::default()
    };
    let nothing = Load {
        payload: 24,
        window: 1,
        rate: None,
    };
    let mut ground = Ground::prepare(&arguments.common, crowd, nothing)?;
    ground.plan.length = arguments.seconds;
    let about = ground.about(
        "idle",
        format!(
            "{} sessions are opened and held; nobody says anything.",
            arguments.connections
        ),
    );
    if ground.pid.is_some() {
        first_crowd(&ground)?;
    }
    let before = ground.pid.and_then(resident_bytes);
    let course = Course {
        warmup: Duration::ZERO,
        measure: arguments
            .seconds
            .map(|seconds| seconds.max(SETTLE + Duration::from_millis(300))),
    };
    let mut with_all = None;
    let mut told = false;
    let (pid, connections) = (ground.pid, u64::from(arguments.connections));
    let conducted = conduct(
        &ground.plan,
        &ground.target,
        course,
        pid,
        &ground.stop,
        &mut |totals, passed, progress| {
            if told || passed < SETTLE {
                return;
            }
            told = true;
            with_all = pid.and_then(resident_bytes);
            let each = Held::each(before, with_all, connections);
            let cost = each.map_or_else(String::new, |bytes| format!("; {bytes} bytes of the relay each"));
            let established = totals.established;
            progress.note(&format!("{established} sessions are established{cost}; Ctrl-C ends"));
        },
    )?;
    let held = Held {
        connections,
        lost: conducted.tally.disconnected,
        server_bytes_before: before,
        server_bytes: with_all,
        bytes_per_connection: Held::each(before, with_all, connections),
    };
    let report = Report::of_idle(about, conducted, held);
    let output = ground.common.output.clone();
    drop(ground);
    report.publish(&output)?;
    Ok(report.is_clean())
}
