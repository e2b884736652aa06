//! A session behind TLS, as it stands on a socket, against rustls' own server and the fake relay, in memory.

use std::io::{Read, Write};
use std::sync::Arc;

use commucat_client::tls::{Tls, Trust, client_config};
use commucat_client::{ClientError, Connection, HttpVersion, Incoming, Link};
use commucat_proto::{ChannelId, FrameType};
use rustls::ServerConnection;
use rustls::pki_types::ServerName;

use crate::relay::{ChunkedServer, Fault, Relay, Seeded, config};
use crate::tls::{TLS13, certificate};

const CHANNEL: ChannelId = ChannelId::new(4);

struct Pair {
    link: Link,
    tls: ServerConnection,
    http: ChunkedServer,
    relay: Relay,
    cuts: Seeded,
}

impl Pair {
    fn new(seed: u64, alpn: &[&[u8]]) -> Self {
        let certificate = certificate(&format!("link-{seed}"), alpn, TLS13);
        let relay = Relay::new(seed, Fault::None);
        let mut config = config(&relay, seed + 1);
        config.secure = true;
        let connection = Connection::new(config, &mut Seeded::new(seed + 2)).expect("a usable key");
        let trust = client_config(&Trust::File(certificate.pem.clone()), HttpVersion::Http1).expect("a certificate");
        let name = ServerName::try_from("localhost").expect("a name");
        let link = Link::secure(connection, Tls::new(trust, name).expect("a client"));
        let tls = ServerConnection::new(Arc::clone(&certificate.config)).expect("a server");
        Self {
            link,
            tls,
            http: ChunkedServer::default(),
            relay,
            cuts: Seeded::new(seed + 3),
        }
    }

    /// Moves bytes until nothing moves; `out` is what the client wants to send first.
    fn run(&mut self, mut out: Vec<u8>) -> Result<Vec<Incoming>, ClientError> {
        let mut events = Vec::new();
        loop {
            while let Some(event) = self.link.connection().next_event()? {
                events.push(event.into());
            }
            self.link.transmit(&mut out)?;
            let mut back = self.serve(&std::mem::take(&mut out));
            if back.is_empty() {
                return Ok(events);
            }
            let mut rest = back.as_mut_slice();
            while !rest.is_empty() {
                let length = (1 + self.cuts.below(900)).min(rest.len());
                let (piece, after) = rest.split_at_mut(length);
                self.link.receive(piece, &mut out)?;
                while let Some(event) = self.link.connection().next_event()? {
                    events.push(event.into());
                }
                rest = after;
            }
        }
    }

    fn serve(&mut self, mut wire: &[u8]) -> Vec<u8> {
        let (mut plain, mut back) = (Vec::new(), Vec::new());
        while !wire.is_empty() {
            self.tls.read_tls(&mut wire).expect("memory");
            self.tls.process_new_packets().expect("our TLS is right");
            let _ = self.tls.reader().read_to_end(&mut plain);
        }
        let (body, mut answer) = self.http.receive(&plain);
        answer.extend(ChunkedServer::chunk(&self.relay.body(&body)));
        if self.http.ended {
            answer.extend(b"0\r\n\r\n");
            self.http.ended = false;
            self.tls.writer().write_all(&answer).expect("buffered");
            self.tls.send_close_notify();
        } else {
            self.tls.writer().write_all(&answer).expect("buffered");
        }
        while self.tls.wants_write() {
            self.tls.write_tls(&mut back).expect("memory");
        }
        back
    }
}

#[test]
fn a_session_behind_tls_is_established_talks_and_ends_cleanly() {
    for seed in 0..10 {
        let mut pair = Pair::new(seed, &[b"http/1.1"]);
        let events = pair.run(Vec::new()).expect("the handshake succeeds");
        assert!(matches!(events.as_slice(), [Incoming::Ready]), "{events:?}");
        pair.link
            .connection()
            .send(FrameType::Msg, CHANNEL, b"behind TLS")
            .expect("ready");
        let events = pair.run(Vec::new()).expect("no error");
        assert!(matches!(
            events.as_slice(),
            [Incoming::Acknowledged { .. }, Incoming::Frame { payload, .. }] if payload == b"behind TLS"
        ));
        let mut out = Vec::new();
        pair.link.close(&mut out).expect("ready");
        let events = pair.run(out).expect("no error");
        assert!(
            matches!(events.as_slice(), [Incoming::Ended { clean: true }]),
            "{events:?}"
        );
    }
}

#[test]
fn a_server_without_alpn_is_taken_to_speak_http_1() {
    let mut pair = Pair::new(50, &[]);
    let events = pair.run(Vec::new()).expect("the handshake succeeds");
    assert!(matches!(events.as_slice(), [Incoming::Ready]), "{events:?}");
}
