//! Where the relay is, whom to believe, and how to speak to it.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use commucat_client::{Endpoint, HttpVersion, Pattern, PublicKey};

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
    #[value(name = "1.1", alias = "1")]
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
            Self::One => "1.1",
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
