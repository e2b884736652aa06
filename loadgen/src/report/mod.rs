//! What a run found out: for a program (JSON), for who ran it (a table), and for who was not there (a page).

mod figures;
mod ledger;
mod page;
mod table;
mod verdict;

use std::io::Write;

use serde::Serialize;

use crate::cli::Output;
use crate::engine::plan::Crowd;
use crate::engine::{Conducted, Stored};
use crate::error::LoadError;
use crate::machine::host::Host;
use crate::machine::usage::Usage;
use crate::measure::tally::{Kind, Tally};

pub(crate) use figures::Figures;
use figures::Headline;
pub(crate) use ledger::Ledger;
use verdict::Verdict;

/// The run itself: what was done, with what, on what.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct About {
    pub(crate) scenario: &'static str,
    pub(crate) title: Option<String>,
    /// In a sentence or two.
    pub(crate) what: String,
    pub(crate) command: Vec<String>,
    /// As `--http` names it.
    pub(crate) http: &'static str,
    pub(crate) tls: bool,
    pub(crate) ack_range: bool,
    pub(crate) delivery_ack: bool,
    pub(crate) noise_transport: bool,
    pub(crate) payload: usize,
    pub(crate) window: u32,
    pub(crate) rate: Option<f64>,
    /// The clock decides when something is sent, and not what has come back.
    pub(crate) open_loop: bool,
    pub(crate) threads: usize,
    pub(crate) cores: Option<String>,
    pub(crate) sources: u32,
    pub(crate) relay: Relay,
    pub(crate) host: Host,
}

/// The relay that was met.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Relay {
    pub(crate) url: String,
    pub(crate) domain: Option<String>,
    pub(crate) pid: Option<u32>,
    pub(crate) spawned: bool,
    pub(crate) shards: Option<u16>,
    pub(crate) cores: Option<String>,
}

/// What idle sessions cost.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Held {
    pub(crate) connections: u64,
    pub(crate) lost: u64,
    /// Resident memory of the relay before the first session and with all of them, when its process was found.
    pub(crate) server_bytes_before: Option<u64>,
    pub(crate) server_bytes: Option<u64>,
    pub(crate) bytes_per_connection: Option<u64>,
}

impl Held {
    /// What each session added.
    pub(crate) fn each(before: Option<u64>, with_all: Option<u64>, connections: u64) -> Option<u64> {
        let grown = with_all?.saturating_sub(before?);
        grown.checked_div(connections)
    }
}

/// Whose processor time `cpu_seconds` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CpuOf {
    /// The relay's: it runs on this machine and could be found.
    Server,
    /// The load generator's own, for want of a relay to look at.
    Loadgen,
}

/// One run. Times in microseconds unless they say otherwise.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    #[serde(flatten)]
    pub(crate) about: About,
    pub(crate) sessions: u64,
    pub(crate) pairs: u32,
    pub(crate) both: bool,
    /// How long everybody took to connect.
    pub(crate) opening_seconds: f64,
    /// How long was measured.
    pub(crate) seconds: f64,
    /// Somebody ended it before its time.
    pub(crate) interrupted: bool,
    /// The scenario's main figures once more, at the top.
    #[serde(flatten)]
    pub(crate) headline: Option<Headline>,
    pub(crate) cpu_seconds: f64,
    pub(crate) cpu_of: CpuOf,
    pub(crate) loadgen_cpu_seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) messages: Option<Figures>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) voice: Option<Figures>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) handshakes: Option<Figures>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) calls: Option<Figures>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stored: Option<Figures>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) replayed: Option<Figures>,
    #[serde(flatten)]
    pub(crate) held: Option<Held>,
    pub(crate) ledger: Ledger,
    /// How late the load generator itself was with what was due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) own_lateness: Option<figures::Percentiles>,
    pub(crate) load: Usage,
    pub(crate) server: Option<Usage>,
    pub(crate) verdict: Verdict,
}

impl Report {
    /// Of sessions that talked.
    pub(crate) fn of_traffic(about: About, crowd: &Crowd, conducted: Conducted) -> Self {
        let mut report = Self::of(about, &conducted.tally, conducted.load, conducted.relay);
        report.sessions = crowd.sessions();
        (report.pairs, report.both) = (crowd.pairs, crowd.both);
        report.opening_seconds = round(conducted.opening_seconds);
        report.seconds = round(conducted.seconds);
        report.interrupted = conducted.interrupted;
        let cpu = report.server.as_ref().map(|usage| usage.cpu_seconds);
        let figures = |kind| Figures::of(conducted.tally.of(kind), conducted.seconds, cpu);
        report.messages = figures(Kind::Messages);
        report.voice = figures(Kind::Voice);
        report.handshakes = figures(Kind::Handshakes);
        report.calls = figures(Kind::Calls);
        if !report.has_one_subject() {
            // The relay's time went into several things, and nobody knows how much into which.
            for figures in [
                &mut report.messages,
                &mut report.voice,
                &mut report.handshakes,
                &mut report.calls,
            ] {
                figures.iter_mut().for_each(|figures| figures.per_cpu_second = None);
            }
        }
        let main = [&report.messages, &report.voice, &report.handshakes];
        report.headline = main
            .into_iter()
            .flatten()
            .next()
            .map(|figures| Headline::new(figures, &report.ledger, report.cpu_seconds));
        report
    }

    /// Of sessions that said nothing.
    pub(crate) fn of_idle(about: About, conducted: Conducted, held: Held) -> Self {
        let mut report = Self::of(about, &conducted.tally, conducted.load, conducted.relay);
        report.sessions = held.connections;
        report.opening_seconds = round(conducted.opening_seconds);
        report.seconds = round(conducted.seconds);
        // How it is meant to end.
        report.interrupted = false;
        report.held = Some(held);
        report
    }

    /// Of messages that were stored, then replayed. The processor times and the verdict are those of storing.
    pub(crate) fn of_offline(about: About, senders: u64, stored: Stored) -> Self {
        let Stored {
            tally,
            storing,
            replaying,
            ..
        } = stored;
        let cpu = |usage: &Option<Usage>| usage.as_ref().map(|usage| usage.cpu_seconds);
        let (storing_cpu, replaying_cpu) = (cpu(&storing.relay), cpu(&replaying.relay));
        let mut report = Self::of(about, &tally, storing.load, storing.relay);
        report.sessions = 2 * senders;
        report.opening_seconds = round(stored.opening_seconds);
        report.seconds = round(storing.seconds + replaying.seconds);
        report.interrupted = stored.interrupted;
        report.stored = Figures::of_acknowledged(tally.of(Kind::Messages), storing.seconds, storing_cpu);
        report.replayed = Figures::of(tally.of(Kind::Replays), replaying.seconds, replaying_cpu);
        report.headline = report
            .stored
            .as_ref()
            .map(|figures| Headline::new(figures, &report.ledger, report.cpu_seconds));
        report
    }

    fn of(about: About, tally: &Tally, load: Usage, server: Option<Usage>) -> Self {
        let (cpu_seconds, cpu_of) = match &server {
            Some(usage) => (usage.cpu_seconds, CpuOf::Server),
            None => (load.cpu_seconds, CpuOf::Loadgen),
        };
        Self {
            sessions: 0,
            pairs: 0,
            both: false,
            opening_seconds: 0.0,
            seconds: 0.0,
            interrupted: false,
            headline: None,
            cpu_seconds: round(cpu_seconds),
            cpu_of,
            loadgen_cpu_seconds: round(load.cpu_seconds),
            messages: None,
            voice: None,
            handshakes: None,
            calls: None,
            stored: None,
            replayed: None,
            held: None,
            ledger: Ledger::of(tally),
            own_lateness: figures::Percentiles::of(&tally.late),
            verdict: Verdict::judge(&load, server.as_ref(), about.open_loop),
            load,
            server,
            about,
        }
    }

    /// Whether the relay's processor time went into one kind of traffic.
    pub(crate) fn has_one_subject(&self) -> bool {
        let kinds = [&self.messages, &self.voice, &self.handshakes];
        kinds.into_iter().flatten().count() <= 1
    }

    /// Whether nothing was lost, doubled, changed or refused.
    pub(crate) fn is_clean(&self) -> bool {
        self.ledger.clean
    }

    /// Prints it, and writes the page when one was asked for.
    pub(crate) fn publish(&self, output: &Output) -> Result<(), LoadError> {
        if let Some(path) = &output.report {
            let written = std::fs::File::create(path).and_then(|mut file| file.write_all(page::page(self).as_bytes()));
            written.map_err(|error| LoadError::File {
                path: path.clone(),
                what: format!("the report cannot be written: {error}"),
            })?;
        }
        let text = match output.json {
            true => serde_json::to_string(self).map_err(|error| LoadError::Argument(error.to_string()))? + "\n",
            false => table::table(self),
        };
        let mut out = std::io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            // Whoever reads has seen enough.
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(LoadError::Io {
                doing: "print the report",
                source: error,
            }),
            _ => Ok(()),
        }
    }
}

/// To a thousandth.
pub(crate) fn round(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}
