//! The result as one page that needs nothing but a browser: no script, no picture, no font from anywhere. It is written
//! as well-formed XML, and forbids itself to load anything.

mod chart;
mod markup;

use std::fmt::Write;

use super::Report;
use super::table::{Row, offers, rows};
use crate::machine::usage::Usage;
use crate::progress::thousands;
use markup::{Escaped, amount, quoted, time};

const STYLE: &str = include_str!("style.css");

/// Threads that did nothing worth a row.
const IDLE: f64 = 0.005;

/// All of it.
pub(super) fn page(report: &Report) -> String {
    let mut page = Page(String::with_capacity(64 * 1024));
    page.document(report);
    page.0
}

struct Page(String);

/// Appends to the page. Everything that comes from outside passes through [`Escaped`].
macro_rules! put {
    ($page:expr, $($part:tt)*) => {{
        // Writing to a string cannot fail.
        let _ = write!($page.0, $($part)*);
    }};
}

impl Page {
    fn document(&mut self, report: &Report) {
        let about = &report.about;
        let title = about
            .title
            .clone()
            .unwrap_or_else(|| format!("Load on a CommuCat relay: {}", about.scenario));
        let title = Escaped(&title);
        put!(
            self,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
             <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n"
        );
        put!(self, "<h1>{title}</h1>\n<p>{}</p>\n", Escaped(&about.what));
        put!(
            self,
            "<p class=\"soft\">{}; {:.1} s measured{}.</p>\n",
            Escaped(&about.host.began),
            report.seconds,
            if report.interrupted { ", then interrupted" } else { "" }
        );
        self.verdict(report);
        self.held(report);
        for row in rows(report) {
            self.kind(&row);
        }
        self.ledger(report);
        self.processor(report);
        self.conditions(report);
        self.meaning(report);
        put!(self, "</main>\n</body>\n</html>\n");
    }

    fn verdict(&mut self, report: &Report) {
        let class = match (report.ledger.clean, report.verdict.is_a_warning()) {
            (false, _) => "fault",
            (true, true) => "warns",
            (true, false) => "holds",
        };
        put!(self, "<div class=\"sheet verdict {class}\">\n");
        if report.ledger.clean {
            put!(self, "<p><b>Nothing was lost, doubled, overtaken or changed.</b></p>\n");
        } else {
            put!(
                self,
                "<p><b>Something went wrong: see the ledger below.</b> {}</p>\n",
                Escaped(report.ledger.first_trouble.as_deref().unwrap_or_default())
            );
        }
        put!(self, "<p>{}</p>\n", Escaped(&report.verdict.sentence));
        if !report.about.host.optimised {
            put!(
                self,
                "<p>The load generator was built without optimisation: these figures are no measurement.</p>\n"
            );
        }
        put!(self, "</div>\n");
    }

    fn held(&mut self, report: &Report) {
        let Some(held) = &report.held else { return };
        let mebibytes = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
        let mut tiles = vec![
            (thousands(held.connections), "sessions held".to_owned()),
            (thousands(held.lost), "of them lost".to_owned()),
        ];
        if let Some(each) = held.bytes_per_connection {
            tiles.push((thousands(each), "bytes of the relay for each".to_owned()));
        }
        if let (Some(before), Some(with_all)) = (held.server_bytes_before, held.server_bytes) {
            let what = format!("resident with all, {} before", mebibytes(before));
            tiles.push((mebibytes(with_all), what));
        }
        self.tiles(&tiles);
    }

    fn tiles(&mut self, tiles: &[(String, String)]) {
        put!(self, "<div class=\"tiles\">");
        for (value, what) in tiles {
            put!(
                self,
                "<div class=\"tile\"><b>{}</b><span>{}</span></div>",
                Escaped(value),
                Escaped(what)
            );
        }
        put!(self, "</div>\n");
    }

    fn kind(&mut self, row: &Row<'_>) {
        let Row { name, figures, .. } = *row;
        let mut heading = name.to_owned();
        heading[..1].make_ascii_uppercase();
        put!(self, "<section>\n<h2>{}</h2>\n", Escaped(&heading));
        let mut tiles = vec![
            (amount(figures.per_second), format!("{name} per second")),
            (thousands(figures.delivered), "counted".to_owned()),
        ];
        let main = figures.latency.as_ref().or(figures.ack.as_ref());
        if let Some(latency) = main {
            tiles.push((time(latency.p50_us), "half took at most".to_owned()));
            tiles.push((time(latency.p99_us), "99 % took at most".to_owned()));
        }
        if let Some(rate) = figures.per_cpu_second {
            tiles.push((amount(rate), "per second of relay processor time".to_owned()));
        }
        self.tiles(&tiles);
        self.latencies(row);
        put!(self, "<div class=\"sheet\">\n");
        if let Some(latency) = main {
            self.figure(
                &chart::percentiles(latency),
                "Latency by percentile. Read it from the right: at 99 %, one in a hundred took longer than the line.",
            );
        }
        self.figure(
            &chart::heat(&figures.timeline),
            "Latency over time. Each column is a moment, each row a latency; the stronger a cell, the more of those that were \
             due then took that long. A steady band is a steady relay; a cloud above it is a hiccup.",
        );
        self.figure(
            &chart::throughput(&figures.timeline),
            "How many arrived per second, over time.",
        );
        put!(self, "</div>\n</section>\n");
    }

    fn latencies(&mut self, row: &Row<'_>) {
        let figures = row.figures;
        put!(
            self,
            "<div class=\"sheet wide\"><table>\n<tr><th>Latency</th><th>least</th><th>mean</th><th>50 %</th><th>90 %</th>\
             <th>99 %</th><th>99.9 %</th><th>99.99 %</th><th>most</th></tr>\n"
        );
        for (name, latency) in [(row.until, &figures.latency), ("until the relay's ACK", &figures.ack)] {
            let Some(latency) = latency else { continue };
            put!(self, "<tr><td>{name}</td>");
            for us in [
                latency.min_us,
                latency.mean_us,
                latency.p50_us,
                latency.p90_us,
                latency.p99_us,
                latency.p999_us,
                latency.p9999_us,
                latency.max_us,
            ] {
                put!(self, "<td>{}</td>", time(us));
            }
            put!(self, "</tr>\n");
        }
        put!(self, "</table></div>\n");
    }

    /// A picture of ours, which is markup already.
    fn figure(&mut self, svg: &str, caption: &str) {
        put!(
            self,
            "<figure>{svg}<figcaption>{}</figcaption></figure>\n",
            Escaped(caption)
        );
    }

    fn ledger(&mut self, report: &Report) {
        let ledger = &report.ledger;
        put!(self, "<section>\n<h2>Ledger</h2>\n<div class=\"sheet wide\"><table>\n");
        if ledger.owed > 0 {
            put!(
                self,
                "<tr><td>messages owed to recipients, warm-up included</td><td>{}</td></tr>\n\
                 <tr><td>messages that arrived</td><td>{}</td></tr>\n",
                thousands(ledger.owed),
                thousands(ledger.delivered)
            );
        }
        if ledger.calls_ended > 0 {
            put!(
                self,
                "<tr><td>calls from offer to end</td><td>{}</td></tr>\n",
                thousands(ledger.calls_ended)
            );
        }
        for (count, name, fault) in ledger.lines() {
            let class = if fault && count > 0 { " class=\"fault\"" } else { "" };
            put!(
                self,
                "<tr{class}><td>{}</td><td>{}</td></tr>\n",
                Escaped(name),
                thousands(count)
            );
        }
        put!(self, "</table></div>\n</section>\n");
    }

    fn processor(&mut self, report: &Report) {
        put!(
            self,
            "<section>\n<h2>Processor time</h2>\n<div class=\"sheet wide\"><table>\n\
             <tr><th>Thread</th><th>on a core</th><th></th><th>waiting for one</th><th>seconds</th></tr>\n"
        );
        let programs = [
            ("relay", report.server.as_ref()),
            ("load generator", Some(&report.load)),
        ];
        for (program, usage) in programs {
            let Some(usage) = usage else { continue };
            self.threads(program, usage);
        }
        put!(self, "</table>\n");
        if report.server.is_none() {
            put!(self, "<p>The relay's process was not found on this machine.</p>\n");
        } else if let Some(headline) = report.headline.as_ref().filter(|_| report.has_one_subject()) {
            put!(
                self,
                "<p>{} ns of the relay's processor time for each delivered.</p>\n",
                thousands(headline.cpu_ns_per_delivered as u64)
            );
        }
        put!(self, "</div>\n</section>\n");
    }

    fn threads(&mut self, program: &str, usage: &Usage) {
        for thread in usage.threads.iter().filter(|thread| thread.busy >= IDLE) {
            let percent = |share: f64| share * 100.0;
            put!(
                self,
                "<tr><td>{program}: {}</td><td>{:.0} %</td><td><div class=\"bar\"><i style=\"width:{:.0}%\"></i></div></td>\
                 <td>{:.0} %</td><td>{:.2}</td></tr>\n",
                Escaped(&thread.thread),
                percent(thread.busy),
                percent(thread.busy).min(100.0),
                percent(thread.waiting),
                thread.cpu_seconds
            );
        }
    }

    fn conditions(&mut self, report: &Report) {
        let (about, host) = (&report.about, &report.about.host);
        let command: Vec<String> = about.command.iter().map(|argument| quoted(argument)).collect();
        let on = |cores: &Option<String>| {
            cores
                .as_ref()
                .map_or_else(String::new, |cores| format!(", on cores {cores}"))
        };
        let relay = &about.relay;
        let shards = relay
            .shards
            .map_or_else(String::new, |shards| format!(", {shards} shards"));
        let started = if relay.spawned {
            "started for this run"
        } else {
            "was running"
        };
        let tls = if about.tls { "TLS 1.3" } else { "no TLS" };
        let messages = report.messages.is_some() || report.stored.is_some();
        let pace = match (about.rate, about.open_loop) {
            (Some(rate), _) => format!("open loop, {rate} a second"),
            (None, true) if report.held.is_some() => "nobody sends".to_owned(),
            (None, true) => "open loop, as the scenario says".to_owned(),
            (None, false) if messages => format!("closed loop, at most {} in flight for each sender", about.window),
            (None, false) => "closed loop: the next when one is done".to_owned(),
        };
        let facts = [
            ("Command", command.join(" ")),
            (
                "Relay",
                format!("{} ({started}{shards}{})", relay.url, on(&relay.cores)),
            ),
            ("Carried by", format!("HTTP {}, {tls}{}", about.http, offers(report))),
            ("Pace", pace),
            ("Message", format!("{} bytes", about.payload)),
            (
                "Sessions",
                format!(
                    "{}, opened in {:.1} s",
                    thousands(report.sessions),
                    report.opening_seconds
                ),
            ),
            (
                "Load",
                format!(
                    "{} threads{}, from {} source addresses; loadgen {}",
                    about.threads,
                    on(&about.cores),
                    about.sources,
                    host.version
                ),
            ),
            (
                "Machine",
                format!(
                    "{}, {} cores, {} MiB of memory",
                    host.processor,
                    host.cores,
                    thousands(host.memory_mib)
                ),
            ),
            ("System", format!("Linux {}", host.kernel)),
        ];
        put!(
            self,
            "<section>\n<h2>What ran, on what</h2>\n<div class=\"sheet\"><dl>\n"
        );
        for (name, value) in facts {
            if name == "Message" && !messages {
                continue;
            }
            let value = Escaped(&value);
            match name {
                "Command" => put!(self, "<dt>{name}</dt><dd><code>{value}</code></dd>\n"),
                _ => put!(self, "<dt>{name}</dt><dd>{value}</dd>\n"),
            }
        }
        put!(self, "</dl></div>\n</section>\n");
    }

    fn meaning(&mut self, report: &Report) {
        put!(self, "<section>\n<h2>How to read this</h2>\n<div class=\"sheet\">\n");
        if report.held.is_some() {
            put!(
                self,
                "<p>What a session costs is the growth of the relay's resident memory from before these sessions (a few \
                 others had come and left) to when all of them had settled, divided by their number. The kernel's memory for sockets is not in it.</p>\n"
            );
        } else {
            self.clocks(report);
        }
        put!(
            self,
            "<p>Processor time is that of the threads while measuring. A thread that is on a core for nine tenths of the time \
             has no more to give: that program was the limit. A thread that waits for a core shares it with something else, \
             and the latencies are partly that something's.</p>\n</div>\n</section>\n"
        );
    }

    /// What is timed, and from when to when.
    fn clocks(&mut self, report: &Report) {
        let clock = match report.about.open_loop {
            true => {
                "The pace was given (an open loop): the clock of whatever is measured starts when it was due, not when it left, so \
                 that a relay that falls behind cannot hide it."
            }
            false => {
                "The clock of each message starts when its sender hands it to TLS. Where senders wait for deliveries (a \
                 closed loop), a relay that slows down is also sent less: read throughput and latency together."
            }
        };
        put!(
            self,
            "<p>{}</p>\n<p>It stops when the recipient, in the same process and by the same clock, has decrypted and checked the message: \
             one way through the relay. The time until the relay's ACK is that of a round trip, with the relay's promise that \
             the message is delivered or stored.</p>\n\
             <p>Every message carries its number and its flow's mark. The ledger is closed after the last one had time to \
             arrive: what is missing is lost, what came twice or after later ones is counted, whatever the latency.</p>\n",
            Escaped(clock)
        );
        if let Some(late) = &report.own_lateness {
            put!(
                self,
                "<p>The load generator itself sent what was due {} late in half of the cases, and at most {} in 99 %; latencies \
                 include that.</p>\n",
                time(late.p50_us),
                time(late.p99_us)
            );
        }
    }
}
