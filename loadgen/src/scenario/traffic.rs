//! The scenarios in which everybody is there: pairs, fanout, groups, calls, newcomers, and all of them together.

use std::time::Duration;

use super::ground::{Ground, Load};
use crate::cli::{Calls, Common, Connect, Fanout, Groups, Messages, Mixed, Pairs, Period};
use crate::engine::plan::Crowd;
use crate::engine::{Course, conduct};
use crate::error::LoadError;
use crate::report::Report;

/// For scenarios without messages, or with a schedule of their own.
const NO_MESSAGES: Load = Load {
    payload: 24,
    window: 1,
    rate: None,
};
/// How long a call of `mixed` lasts.
const CALL: Duration = Duration::from_secs(5);
/// And what its voice frames carry.
const VOICE: usize = 80;
/// Newcomers of `mixed` who may be under way at once.
const LANES: u32 = 64;

/// `loadgen pairs`
pub(crate) fn pairs(arguments: &Pairs) -> Result<bool, LoadError> {
    let Pairs { pairs, both, .. } = *arguments;
    let crowd = Crowd {
        pairs,
        both,
        ..Crowd::default()
    };
    let direction = if both {
        "Both talk to each other"
    } else {
        "One talks to the other"
    };
    let what = format!("{pairs} pairs of devices. {direction}{}.", pace(&arguments.messages));
    let load = load(&arguments.messages);
    run("pairs", what, &arguments.common, crowd, load, arguments.period)
}

/// `loadgen fanout`
pub(crate) fn fanout(arguments: &Fanout) -> Result<bool, LoadError> {
    let recipients = arguments.recipients;
    let crowd = Crowd {
        recipients,
        ..Crowd::default()
    };
    let what = format!(
        "One device sends to {recipients} others at once{}.",
        pace(&arguments.messages)
    );
    let load = load(&arguments.messages);
    run("fanout", what, &arguments.common, crowd, load, arguments.period)
}

/// `loadgen groups`
pub(crate) fn groups(arguments: &Groups) -> Result<bool, LoadError> {
    let Groups { groups, members, .. } = *arguments;
    let speakers = arguments.speakers.unwrap_or(members);
    if speakers > members {
        return Err(LoadError::Argument(format!(
            "--speakers {speakers}: a group has {members} members"
        )));
    }
    let crowd = Crowd {
        groups,
        members,
        speakers,
        ..Crowd::default()
    };
    let what = format!(
        "{groups} groups of {members} members each, made and filled by their owner's invitations. {speakers} members of each \
         talk to all others{}.",
        pace(&arguments.messages)
    );
    let load = load(&arguments.messages);
    run("groups", what, &arguments.common, crowd, load, arguments.period)
}

/// `loadgen calls`
pub(crate) fn calls(arguments: &Calls) -> Result<bool, LoadError> {
    let crowd = Crowd {
        calls: arguments.calls,
        voice: arguments.voice as usize,
        call: arguments.call_seconds,
        ..Crowd::default()
    };
    let what = format!(
        "{} calls of two at once. Each is offered and answered, carries 50 voice frames of {} bytes a second in either \
         direction for {:.1} s, is ended, and made again.",
        arguments.calls,
        arguments.voice,
        arguments.call_seconds.as_secs_f64()
    );
    let load = Load {
        payload: arguments.voice,
        ..NO_MESSAGES
    };
    run("calls", what, &arguments.common, crowd, load, arguments.period)
}

/// `loadgen connect`
pub(crate) fn connect(arguments: &Connect) -> Result<bool, LoadError> {
    let crowd = Crowd {
        lanes: arguments.concurrency,
        newcomers: arguments.rate,
        unknown: arguments.new_devices,
        ..Crowd::default()
    };
    let devices = match arguments.new_devices {
        true => "devices that the relay has never seen",
        false => "devices that the relay knows",
    };
    let pace = match arguments.rate {
        Some(rate) => format!("{rate} of them are due every second, whether the relay keeps up or not"),
        None => "as soon as one has left, the next comes".to_owned(),
    };
    let what = format!(
        "Newcomers connect over TCP, TLS and Noise, are accepted, and leave in order; {} at once at most, {devices}; {pace}.",
        arguments.concurrency
    );
    let load = Load {
        rate: arguments.rate,
        ..NO_MESSAGES
    };
    run("connect", what, &arguments.common, crowd, load, arguments.period)
}

/// `loadgen mixed`
pub(crate) fn mixed(arguments: &Mixed) -> Result<bool, LoadError> {
    let Mixed {
        pairs,
        groups,
        members,
        calls,
        idle,
        ..
    } = *arguments;
    if pairs + groups == 0 {
        return Err(LoadError::Argument(
            "--pairs 0 --groups 0: nobody would send messages; the other scenarios have calls and newcomers alone"
                .to_owned(),
        ));
    }
    let crowd = Crowd {
        pairs,
        both: true,
        groups,
        members,
        speakers: members,
        calls,
        voice: VOICE,
        call: CALL,
        idle,
        lanes: LANES,
        newcomers: Some(arguments.newcomers),
        ..Crowd::default()
    };
    let what = format!(
        "{pairs} pairs that talk both ways and {groups} groups of {members}, which send {} messages of {} bytes a second \
         together; {calls} calls of two; {idle} sessions that say nothing; and {} newcomers a second.",
        arguments.rate, arguments.payload, arguments.newcomers
    );
    let load = Load {
        payload: arguments.payload,
        rate: Some(arguments.rate),
        ..NO_MESSAGES
    };
    run("mixed", what, &arguments.common, crowd, load, arguments.period)
}

fn load(messages: &Messages) -> Load {
    Load {
        payload: messages.payload,
        window: messages.window,
        rate: messages.rate,
    }
}

fn pace(messages: &Messages) -> String {
    let Messages { payload, window, rate } = *messages;
    match rate {
        Some(rate) => format!(
            ": messages of {payload} bytes, {rate} a second of all senders together, each due by the clock whether the relay \
             keeps up or not"
        ),
        None => format!(
            ": messages of {payload} bytes, of which each sender keeps {window} in flight and sends the next as soon as one \
             has been delivered"
        ),
    }
}

fn run(
    scenario: &'static str,
    what: String,
    common: &Common,
    crowd: Crowd,
    load: Load,
    period: Period,
) -> Result<bool, LoadError> {
    let mut ground = Ground::prepare(common, crowd, load)?;
    ground.plan.length = Some(period.seconds);
    let about = ground.about(scenario, what);
    let course = Course {
        warmup: period.warmup,
        measure: Some(period.seconds),
    };
    let Ground {
        plan,
        target,
        stop,
        pid,
        ..
    } = &ground;
    let conducted = conduct(plan, target, course, *pid, stop, &mut |_, _, _| {})?;
    let report = Report::of_traffic(about, &plan.crowd, conducted);
    let output = ground.common.output.clone();
    // The relay ends before the report is told: its own last words must not come after.
    drop(ground);
    report.publish(&output)?;
    Ok(report.is_clean())
}
