//! What each scenario takes beside what all of them take.

use std::time::Duration;

use clap::Args;

use super::common::{Common, Messages, Period, rate, seconds};

#[derive(Clone, Debug, Args)]
pub(crate) struct Pairs {
    /// Pairs of devices.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=500_000))]
    pub(crate) pairs: u32,
    /// Send in both directions of each pair.
    #[arg(long)]
    pub(crate) both: bool,
    #[command(flatten)]
    pub(crate) messages: Messages,
    #[command(flatten)]
    pub(crate) period: Period,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Fanout {
    /// Who receives each message.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) recipients: u32,
    #[command(flatten)]
    pub(crate) messages: Messages,
    #[command(flatten)]
    pub(crate) period: Period,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Groups {
    /// Groups.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) groups: u32,
    /// Members of each.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    pub(crate) members: u32,
    /// How many of them talk; all when not given.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) speakers: Option<u32>,
    #[command(flatten)]
    pub(crate) messages: Messages,
    #[command(flatten)]
    pub(crate) period: Period,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Calls {
    /// Calls at once.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500_000))]
    pub(crate) calls: u32,
    /// How long each lasts before it is ended and made again.
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    pub(crate) call_seconds: Duration,
    /// Bytes of each voice frame: 20 ms of Opus at 16 kbit/s are about 40, and as much again for what protects them.
    #[arg(long, default_value_t = 80, value_parser = clap::value_parser!(u32).range(24..=16_000))]
    pub(crate) voice: u32,
    #[command(flatten)]
    pub(crate) period: Period,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Idle {
    /// Sessions to hold.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) connections: u32,
    /// How long to hold them; until Ctrl-C when not given.
    #[arg(long, value_parser = seconds)]
    pub(crate) seconds: Option<Duration>,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Connect {
    /// Handshakes under way at once.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) concurrency: u32,
    /// Open loop: newcomers per second; as fast as they are let in when not given.
    #[arg(long, value_name = "N", value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// Each newcomer is a device that the relay has never seen and has to enrol.
    #[arg(long)]
    pub(crate) new_devices: bool,
    #[command(flatten)]
    pub(crate) period: Period,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Offline {
    /// Devices that are away, each with a sender of its own.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) recipients: u32,
    /// Messages stored for each.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) messages: u32,
    /// Bytes of each message.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(24..=16_000_000))]
    pub(crate) payload: u32,
    /// Closed loop: messages each sender keeps in flight until they are stored (fewer when they are large).
    #[arg(long, default_value_t = 256, conflicts_with = "rate", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) window: u32,
    /// Open loop: messages per second of all senders together.
    #[arg(long, value_name = "N", value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// Recipients that come back at once.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) concurrency: u32,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Mixed {
    /// Pairs that talk both ways.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(0..=500_000))]
    pub(crate) pairs: u32,
    /// Groups.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub(crate) groups: u32,
    /// Members of each group; all of them talk.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    pub(crate) members: u32,
    /// Calls at once, of five seconds each.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=500_000))]
    pub(crate) calls: u32,
    /// Sessions that say nothing.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub(crate) idle: u32,
    /// Newcomers per second.
    #[arg(long, value_name = "N", default_value = "50", value_parser = rate)]
    pub(crate) newcomers: f64,
    /// Messages per second of all pairs and groups together.
    #[arg(long, value_name = "N", default_value = "5000", value_parser = rate)]
    pub(crate) rate: f64,
    /// Bytes of each message.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(24..=16_000_000))]
    pub(crate) payload: u32,
    #[command(flatten)]
    pub(crate) period: Period,
    #[command(flatten)]
    pub(crate) common: Common,
}
