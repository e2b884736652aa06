//! Attacks below HTTP: connections, handshakes, heads that never end.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::TcpStream;

use commucat_client::HttpVersion;

use super::Striker;
use super::link::{Link, Target};

/// Connections that are held at once: an eighth of what a shard takes by default.
const SILENT: usize = 2_000;
/// Heads that trickle in at once.
const SLOW: usize = 200;

/// Connects and never speaks; the oldest goes when there are too many.
pub(super) struct Silent {
    target: Target,
    held: VecDeque<TcpStream>,
}

pub(super) fn silent(target: &Target) -> io::Result<Box<dyn Striker>> {
    Ok(Box::new(Silent {
        target: target.clone(),
        held: VecDeque::new(),
    }))
}

impl Striker for Silent {
    fn strike(&mut self) -> io::Result<&'static str> {
        self.held.push_back(self.target.dial()?);
        if self.held.len() > SILENT {
            self.held.pop_front();
        }
        Ok("a connection")
    }
}

struct Handshakes(Target);

/// A whole TLS handshake, and away.
pub(super) fn handshakes(target: &Target) -> io::Result<Box<dyn Striker>> {
    Ok(Box::new(Handshakes(target.clone())))
}

impl Striker for Handshakes {
    fn strike(&mut self) -> io::Result<&'static str> {
        Link::open(&self.0, HttpVersion::Http2)?;
        Ok("a handshake")
    }
}

struct Old {
    target: Target,
    hello: Vec<u8>,
}

/// A ClientHello of TLS 1.2.
pub(super) fn old_tls(target: &Target) -> io::Result<Box<dyn Striker>> {
    // supported_groups, ec_point_formats, signature_algorithms; no supported_versions (RFC 5246 § 7.4.1.2).
    let extensions = b"\x00\x0a\x00\x06\x00\x04\x00\x17\x00\x1d\x00\x0b\x00\x02\x01\x00\
        \x00\x0d\x00\x08\x00\x06\x04\x03\x08\x04\x04\x01";
    let suites = b"\x00\x00\x08\xc0\x2b\xc0\x2c\xc0\x2f\xc0\x30\x01\x00";
    let length = |bytes: usize| (bytes as u16).to_be_bytes();
    let body = [
        b"\x03\x03".as_slice(),
        &[0x5a; 32],
        suites,
        &length(extensions.len()),
        extensions,
    ]
    .concat();
    let handshake = [b"\x01\x00".as_slice(), &length(body.len()), &body].concat();
    Ok(Box::new(Old {
        target: target.clone(),
        hello: [b"\x16\x03\x01".as_slice(), &length(handshake.len()), &handshake].concat(),
    }))
}

impl Striker for Old {
    fn strike(&mut self) -> io::Result<&'static str> {
        let mut socket = self.target.dial()?;
        socket.write_all(&self.hello)?;
        let mut said = [0; 7];
        socket.read_exact(&mut said)?;
        // RFC 8446 § 6: a fatal alert.
        Ok(if said == *b"\x15\x03\x03\x00\x02\x02\x46" {
            "alert protocol_version"
        } else {
            "something else"
        })
    }
}

struct SlowHeads {
    target: Target,
    links: VecDeque<Link>,
}

/// Requests whose heads grow by a byte at a time, in turn.
pub(super) fn slow_heads(target: &Target) -> io::Result<Box<dyn Striker>> {
    let mut slow = SlowHeads {
        target: target.clone(),
        links: VecDeque::new(),
    };
    for _ in 0..SLOW {
        slow.begin()?;
    }
    Ok(Box::new(slow))
}

impl SlowHeads {
    fn begin(&mut self) -> io::Result<()> {
        let mut link = Link::open(&self.target, HttpVersion::Http1)?;
        link.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ")?;
        self.links.push_back(link);
        Ok(())
    }
}

impl Striker for SlowHeads {
    fn strike(&mut self) -> io::Result<&'static str> {
        let Some(mut link) = self.links.pop_front() else {
            self.begin()?;
            return Ok("a new connection");
        };
        if link.write(b"y").is_err() {
            self.begin()?;
            return Ok("the end of a connection");
        }
        self.links.push_back(link);
        Ok("a byte taken")
    }
}
