//! The command line. What several commands take stands once, in `reach` and `common`.

mod common;
mod reach;
mod scenarios;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use commucat_proto::DeviceId;

pub(crate) use common::{Common, Messages, Output, Period};
pub(crate) use reach::{Offer, Reach};
pub(crate) use scenarios::{Calls, Connect, Fanout, Groups, Idle, Mixed, Offline, Pairs};

/// Talks to a CommuCat relay: as a person, or as many.
#[derive(Debug, Parser)]
#[command(name = "loadgen", version, about, after_help = MEASURED)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What the figures are.
const MEASURED: &str = "\
What is measured: a message's latency is the time from the moment its sender hands it to TLS to the moment its recipient,
in this process and by the same clock, has decrypted and checked it: one way, through the relay. The round trip (ack) is the
time from the same moment until the relay's ACK is read. With --rate the clock starts when the message was due, so that a
relay that falls behind cannot hide it. Every message is checked on arrival: lost, doubled, overtaken or changed ones are
counted, and end the command with exit code 1. The processor time of both programs is told, and which of them was the limit.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Two people talk: each line typed is sent to the other, who may be away.
    Chat(Chat),
    /// Pairs of devices exchange messages.
    #[command(alias = "run", after_help = MEASURED)]
    Pairs(Pairs),
    /// One sender, many recipients.
    #[command(after_help = MEASURED)]
    Fanout(Fanout),
    /// Groups are made, members invited, and talk.
    #[command(after_help = MEASURED)]
    Groups(Groups),
    /// Calls of two: offered, answered, fifty voice frames a second from each, ended, and again.
    #[command(after_help = MEASURED)]
    Calls(Calls),
    /// Sessions that say nothing are held: what does each cost the relay?
    Idle(Idle),
    /// Newcomers connect, are accepted, and leave: TLS, Noise and the ready ACK, so many a second.
    Connect(Connect),
    /// Messages are stored for devices that are away; then these come and take them.
    Offline(Offline),
    /// A bit of everything at once.
    #[command(after_help = MEASURED)]
    Mixed(Mixed),
}

#[derive(Debug, Args)]
pub(crate) struct Chat {
    /// Who you are: the same name on the same machine is the same device again.
    #[arg(long)]
    pub(crate) device: DeviceId,
    /// Who you talk to.
    #[arg(long)]
    pub(crate) to: DeviceId,
    /// Where the keys of your devices are kept, one file each.
    #[arg(long, value_name = "DIR", default_value = "commucat-client")]
    pub(crate) keys: PathBuf,
    /// Send this line instead of reading lines (may be repeated), then end.
    #[arg(long, value_name = "TEXT")]
    pub(crate) message: Vec<String>,
    /// End once this many lines have been received.
    #[arg(long, value_name = "N")]
    pub(crate) receive: Option<u64>,
    /// After the last line was acknowledged, stay this long for answers.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0)]
    pub(crate) linger: f64,
    /// Give up, with exit code 1, when this much time has passed.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) timeout: Option<f64>,
    #[command(flatten)]
    pub(crate) reach: Reach,
}
