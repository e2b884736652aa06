//! The result as a table in a terminal.

use std::fmt::Write;

use super::{CpuOf, Figures, Report};
use crate::machine::usage::Usage;
use crate::progress::thousands;

/// Threads that did nothing worth a word.
const IDLE: f64 = 0.005;

/// All of it.
pub(super) fn table(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut text, report);
    text
}

fn write(out: &mut String, report: &Report) -> std::fmt::Result {
    let about = &report.about;
    if let Some(title) = &about.title {
        writeln!(out, "{title}")?;
    }
    writeln!(out, "{}", about.what)?;
    let offers = offers(report);
    writeln!(
        out,
        "HTTP {}, {}{offers}; {} threads, {} source addresses; {:.1} s measured{}",
        about.http,
        if about.tls { "TLS 1.3" } else { "no TLS" },
        about.threads,
        about.sources,
        report.seconds,
        if report.interrupted { " (interrupted)" } else { "" },
    )?;
    writeln!(out)?;
    let rows = rows(report);
    if !rows.is_empty() {
        writeln!(
            out,
            "{:<18} {:>12} {:>11} {:>10} {:>10} {:>10} {:>10} {:>10}",
            "", "per second", "count", "p50 µs", "p90 µs", "p99 µs", "p99.9 µs", "max µs"
        )?;
    }
    for kind in rows {
        row(out, kind.name, kind.figures)?;
    }
    if let Some(late) = &report.own_lateness {
        writeln!(
            out,
            "{:<18} {:>12} {:>11} {:>10.1} {:>10.1} {:>10.1} {:>10.1} {:>10.1}",
            "  sent late by", "", "", late.p50_us, late.p90_us, late.p99_us, late.p999_us, late.max_us
        )?;
    }
    if let Some(held) = &report.held {
        writeln!(out, "{} sessions held, {} lost", thousands(held.connections), held.lost)?;
        if let (Some(before), Some(bytes), Some(each)) =
            (held.server_bytes_before, held.server_bytes, held.bytes_per_connection)
        {
            writeln!(
                out,
                "relay: {} bytes resident before, {} with all sessions: {} bytes each",
                thousands(before),
                thousands(bytes),
                thousands(each)
            )?;
        }
    }
    writeln!(out)?;
    processor(out, report)?;
    ledger(out, report)?;
    let mark = if report.verdict.is_a_warning() { "NOTE  " } else { "" };
    writeln!(out, "{mark}{}", report.verdict.sentence)?;
    if !about.host.optimised {
        writeln!(
            out,
            "NOTE  This load generator was built without optimisation: build it with --release to measure."
        )?;
    }
    Ok(())
}

/// The extensions that were offered.
pub(super) fn offers(report: &Report) -> String {
    let about = &report.about;
    [
        (about.ack_range, ", ack-range"),
        (about.delivery_ack, ", delivery-ack"),
        (about.noise_transport, ", noise-transport"),
    ]
    .into_iter()
    .filter_map(|(offered, name)| offered.then_some(name))
    .collect()
}

/// A kind of traffic by its names.
pub(super) struct Row<'a> {
    pub(super) name: &'static str,
    /// What its latency is.
    pub(super) until: &'static str,
    pub(super) figures: &'a Figures,
}

/// What was measured.
pub(super) fn rows(report: &Report) -> Vec<Row<'_>> {
    [
        ("messages", "until it arrived", &report.messages),
        ("voice frames", "until it arrived", &report.voice),
        ("handshakes", "until the session was ready", &report.handshakes),
        ("call set-up", "until the answer arrived", &report.calls),
        ("stored", "until it arrived", &report.stored),
        ("replayed", "since its recipient dialled", &report.replayed),
    ]
    .into_iter()
    .filter_map(|(name, until, figures)| {
        let figures = figures.as_ref()?;
        Some(Row { name, until, figures })
    })
    .collect()
}

fn row(out: &mut String, name: &str, figures: &Figures) -> std::fmt::Result {
    write!(
        out,
        "{name:<18} {:>12} {:>11}",
        thousands(figures.per_second as u64),
        thousands(figures.delivered)
    )?;
    let mut first = true;
    for (name, latency) in [("", &figures.latency), ("  until its ACK", &figures.ack)] {
        let Some(latency) = latency else { continue };
        if !std::mem::take(&mut first) || !name.is_empty() {
            write!(out, "\n{name:<18} {:>12} {:>11}", "", thousands(latency.count))?;
        }
        write!(
            out,
            " {:>10.1} {:>10.1} {:>10.1} {:>10.1} {:>10.1}",
            latency.p50_us, latency.p90_us, latency.p99_us, latency.p999_us, latency.max_us
        )?;
    }
    writeln!(out)
}

fn processor(out: &mut String, report: &Report) -> std::fmt::Result {
    match (report.cpu_of, &report.server, &report.headline) {
        (CpuOf::Server, Some(usage), headline) => {
            let headline = headline.as_ref().filter(|_| report.has_one_subject());
            let each = headline.map_or_else(String::new, |headline| {
                let each = headline.cpu_ns_per_delivered;
                let rate = 1e9 / each.max(1.0);
                format!(" ({each:.0} ns for each: {} per second of it)", thousands(rate as u64))
            });
            writeln!(
                out,
                "relay      {:.2} s of processor time{each}: {}",
                usage.cpu_seconds,
                shares(usage)
            )?;
        }
        _ => writeln!(out, "relay      its process was not found on this machine")?,
    }
    writeln!(
        out,
        "loadgen    {:.2} s of processor time: {}",
        report.load.cpu_seconds,
        shares(&report.load)
    )
}

/// `shard-0 93 %, shard-1 90 %`
fn shares(usage: &Usage) -> String {
    let busy: Vec<String> = usage
        .threads
        .iter()
        .filter(|thread| thread.busy >= IDLE)
        .take(16)
        .map(|thread| format!("{} {:.0} %", thread.thread, thread.busy * 100.0))
        .collect();
    if busy.is_empty() {
        "idle".to_owned()
    } else {
        busy.join(", ")
    }
}

fn ledger(out: &mut String, report: &Report) -> std::fmt::Result {
    let ledger = &report.ledger;
    if ledger.owed > 0 {
        let (owed, delivered) = (thousands(ledger.owed), thousands(ledger.delivered));
        writeln!(
            out,
            "ledger     {delivered} of {owed} messages arrived, warm-up included"
        )?;
    }
    if ledger.calls_ended > 0 {
        writeln!(
            out,
            "           {} calls from offer to end",
            thousands(ledger.calls_ended)
        )?;
    }
    for (count, name, fault) in ledger.lines() {
        if count > 0 {
            let what = if fault { "FAULT" } else { "note" };
            writeln!(out, "{what:<10} {} {name}", thousands(count))?;
        }
    }
    if let Some(trouble) = &ledger.first_trouble {
        writeln!(out, "           first of all: {trouble}")?;
    }
    Ok(())
}
