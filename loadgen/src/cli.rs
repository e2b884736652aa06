//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use commucat_client::{Endpoint, HttpVersion, Pattern, PublicKey};
use commucat_proto::DeviceId;

/// Talks to a CommuCat relay: as a person, or as many.
#[derive(Debug, Parser)]
#[command(name = "loadgen", version, about)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Two people talk: each line typed is sent to the other, who may be away.
    Chat(Chat),
    /// Pairs of devices exchange messages as fast as the relay takes them, and the delivery is measured.
    ///
    /// What is measured: a frame's latency (p50_us, p99_us, p999_us) is the time from the moment its sender hands it to TLS
    /// to the moment its recipient, in the same process and by the same clock, has decrypted and checked it: one way,
    /// through the relay. The round trip (ack_p50_us, …) is the time from the same moment until the relay's ACK is read. With
    /// --rate the clock starts when the frame was due, so that a relay that falls behind cannot hide it. Both directions
    /// pass real TLS 1.3. `lost` is what had not arrived when the drain period ended.
    Run(Run),
    /// Holds sessions that say nothing, to measure what each costs the relay.
    Idle(Idle),
}

/// Where the relay is and whom to believe.
#[derive(Clone, Debug, Args)]
pub(crate) struct Reach {
    /// The relay.
    #[arg(long, default_value = "https://127.0.0.1:8443")]
    pub(crate) url: Endpoint,
    /// Believe any certificate: for development and measurements only.
    #[arg(long)]
    pub(crate) insecure: bool,
    /// Believe the certificates in this PEM file alone. For a relay on this machine the default is the development
    /// certificate in ./commucat-data/tls/cert.pem, when it exists; else the system's authorities.
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub(crate) ca: Option<PathBuf>,
    /// The relay's Noise key; asked of /api/server-info when it is not given.
    #[arg(long, value_name = "HEX")]
    pub(crate) server_key: Option<PublicKey>,
    /// What carries the tunnel.
    #[arg(long, value_enum, default_value_t = Http::One)]
    pub(crate) http: Http,
    /// The Noise pattern of the handshake.
    #[arg(long, value_enum, default_value_t = Noise::Xk)]
    pub(crate) pattern: Noise,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Http {
    /// HTTP/1.1, chunked
    #[value(name = "1")]
    One,
    /// HTTP/2
    #[value(name = "2")]
    Two,
    /// WebSocket, by upgrade of HTTP/1.1
    #[value(name = "ws")]
    Socket,
    /// WebSocket on a stream of HTTP/2
    #[value(name = "ws2")]
    SocketTwo,
}

impl Http {
    /// As `--http` names it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::One => "1",
            Self::Two => "2",
            Self::Socket => "ws",
            Self::SocketTwo => "ws2",
        }
    }
}

impl From<Http> for HttpVersion {
    fn from(http: Http) -> Self {
        match http {
            Http::One => Self::Http1,
            Http::Two => Self::Http2,
            Http::Socket => Self::WebSocket1,
            Http::SocketTwo => Self::WebSocket2,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Noise {
    /// Three messages
    Xk,
    /// Two messages and a proof
    Ik,
}

impl From<Noise> for Pattern {
    fn from(noise: Noise) -> Self {
        match noise {
            Noise::Xk => Self::Xk,
            Noise::Ik => Self::Ik,
        }
    }
}

/// Extensions of the protocol that sessions offer.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Offer {
    /// Offer to acknowledge many frames at once (the ack-range extension).
    #[arg(long)]
    pub(crate) ack_range: bool,
    /// Offer to acknowledge to the relay what is received (the delivery-ack extension).
    #[arg(long)]
    pub(crate) delivery_ack: bool,
    /// Offer to send every frame inside Noise messages, within TLS (the noise-transport extension).
    #[arg(long)]
    pub(crate) noise_transport: bool,
}

impl Offer {
    /// For those who take whatever the relay has.
    pub(crate) const EVERYTHING: Self = Self {
        ack_range: true,
        delivery_ack: true,
        noise_transport: true,
    };

    /// As HELLO has it.
    pub(crate) fn capabilities(self) -> Vec<String> {
        [
            (self.ack_range, "ack-range"),
            (self.delivery_ack, "delivery-ack"),
            (self.noise_transport, "noise-transport"),
        ]
        .into_iter()
        .filter(|(offered, _)| *offered)
        .map(|(_, name)| name.to_owned())
        .collect()
    }
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

#[derive(Clone, Debug, Args)]
pub(crate) struct Run {
    /// Pairs of devices.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) pairs: u32,
    /// Bytes of each message.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(24..=16_000_000))]
    pub(crate) payload: u32,
    /// How long to measure.
    #[arg(long, default_value_t = 10.0)]
    pub(crate) seconds: f64,
    /// How long to send before measuring.
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    pub(crate) warmup: f64,
    /// Messages each sender keeps in flight until they are delivered (fewer when they are large).
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) window: u32,
    /// Send in both directions of each pair.
    #[arg(long)]
    pub(crate) both: bool,
    #[command(flatten)]
    pub(crate) offer: Offer,
    /// Messages per second of all pairs together, on a schedule that does not wait for deliveries. What is due leaves by a
    /// tick of one millisecond, and the wait for the tick is part of the latency.
    #[arg(long, value_name = "N")]
    pub(crate) rate: Option<u64>,
    /// Threads of the load generator; half the cores when not given.
    #[arg(long)]
    pub(crate) threads: Option<usize>,
    /// Start a relay for this run: commucat-server beside this program, with an empty data directory.
    #[arg(long, conflicts_with_all = ["url", "insecure", "ca", "server_key"])]
    pub(crate) spawn: bool,
    /// Shards of the spawned relay; its own default when not given.
    #[arg(long, requires = "spawn")]
    pub(crate) shards: Option<usize>,
    /// Print one JSON object instead of text.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Idle {
    /// Sessions to hold.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) connections: usize,
    /// How long to hold them; until Ctrl-C when not given.
    #[arg(long)]
    pub(crate) seconds: Option<f64>,
    /// Handshakes under way at once.
    #[arg(long, default_value_t = 64)]
    pub(crate) concurrency: usize,
    #[command(flatten)]
    pub(crate) offer: Offer,
    /// Start a relay for this: commucat-server beside this program, with an empty data directory.
    #[arg(long, conflicts_with_all = ["url", "insecure", "ca", "server_key"])]
    pub(crate) spawn: bool,
    /// Shards of the spawned relay; its own default when not given.
    #[arg(long, requires = "spawn")]
    pub(crate) shards: Option<usize>,
    /// Print one JSON object instead of text.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) reach: Reach,
}
