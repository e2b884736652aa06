//! What an idle session holds on the heap of the pure shard, over TLS: a number that does not depend on the machine.
//!
//! One test, since the allocator counts for the whole process.

use std::alloc::System;
use std::net::SocketAddr;
use std::sync::Arc;

use commucat_bench::{pair, store};
use commucat_client::tls::{Tls, Trust, client_config};
use commucat_client::{Config, Connection, Event, HttpVersion, OsEntropy, StaticKey};
use commucat_proto::DeviceId;
use commucat_shard::Shard;
use commucat_shard::clock::{Moment, Now, Wall};
use commucat_shard::config::ShardConfig;
use commucat_shard::conn::tls::server_config;
use commucat_shard::effect::Effects;
use commucat_shard::input::{ConnId, Input, Listener};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Tables of so many entries are full to more than three quarters: what they cost per session is near its mean.
const SESSIONS: u32 = 200;
/// Turns of a handshake; it takes fewer.
const TURNS: usize = 12;
/// Between two turns.
const TURN_MICROS: u64 = 1_000;
/// Until an idle session has given back what its handshake took.
const QUIET_MICROS: u64 = 30_000_000;

struct World {
    shard: Shard,
    at: Moment,
    /// What the shard took from the allocator and has not given back.
    held: i64,
}

/// What a client has for one session.
struct Guest {
    conn: ConnId,
    tls: Tls,
    session: Connection,
    /// Sealed, on its way to the shard.
    wire: Vec<u8>,
    ready: bool,
}

impl World {
    fn counted(&mut self, work: impl FnOnce(&mut Shard, Moment, &mut Effects)) -> Effects {
        let mut effects = Effects::default();
        let region = Region::new(ALLOCATOR);
        work(&mut self.shard, self.at, &mut effects);
        let change = region.change();
        let bytes = |number: usize| i64::try_from(number).expect("a size");
        self.held += bytes(change.bytes_allocated) - bytes(change.bytes_deallocated);
        effects
    }

    /// What has come is handled, the store answers, and the turn ends.
    fn turn(&mut self, input: Option<Input<'_>>) -> Vec<(ConnId, Vec<u8>)> {
        let effects = self.counted(|shard, at, effects| {
            if let Some(input) = input {
                shard.handle(at, input, effects);
            }
            if shard.deadline().is_some_and(|deadline| deadline <= at.now) {
                shard.handle(at, Input::Expired, effects);
            }
            loop {
                shard.flush(at, effects);
                let asked = std::mem::take(&mut effects.store);
                if asked.is_empty() {
                    break;
                }
                for submission in &asked {
                    shard.handle(at, Input::Stored(store::answer(submission)), effects);
                }
            }
        });
        self.at.now.0 += TURN_MICROS;
        effects.sends
    }

    fn establish(&mut self, guest: &mut Guest) {
        let peer = SocketAddr::from(([127, 0, 0, 1], 50_000));
        let listener = Listener::Tls;
        self.turn(Some(Input::Accepted {
            conn: guest.conn,
            peer,
            listener,
        }));
        guest.tls.start(&mut guest.wire).expect("a ClientHello");
        for _ in 0..TURNS {
            let mut bytes = std::mem::take(&mut guest.wire);
            let input = Input::Received {
                conn: guest.conn,
                bytes: &mut bytes,
            };
            let input = Some(input).filter(|input| !matches!(input, Input::Received { bytes, .. } if bytes.is_empty()));
            for (conn, buffer) in self.turn(input) {
                guest.hear(&buffer);
                self.turn(Some(Input::Sent { conn, buffer }));
            }
            guest.speak();
        }
        assert!(guest.ready, "the session stands");
    }
}

impl Guest {
    fn hear(&mut self, sealed: &[u8]) {
        let (mut sealed, mut plain) = (sealed.to_vec(), Vec::new());
        self.tls
            .receive(&mut sealed, &mut self.wire, |bytes| plain.extend_from_slice(bytes))
            .expect("a relay that keeps to the protocol");
        self.session.receive(&plain);
        while let Some(event) = self.session.next_event().expect("a session that nobody ends") {
            self.ready |= matches!(event, Event::Ready(_));
        }
    }

    fn speak(&mut self) {
        let mut plain = Vec::new();
        if self.tls.is_ready() {
            self.session.transmit(&mut plain);
        }
        if !plain.is_empty() {
            self.tls.seal(&plain, &mut self.wire).expect("an open connection");
        }
    }
}

/// Bytes per session once all of them have been silent for a while.
fn bytes_per_session(http: HttpVersion) -> i64 {
    let key = StaticKey::generate(&mut OsEntropy);
    let public = key.public();
    let mut world = World {
        shard: Shard::new(shard_config(key), Box::new(OsEntropy)),
        at: Moment {
            now: Now(1_000_000),
            wall: Wall(1_800_000_000_000),
        },
        held: 0,
    };
    let tls = client_config(&Trust::Insecure, http).expect("no roots are needed");
    let mut guests: Vec<Guest> = (0..SESSIONS)
        .map(|slot| {
            let device = DeviceId::parse(&format!("idle-{slot}")).expect("a name");
            let mut config = Config::new(device, StaticKey::generate(&mut OsEntropy), public);
            config.http = http;
            config.authority = "relay.example".to_owned();
            let name = ServerName::try_from("localhost").expect("a name");
            Guest {
                conn: ConnId { slot, generation: 0 },
                tls: Tls::new(Arc::clone(&tls), name).expect("a usable configuration"),
                session: Connection::new(config, &mut OsEntropy).expect("a usable key"),
                wire: Vec::new(),
                ready: false,
            }
        })
        .collect();
    for guest in &mut guests {
        world.establish(guest);
    }
    for _ in 0..4 {
        world.at.now.0 += QUIET_MICROS / 4;
        assert!(world.turn(None).is_empty(), "nobody says anything");
    }
    world.held / i64::from(SESSIONS)
}

fn shard_config(noise_key: StaticKey) -> ShardConfig {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a name");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    ShardConfig {
        tls: Some(server_config(vec![made.cert.der().clone()], key).expect("a certificate and its key")),
        ..pair::shard_config(noise_key)
    }
}

#[test]
fn an_idle_session_over_tls_holds_little() {
    for (http, limit) in [(HttpVersion::Http1, 5_100), (HttpVersion::Http2, 5_400)] {
        let bytes = bytes_per_session(http);
        println!("{http:?}: {bytes} bytes for each session, at most {limit}");
        assert!(bytes <= limit, "{http:?}: {bytes} bytes, more than {limit}");
    }
}
