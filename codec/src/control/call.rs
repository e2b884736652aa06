//! CALL_OFFER, CALL_ANSWER, CALL_END and CALL_STATS (CCP-1, Call Signaling and Media Transport).
//!
//! The relay acts on names, times and `accept`; the rest it reads only to hold senders to the shapes. What it relays
//! are the sender's own bytes.

use std::fmt;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::control::json::objects;
use crate::control::text::Text;
use crate::ids::{CallId, DeviceId};

/// Proposes a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct CallOffer {
    /// The call, named by the caller.
    pub call_id: CallId,
    /// The caller; must be the sender.
    pub from: DeviceId,
    /// The called.
    pub to: Vec<DeviceId>,
    /// What the caller can send and take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media: Option<Media>,
    /// Advice on paths beside the relay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport: Option<Transport>,
    /// Unix seconds after which nobody need answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
    /// Hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ephemeral_key: Option<Text>,
    /// The clients' own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
}

impl CallOffer {
    /// An offer that says no more than whom it calls.
    #[must_use]
    pub fn new(call_id: CallId, from: DeviceId, to: Vec<DeviceId>) -> Self {
        Self {
            call_id,
            from,
            to,
            media: None,
            transport: None,
            expires_at: None,
            ephemeral_key: None,
            metadata: None,
        }
    }
}

/// Accepts or declines it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct CallAnswer {
    /// Which call.
    pub call_id: CallId,
    /// Yes or no.
    pub accept: bool,
    /// What the answerer settles for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media: Option<Media>,
    /// Why not: `busy`, `decline`, `unsupported`, `timeout` or `error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text>,
    /// The clients' own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
}

impl CallAnswer {
    /// Yes.
    #[must_use]
    pub const fn accept(call_id: CallId) -> Self {
        Self {
            call_id,
            accept: true,
            media: None,
            reason: None,
            metadata: None,
        }
    }

    /// No, because of `reason`.
    #[must_use]
    pub fn decline(call_id: CallId, reason: &str) -> Self {
        Self {
            accept: false,
            reason: Some(Text::cut(reason)),
            ..Self::accept(call_id)
        }
    }
}

/// Ends it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct CallEnd {
    /// Which call.
    pub call_id: CallId,
    /// `hangup`, `cancel`, `failure` or `timeout`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text>,
    /// The clients' own, or the server's word that it speaks for a participant that is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
}

impl CallEnd {
    /// A participant's own word.
    #[must_use]
    pub fn new(call_id: CallId, reason: &str) -> Self {
        Self {
            call_id,
            reason: Some(Text::cut(reason)),
            metadata: None,
        }
    }

    /// What the server says for a participant whose connection ended.
    #[must_use]
    pub fn synthesized(call_id: CallId) -> Self {
        Self {
            call_id,
            reason: Some(Text::cut("failure")),
            metadata: Some(Metadata { system: Some(true) }),
        }
    }
}

/// Telemetry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct CallStats {
    /// Which call.
    pub call_id: CallId,
    /// `send` or `receive`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<Text>,
    /// Of the audio.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio: Option<AudioStats>,
    /// Of the video.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video: Option<VideoStats>,
    /// Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<u64>,
}

/// Codecs and duplex mode; every member is advice to the other client.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", default)]
pub struct Media {
    /// What of audio.
    pub audio: Option<Audio>,
    /// What of video; none is an audio call.
    pub video: Option<Video>,
    /// `full_duplex` or `half_duplex`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Text>,
}

/// Opus.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", default)]
pub struct Audio {
    /// `opus`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub codec: Option<Text>,
    /// Bits per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bitrate: Option<u32>,
    /// Hertz.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample_rate: Option<u32>,
    /// 1 is mono.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<u32>,
    /// Forward error correction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fec: Option<bool>,
    /// Silence is not sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dtx: Option<bool>,
}

/// VP8.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", default)]
pub struct Video {
    /// `vp8`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub codec: Option<Text>,
    /// Bits per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bitrate: Option<u32>,
    /// No larger pictures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_resolution: Option<Resolution>,
    /// Pictures per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame_rate: Option<f64>,
    /// Whether quality follows the path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adaptive: Option<bool>,
}

/// Pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Resolution {
    /// Across.
    pub width: u32,
    /// Down.
    pub height: u32,
}

/// Paths beside the relay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", default)]
pub struct Transport {
    /// Whether the relay is wanted all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefer_relay: Option<bool>,
    /// Where the caller might be reached.
    pub udp_candidates: Vec<Candidate>,
    /// Of the keys to expect there.
    pub fingerprints: Vec<Text>,
}

/// An address of the caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Candidate {
    /// An IP address.
    pub address: Text,
    /// Its port.
    pub port: u16,
    /// `udp`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Text>,
}

/// Measured; whole numbers or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", default)]
pub struct AudioStats {
    /// Bits per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bitrate: Option<f64>,
    /// A fraction of 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packet_loss: Option<f64>,
    /// Milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter_ms: Option<f64>,
    /// Milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<f64>,
}

/// Measured; whole numbers or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", default)]
pub struct VideoStats {
    /// Bits per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bitrate: Option<f64>,
    /// A fraction of 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packet_loss: Option<f64>,
    /// Milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter_ms: Option<f64>,
    /// As shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames_per_second: Option<f64>,
}

objects!(
    CallOffer, CallAnswer, CallEnd, CallStats, Media, Audio, Video, Resolution, Transport, Candidate, AudioStats,
    VideoStats
);

/// An object that belongs to the clients, `system` apart, which the server sets on what it says by itself. Clients
/// may put anything into it, also under that name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Metadata {
    /// Set on what the server synthesized.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<bool>,
}

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Metadata;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Metadata, A::Error> {
                let mut metadata = Metadata::default();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "system" {
                        metadata.system = map.next_value::<Flag>()?.known();
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(metadata)
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// A boolean, or something else that is none of our business.
#[derive(Deserialize)]
#[serde(untagged)]
enum Flag {
    Known(bool),
    Other(IgnoredAny),
}

impl Flag {
    fn known(self) -> Option<bool> {
        match self {
            Self::Known(value) => Some(value),
            Self::Other(_) => None,
        }
    }
}
