//! The load: one thread, one loop over all connections, the same for every server.
//!
//! A turn reads every readable socket, then writes every connection that has something to say, once. It is a closed loop: a
//! sender has at most `window` messages on their way, and each arrival lets it send another.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use commucat_client::HttpVersion;
use commucat_client::tls::{TlsError, Trust, TrustError, client_config};
use commucat_proto::{ChannelId, DeviceId};
use hdrhistogram::Histogram;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::bare::Bare;
use super::ccp::Ccp;
use super::mqtt::Mqtt;
use super::nats::Nats;
use super::redis::Redis;
use super::server::Reach;
use super::speaker::{Speaker, SpeakerError, Stream};
use super::wire::Wire;
use super::{Peer, Variant};
use crate::bare::ALL;
use crate::cpu::{CpuError, cpu_ns};

/// One read.
const READ: usize = 64 * 1024;
/// From the first connection to the last subscription.
const ESTABLISH: Duration = Duration::from_secs(60);
/// Connections that are being established at once: fewer than any server's backlog.
const AT_ONCE: usize = 64;
/// In nanoseconds; what takes longer counts as this.
const LONGEST: u64 = 60_000_000_000;
/// What a time takes at the front of a payload.
const STAMP: usize = 8;

/// Why there is no figure.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The system.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// Why not.
        source: std::io::Error,
    },
    /// The server ended a connection.
    #[error("the server closed a connection")]
    Closed,
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// No TLS configuration.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The protocol.
    #[error(transparent)]
    Speaker(#[from] SpeakerError),
    /// The server's processor time cannot be had.
    #[error(transparent)]
    Cpu(#[from] CpuError),
    /// Not all connections came to be.
    #[error("{ready} of {wanted} connections were ready after {ESTABLISH:?}")]
    Slow {
        /// So many were.
        ready: usize,
        /// Of so many.
        wanted: usize,
    },
}

impl LoadError {
    pub(super) fn io(doing: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { doing, source }
    }
}

/// Who speaks to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Each of two speaks to the other, or only the first.
    Pairs {
        /// Pairs.
        count: usize,
        /// Both speak.
        both: bool,
    },
    /// The first speaks to all others.
    Fan {
        /// The others.
        recipients: usize,
    },
    /// One speaks to itself. Only a bare relay hands somebody back what it said.
    Echo,
}

impl Shape {
    fn connections(self) -> usize {
        match self {
            Self::Pairs { count, .. } => count * 2,
            Self::Fan { recipients } => recipients + 1,
            Self::Echo => 1,
        }
    }
}

/// What is asked of a run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Who speaks to whom.
    pub shape: Shape,
    /// Bytes of each message, at least eight.
    pub payload: usize,
    /// Messages that a sender has on their way.
    pub window: usize,
    /// One message in so many carries a time: to ask the clock costs as much as to queue a message.
    pub sample: u64,
    /// Before anything is counted.
    pub warm_up: Duration,
    /// While it is counted.
    pub measure: Duration,
}

/// What a run gave.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Messages that arrived; one to 1,000 recipients is 1,000.
    pub delivered: u64,
    /// How long that took.
    pub elapsed: Duration,
    /// Processor time of the server meanwhile.
    pub server_ns: u64,
    /// Processor time of this program meanwhile.
    pub load_ns: u64,
    /// From before a message was queued until it had been taken, in nanoseconds.
    pub latency: Histogram<u64>,
}

/// Connects, warms up, measures.
///
/// # Errors
/// When the server does not do as its protocol says, or ends a connection.
pub fn run(reach: &Reach, variant: Variant, plan: &Plan) -> Result<Figures, LoadError> {
    let mut load = Load::new(plan)?;
    load.establish(reach, variant)?;
    load.open();
    load.turns(plan.warm_up)?;
    load.delivered = 0;
    load.latency.reset();
    let (server, own) = (cpu_ns(reach.pid)?, cpu_ns(std::process::id())?);
    let begun = Instant::now();
    load.turns(plan.measure)?;
    let elapsed = begun.elapsed();
    Ok(Figures {
        delivered: load.delivered,
        elapsed,
        server_ns: cpu_ns(reach.pid)?.saturating_sub(server),
        load_ns: cpu_ns(std::process::id())?.saturating_sub(own),
        latency: load.latency,
    })
}

/// Connects so many that say nothing and keeps them until `held` returns.
///
/// # Errors
/// As [`run`].
pub fn hold<T>(reach: &Reach, variant: Variant, pairs: usize, held: impl FnOnce() -> T) -> Result<T, LoadError> {
    let mut load = Load::new(&Plan {
        shape: Shape::Pairs {
            count: pairs,
            both: true,
        },
        payload: STAMP,
        window: 0,
        sample: 1,
        warm_up: Duration::ZERO,
        measure: Duration::ZERO,
    })?;
    load.establish(reach, variant)?;
    Ok(held())
}

struct Load {
    shape: Shape,
    window: usize,
    sample: u64,
    payload: Vec<u8>,
    poll: Poll,
    wires: Vec<Wire>,
    /// Has something to say at the end of this turn.
    dirty: Vec<bool>,
    spoken: Vec<usize>,
    buffer: Vec<u8>,
    epoch: Instant,
    sent: u64,
    delivered: u64,
    /// Of a fan: all deliveries, and what was sent.
    fan_delivered: usize,
    fan_sent: usize,
    latency: Histogram<u64>,
}

impl Load {
    fn new(plan: &Plan) -> Result<Self, LoadError> {
        Ok(Self {
            shape: plan.shape,
            window: plan.window,
            sample: plan.sample.max(1),
            payload: vec![b'x'; plan.payload.max(STAMP)],
            poll: Poll::new().map_err(LoadError::io("make an epoll"))?,
            wires: Vec::new(),
            dirty: Vec::new(),
            spoken: Vec::new(),
            buffer: vec![0; READ],
            epoch: Instant::now(),
            sent: 0,
            delivered: 0,
            fan_delivered: 0,
            fan_sent: 0,
            // Three digits are more than a shared machine repeats.
            latency: Histogram::new_with_max(LONGEST, 3).unwrap_or_else(|_| unreachable!("such bounds are allowed")),
        })
    }

    fn establish(&mut self, reach: &Reach, variant: Variant) -> Result<(), LoadError> {
        let deadline = Instant::now() + ESTABLISH;
        let http = match variant.peer {
            Peer::CommuCat { http, .. } => http,
            _ => HttpVersion::Http1,
        };
        let tls = variant.tls.then(|| client_config(&Trust::Insecure, http)).transpose()?;
        let wanted = self.shape.connections();
        loop {
            let ready = self.wires.iter().filter(|wire| wire.speaker.is_ready()).count();
            if ready == wanted {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(LoadError::Slow { ready, wanted });
            }
            while self.wires.len() < wanted && self.wires.len() - ready < AT_ONCE {
                let index = self.wires.len();
                let speaker = speaker(reach, variant, self.shape, self.payload.len(), index)?;
                self.connect(reach.address(variant.tls), tls.as_ref(), speaker)?;
            }
            self.turn(Duration::from_millis(50))?;
        }
    }

    fn connect(
        &mut self,
        address: SocketAddr,
        tls: Option<&Arc<rustls::ClientConfig>>,
        speaker: Box<dyn Speaker>,
    ) -> Result<(), LoadError> {
        let mut socket = TcpStream::connect(address).map_err(LoadError::io("connect"))?;
        // Each write is all there is; waiting for more only adds latency.
        socket.set_nodelay(true).map_err(LoadError::io("set TCP_NODELAY"))?;
        let token = Token(self.wires.len());
        self.poll
            .registry()
            .register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)
            .map_err(LoadError::io("watch a socket"))?;
        self.wires.push(Wire::new(socket, tls, speaker)?);
        self.dirty.push(false);
        Ok(())
    }

    /// Every sender fills its window.
    fn open(&mut self) {
        match self.shape {
            Shape::Pairs { both, .. } => {
                for sender in 0..self.wires.len() {
                    if both || sender % 2 == 0 {
                        self.owe(sender, self.window);
                    }
                }
            }
            Shape::Fan { .. } => {
                self.fan_sent = self.window;
                self.owe(0, self.window);
            }
            Shape::Echo => self.owe(0, self.window),
        }
    }

    /// Turns for so long, and what is due at the end of each is written.
    fn turns(&mut self, how_long: Duration) -> Result<(), LoadError> {
        let end = Instant::now() + how_long;
        self.flush()?;
        while Instant::now() < end {
            self.turn(Duration::from_millis(50))?;
        }
        Ok(())
    }

    fn turn(&mut self, wait: Duration) -> Result<(), LoadError> {
        let mut events = Events::with_capacity(1024);
        match self.poll.poll(&mut events, Some(wait)) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => return Ok(()),
            other => other.map_err(LoadError::io("wait for sockets"))?,
        }
        for event in &events {
            let index = event.token().0;
            if event.is_readable() {
                self.read(index)?;
            }
            self.touch(index);
        }
        self.flush()
    }

    fn read(&mut self, index: usize) -> Result<(), LoadError> {
        let (epoch, latency) = (self.epoch, &mut self.latency);
        let mut count = 0;
        self.wires[index].read(&mut self.buffer, &mut |payload| {
            count += 1;
            if let Some(stamp) = payload.first_chunk::<STAMP>().map(|bytes| u64::from_le_bytes(*bytes))
                && stamp != 0
            {
                latency.saturating_record((epoch.elapsed().as_nanos() as u64).saturating_sub(stamp));
            }
        })?;
        if count > 0 {
            self.delivered += count as u64;
            self.arrived(index, count);
        }
        Ok(())
    }

    /// `count` messages have come to `index`: whoever sent them may send more.
    fn arrived(&mut self, index: usize, count: usize) {
        match self.shape {
            Shape::Pairs { .. } => self.owe(index ^ 1, count),
            Shape::Echo => self.owe(index, count),
            Shape::Fan { recipients } => {
                self.fan_delivered += count;
                let allowed = self.fan_delivered / recipients + self.window;
                self.owe(0, allowed - self.fan_sent);
                self.fan_sent = allowed;
            }
        }
    }

    /// `sender` says `count` more messages at the end of this turn.
    fn owe(&mut self, sender: usize, count: usize) {
        self.touch(sender);
        if self.spoken.len() < self.wires.len() {
            self.spoken.resize(self.wires.len(), 0);
        }
        self.spoken[sender] += count;
    }

    fn touch(&mut self, index: usize) {
        self.dirty[index] = true;
    }

    fn flush(&mut self) -> Result<(), LoadError> {
        for index in 0..self.wires.len() {
            if !std::mem::take(&mut self.dirty[index]) {
                continue;
            }
            let due = self.spoken.get_mut(index).map_or(0, std::mem::take);
            for _ in 0..due {
                self.sent += 1;
                let stamp = if self.sent.is_multiple_of(self.sample) {
                    self.epoch.elapsed().as_nanos() as u64
                } else {
                    0
                };
                self.payload[..STAMP].copy_from_slice(&stamp.to_le_bytes());
                self.wires[index].speaker.publish(&self.payload)?;
            }
            self.wires[index].write()?;
        }
        Ok(())
    }
}

/// What connection `index` speaks.
fn speaker(
    reach: &Reach,
    variant: Variant,
    shape: Shape,
    length: usize,
    index: usize,
) -> Result<Box<dyn Speaker>, LoadError> {
    let listen = match shape {
        Shape::Fan { .. } if index > 0 => "fan".to_owned(),
        _ => format!("d{index}"),
    };
    let speak = match shape {
        Shape::Pairs { .. } => format!("d{}", index ^ 1),
        Shape::Echo => listen.clone(),
        // A recipient has nobody who listens to it.
        Shape::Fan { .. } if index > 0 => "nobody".to_owned(),
        Shape::Fan { .. } => "fan".to_owned(),
    };
    Ok(match variant.peer {
        Peer::CommuCat { .. } => {
            let (channel, members) = match shape {
                Shape::Pairs { .. } => (index / 2 + 1, vec![device(index ^ 1)?]),
                Shape::Echo => {
                    return Err(LoadError::Speaker(SpeakerError::Garbled {
                        protocol: "CCP-1",
                        what: "nobody hears what they said themselves".to_owned(),
                    }));
                }
                Shape::Fan { .. } if index > 0 => (1, vec![device(0)?]),
                Shape::Fan { recipients } => (1, (1..=recipients).map(device).collect::<Result<_, _>>()?),
            };
            let channel = ChannelId::new(channel as u32);
            Box::new(Ccp::new(
                reach,
                variant.peer,
                device(index)?,
                channel,
                members,
                variant.tls,
            )?)
        }
        Peer::Nats => Box::new(Stream::new(Nats::new(&listen, &speak, length, variant.tls))),
        Peer::Redis => Box::new(Stream::new(Redis::new(&listen, &speak, length))),
        Peer::Bare(_) => {
            let to = match shape {
                Shape::Pairs { .. } => index as u32 ^ 1,
                Shape::Fan { .. } => ALL,
                Shape::Echo => index as u32,
            };
            Box::new(Stream::new(Bare::new(index as u32, to)))
        }
        Peer::Mosquitto => Box::new(Stream::new(Mqtt::new(&format!("c{index}"), &listen, &speak, length))),
    })
}

fn device(index: usize) -> Result<DeviceId, LoadError> {
    DeviceId::parse(&format!("peer-{index}")).map_err(|error| {
        LoadError::Speaker(SpeakerError::Garbled {
            protocol: "CCP-1",
            what: error.to_string(),
        })
    })
}
