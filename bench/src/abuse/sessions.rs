//! Attacks on the tunnel: HELLOs that lead nowhere, replays, broken JSON, rosters, streams of crumbs.

use std::io;

use commucat_client::{HttpVersion, OsEntropy, Pattern, StaticKey};
use commucat_crypto::{DEFAULT_PROLOGUE, Initiator, InitiatorHello};
use commucat_tests::wire::{self, Seen, frame, kind, varint};

use super::Striker;
use super::link::{Link, Target};

const CONNECT: &[u8] = b"POST /connect HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n";

/// An open `/connect` over HTTP/1.1.
struct Tunnel {
    link: Link,
    body: Vec<u8>,
    sequence: u64,
}

impl Tunnel {
    fn open(target: &Target) -> io::Result<Self> {
        let mut link = Link::open(target, HttpVersion::Http1)?;
        match link.ask(CONNECT)? {
            200 => Ok(Self {
                link,
                body: Vec::new(),
                sequence: 0,
            }),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    fn say(&mut self, kind: u8, channel: u64, payload: &[u8]) -> io::Result<()> {
        self.sequence += 1;
        let bytes = frame(kind, channel, self.sequence, payload);
        self.link
            .write(&[format!("{:x}\r\n", bytes.len()).as_bytes(), &bytes, b"\r\n"].concat())
    }

    fn hear(&mut self) -> io::Result<Seen> {
        loop {
            while self.chunk() {}
            if let Some(seen) = wire::take(&mut self.body) {
                return Ok(seen);
            }
            self.link.pull()?;
        }
    }

    /// Takes a whole chunk off the connection.
    fn chunk(&mut self) -> bool {
        let plain = &mut self.link.plain;
        let Some(line) = plain.windows(2).position(|two| two == b"\r\n") else {
            return false;
        };
        let size = std::str::from_utf8(&plain[..line]).ok();
        let Some(size) = size.and_then(|text| usize::from_str_radix(text, 16).ok()) else {
            return false;
        };
        let (start, end) = (line + 2, line + 2 + size);
        if plain.len() < end + 2 {
            return false;
        }
        self.body.extend_from_slice(&plain[start..end]);
        plain.drain(..end + 2);
        size > 0
    }

    /// A ready session.
    fn session(target: &Target, device: &str) -> io::Result<Self> {
        let (state, hello) = hello(target, device, Pattern::Xk)?;
        let mut tunnel = Self::open(target)?;
        tunnel.say(kind::HELLO, 0, hello.as_bytes())?;
        let auth: serde_json::Value = serde_json::from_slice(&tunnel.hear()?.payload)?;
        let message = hex(auth["handshake"].as_str().unwrap_or_default());
        let (ready, _) = state.read_auth(&message).map_err(io::Error::other)?;
        let (proof, _) = ready.proof().map_err(io::Error::other)?;
        tunnel.say(
            kind::AUTH,
            0,
            format!(r#"{{"handshake":"{}"}}"#, unhex(&proof)).as_bytes(),
        )?;
        match tunnel.hear()?.kind {
            kind::ACK => Ok(tunnel),
            _ => Err(io::ErrorKind::PermissionDenied.into()),
        }
    }
}

fn hello(target: &Target, device: &str, pattern: Pattern) -> io::Result<(InitiatorHello, String)> {
    let key = StaticKey::generate(&mut OsEntropy);
    let started = Initiator::start(pattern, &key, target.noise, DEFAULT_PROLOGUE, &mut OsEntropy);
    let (state, message) = started.map_err(io::Error::other)?;
    let hello = format!(
        r#"{{"pattern":"{}","device_id":"{device}","client_static":"{}","handshake":"{}","supported_versions":[1]}}"#,
        pattern.name(),
        key.public(),
        unhex(&message)
    );
    Ok((state, hello))
}

fn unhex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hex(text: &str) -> Vec<u8> {
    let digits = text
        .as_bytes()
        .chunks(2)
        .filter_map(|two| std::str::from_utf8(two).ok());
    digits.filter_map(|two| u8::from_str_radix(two, 16).ok()).collect()
}

fn named(seen: &Seen) -> &'static str {
    let text = String::from_utf8_lossy(&seen.payload).into_owned();
    let titles = [
        "Invalid Control Payload",
        "Handshake Failed",
        "Roster Too Large",
        "Frame Timeout",
        "Control Payload Too Large",
    ];
    match seen.kind {
        kind::AUTH => "one AUTH",
        kind::ACK => "an ACK",
        _ => titles
            .into_iter()
            .find(|title| text.contains(title))
            .unwrap_or("another ERROR"),
    }
}

/// HELLO after HELLO, each on a connection of its own.
struct Hellos {
    target: Target,
    payload: Box<dyn Fn() -> io::Result<Vec<u8>>>,
}

impl Striker for Hellos {
    fn strike(&mut self) -> io::Result<&'static str> {
        let payload = (self.payload)()?;
        let mut tunnel = Tunnel::open(&self.target)?;
        tunnel.say(kind::HELLO, 0, &payload)?;
        Ok(named(&tunnel.hear()?))
    }
}

fn hellos(target: &Target, payload: impl Fn() -> io::Result<Vec<u8>> + 'static) -> Box<dyn Striker> {
    Box::new(Hellos {
        target: target.clone(),
        payload: Box::new(payload),
    })
}

/// Fresh ones that are never proven.
pub(super) fn unproven(target: &Target) -> io::Result<Box<dyn Striker>> {
    let whom = target.clone();
    Ok(hellos(target, move || {
        Ok(hello(&whom, "flood", Pattern::Xk)?.1.into_bytes())
    }))
}

/// A recorded message 1 of IK.
pub(super) fn replay(target: &Target) -> io::Result<Box<dyn Striker>> {
    let recorded = hello(target, "recorded", Pattern::Ik)?.1.into_bytes();
    Ok(hellos(target, move || Ok(recorded.clone())))
}

/// As deep as a control payload is long.
pub(super) fn deep_json(target: &Target) -> io::Result<Box<dyn Striker>> {
    Ok(hellos(target, || Ok(vec![b'['; 262_144])))
}

/// A string that is no UTF-8, as long as a control payload may be.
pub(super) fn no_utf8(target: &Target) -> io::Result<Box<dyn Striker>> {
    let payload = [b"{\"device_id\":\"".as_slice(), &vec![0xff; 262_000], b"\"}"].concat();
    Ok(hellos(target, move || Ok(payload.clone())))
}

/// JOINs of as many names as a channel may have, none of them anybody's.
struct Rosters {
    target: Target,
    tunnel: Option<Tunnel>,
    channel: u64,
}

pub(super) fn rosters(target: &Target) -> io::Result<Box<dyn Striker>> {
    Ok(Box::new(Rosters {
        target: target.clone(),
        tunnel: None,
        channel: 0,
    }))
}

impl Striker for Rosters {
    fn strike(&mut self) -> io::Result<&'static str> {
        let mut tunnel = match self.tunnel.take() {
            Some(tunnel) => tunnel,
            None => Tunnel::session(&self.target, &format!("roster-{}-{}", std::process::id(), self.channel))?,
        };
        self.channel += 1;
        let names: Vec<String> = (0..4096)
            .map(|at| format!("\"nobody-{}-{at}\"", self.channel))
            .collect();
        let join = format!(r#"{{"members":[{}],"relay":true}}"#, names.join(","));
        tunnel.say(kind::JOIN, self.channel, join.as_bytes())?;
        let seen = tunnel.hear()?;
        if seen.kind == kind::ACK {
            self.tunnel = Some(tunnel);
        }
        Ok(named(&seen))
    }
}

/// A frame of 16 MiB in chunks of one octet, a thousand of them in a write.
struct Crumbs {
    target: Target,
    tunnel: Tunnel,
    left: usize,
}

const CRUMBS: usize = 1000;

pub(super) fn crumbs(target: &Target) -> io::Result<Box<dyn Striker>> {
    let device = format!("crumbs-{}", std::process::id());
    let mut crumbs = Crumbs {
        target: target.clone(),
        tunnel: Tunnel::session(target, &device)?,
        left: 0,
    };
    crumbs.announce()?;
    Ok(Box::new(crumbs))
}

impl Crumbs {
    fn announce(&mut self) -> io::Result<()> {
        let payload = (16 << 20) - 64;
        let head = [vec![kind::MSG], varint(1), varint(4), varint(payload)].concat();
        let bytes = [varint(head.len() as u64 + payload), head].concat();
        let chunk = [format!("{:x}\r\n", bytes.len()).as_bytes(), &bytes, b"\r\n"].concat();
        // Never to its end: then it would be a frame, and judged.
        self.left = payload as usize / CRUMBS - 1;
        self.tunnel.link.write(&chunk)
    }
}

impl Striker for Crumbs {
    fn strike(&mut self) -> io::Result<&'static str> {
        let crumbs = b"1\r\nx\r\n".repeat(CRUMBS);
        if self.left == 0 || self.tunnel.link.write(&crumbs).is_err() {
            let device = format!("crumbs-{}-{}", std::process::id(), self.tunnel.sequence);
            self.tunnel = Tunnel::session(&self.target, &device)?;
            self.announce()?;
            return Ok("a new session");
        }
        self.left -= 1;
        Ok("1,000 octets taken")
    }
}
