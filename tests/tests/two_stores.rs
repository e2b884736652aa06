//! The relay on PostgreSQL and Redis: what is promised survives, and what becomes of everything else while one of the two
//! servers is stopped, stands still, or comes back.

use std::time::{Duration, Instant};

use commucat_client::{Acks, Config, HttpVersion};
use commucat_tests::curl::curl;
use commucat_tests::operator::until;
use commucat_tests::people::{BOTH, Device, PATIENCE, Peer};
use commucat_tests::relay::{Home, Relay};
use commucat_tests::servers::{Databases, OwnServers, Servers};
use commucat_tests::stage::{Stage, Store};
use serde_json::Value;

const CHANNEL: u32 = 7;

/// Waits soon noticed, so that a test sees them through.
const QUICK: &str = "[store]\ntimeout = \"1s\"\nconnect_timeout = \"1s\"\n";

/// The status of `/readyz`.
fn readiness(relay: &Relay) -> u16 {
    curl(&[&format!("{}/readyz", relay.url())]).unwrap().status
}

fn until_ready(relay: &Relay, status: u16) {
    let started = Instant::now();
    while readiness(relay) != status {
        assert!(started.elapsed() < PATIENCE, "never {status}: {}", relay.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Why the relay could not keep the next acknowledged frame for `device`.
fn rejection(peer: &mut Peer, device: &Device) -> String {
    let acked = peer.acked();
    let body = acked
        .body
        .unwrap_or_else(|| panic!("{:?} was accepted", acked.sequence));
    assert_eq!(body.rejected, std::slice::from_ref(&device.id), "{body:?}");
    body.reason.as_ref().map(ToString::to_string).unwrap_or_default()
}

/// Says `text` to somebody who is away, until the relay can promise to keep it.
fn say_until_kept(peer: &mut Peer, channel: u32, text: &str) {
    let started = Instant::now();
    loop {
        peer.send(channel, text);
        if peer.acked().body.is_none() {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "never kept");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn own_servers() -> (OwnServers, Stage) {
    let servers = OwnServers::start();
    let stage = Stage::among(servers.servers(), QUICK);
    (servers, stage)
}

/// Alice, who speaks to bob on [`CHANNEL`] and to carol on the next one; bob, who hears; carol, who has been here and is
/// away.
fn with_carol_away(stage: &Stage) -> (Peer, Peer, Device) {
    let (alice, bob, carol) = (Device::new("alice"), Device::new("bob"), Device::new("carol"));
    carol.connect(stage, HttpVersion::Http1).bye();
    let hears = bob.connect(stage, HttpVersion::Http2);
    let mut speaks = alice.connect(stage, HttpVersion::Http1);
    speaks.join(CHANNEL, [&bob]);
    speaks.join(CHANNEL + 1, [&carol]);
    (speaks, hears, carol)
}

#[test]
fn what_was_acknowledged_is_delivered_after_kill_9() {
    let mut stage = Stage::on(Store::Postgres, "");
    let (alice, bob) = (Device::new("alice"), Device::new("bob"));
    bob.connect(&stage, HttpVersion::Http1).bye();
    for (life, http) in BOTH.into_iter().enumerate() {
        let mut sender = alice.connect(&stage, http);
        sender.join(CHANNEL, [&bob]);
        for number in 0..50 {
            sender.send(CHANNEL, format!("{life}-{number}"));
        }
        for _ in 0..50 {
            assert_eq!(sender.acked().body, None);
        }
        stage.take().kill();
        stage.start();
        let mut reader = bob.connect(&stage, http);
        for number in 0..50 {
            reader.hears(&format!("{life}-{number}"));
        }
        reader.bye();
    }
    let databases = stage.databases();
    let queued = "SELECT count(*) FROM relay_queue WHERE key = 'inbox:bob'";
    let started = Instant::now();
    while databases.sql(queued) != "0" {
        assert!(started.elapsed() < PATIENCE, "delivered frames stay queued");
        std::thread::sleep(Duration::from_millis(50));
    }
    let offset = databases.sql("SELECT channel, last_id FROM inbox_offset WHERE key = 'inbox:bob'");
    assert!(offset.ends_with("|100"), "the last envelope delivered: {offset}");
    assert_eq!(
        databases.sql("SELECT frames, bytes, last_id FROM inbox WHERE key = 'inbox:bob'"),
        "0|0|100"
    );
    let audit = databases.sql("SELECT device_id, kind FROM device_key_event ORDER BY event_id");
    assert_eq!(audit, "bob|approved\nalice|approved");
}

#[test]
fn with_postgresql_gone_live_traffic_flows_and_senders_to_the_absent_are_told_until_it_is_back() {
    let (servers, stage) = own_servers();
    let (mut speaks, mut hears, carol) = with_carol_away(&stage);
    speaks.say(CHANNEL + 1, "kept");
    until_ready(&stage, 200);
    for round in 0..2 {
        servers.stop_postgres();
        speaks.say(CHANNEL, format!("live {round}"));
        hears.hears(&format!("live {round}"));
        let asked = Instant::now();
        speaks.send(CHANNEL + 1, "lost");
        assert_eq!(rejection(&mut speaks, &carol), "store unavailable");
        assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
        until_ready(&stage, 503);
        servers.start_postgres();
        until_ready(&stage, 200);
        say_until_kept(&mut speaks, CHANNEL + 1, &format!("kept {round}"));
    }
    let mut back = carol.connect(&stage, HttpVersion::Http2);
    for text in ["kept", "kept 0", "kept 1"] {
        back.hears(text);
    }
    let log = stage.log();
    assert!(log.contains("connected again"), "{log}");
    stage.end();
}

#[test]
fn a_postgresql_that_stands_still_is_noticed_and_used_again_when_it_moves() {
    let (servers, stage) = own_servers();
    let (mut speaks, mut hears, carol) = with_carol_away(&stage);
    servers.pause_postgres();
    speaks.send(CHANNEL + 1, "perhaps");
    speaks.say(CHANNEL, "live");
    hears.hears("live");
    assert_eq!(rejection(&mut speaks, &carol), "store unavailable");
    until_ready(&stage, 503);
    // By now nobody waits for it.
    let asked = Instant::now();
    speaks.send(CHANNEL + 1, "lost");
    assert_eq!(rejection(&mut speaks, &carol), "store unavailable");
    assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
    servers.resume_postgres();
    until_ready(&stage, 200);
    say_until_kept(&mut speaks, CHANNEL + 1, "kept");
    let mut back = carol.connect(&stage, HttpVersion::Http2);
    // What was refused may have been done nevertheless; it is not in the way.
    while back.hear().text() != "kept" {}
    stage.end();
}

#[test]
fn who_speaks_to_somebody_whose_inbox_waits_for_the_store_is_told_and_talks_on_with_others() {
    let (servers, stage) = own_servers();
    let (mut speaks, mut hears, carol) = with_carol_away(&stage);
    let config = Config {
        capabilities: vec!["delivery-ack".to_owned()],
        acks: Acks::ByHand,
        ..carol.config(&stage, HttpVersion::Http2)
    };
    let mut never_says_so = carol.connect_with(&stage, config).unwrap();
    speaks.say(CHANNEL + 1, "heard, and not acknowledged");
    never_says_so.hears("heard, and not acknowledged");
    servers.stop_postgres();
    drop(never_says_so);
    // Until the relay has noticed, her connection is live; then what she has not acknowledged is owed to her inbox.
    let started = Instant::now();
    let mut taken = 0;
    let refused = loop {
        assert!(started.elapsed() < PATIENCE, "never refused");
        speaks.send(CHANNEL + 1, format!("{taken}"));
        match speaks.acked().body {
            None => taken += 1,
            Some(body) => break body,
        }
    };
    assert_eq!(refused.rejected, std::slice::from_ref(&carol.id));
    speaks.say(CHANNEL, "live");
    hears.hears("live");
    servers.start_postgres();
    until_ready(&stage, 200);
    let mut back = carol.connect(&stage, HttpVersion::Http1);
    back.hears("heard, and not acknowledged");
    for number in 0..taken {
        back.hears(&number.to_string());
    }
    stage.end();
}

/// What Redis says of a device, once it says this state.
fn until_presence(stage: &Stage, device: &str, state: &str) -> Value {
    let started = Instant::now();
    loop {
        let text = stage.databases().redis(&["GET", &format!("presence:{device}")]);
        if let Ok(document) = serde_json::from_str::<Value>(&text)
            && document["state"] == state
        {
            return document;
        }
        assert!(started.elapsed() < PATIENCE, "never {state}: {text}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn who_is_there_and_who_has_gone_stands_in_redis() {
    let stage = Stage::on(Store::Postgres, "");
    let alice = Device::new("alice");
    for http in BOTH {
        let peer = alice.connect(&stage, http);
        let online = until_presence(&stage, "alice", "online");
        let handle = stage.databases().sql("SELECT handle FROM user_profile");
        assert_eq!(
            (&online["entity"], &online["user"]["handle"]),
            (&"alice".into(), &handle.into())
        );
        let left: i64 = stage.databases().redis(&["PTTL", "presence:alice"]).parse().unwrap();
        assert!(left > 0, "an entry ends by itself: {left}");
        peer.bye();
        until_presence(&stage, "alice", "offline");
    }
    stage.end();
}

#[test]
fn with_redis_gone_messages_are_as_ever() {
    let servers = OwnServers::start();
    let stage = Stage::among(servers.servers(), "[limits]\npresence_ttl = \"4s\"\n");
    let (alice, bob, carol) = (Device::new("alice"), Device::new("bob"), Device::new("carol"));
    carol.connect(&stage, HttpVersion::Http1).bye();
    servers.stop_redis();
    let mut hears = bob.connect(&stage, HttpVersion::Http2);
    let mut speaks = alice.connect(&stage, HttpVersion::Http1);
    speaks.join(CHANNEL, [&bob]);
    speaks.join(CHANNEL + 1, [&carol]);
    speaks.say(CHANNEL, "live");
    hears.hears("live");
    speaks.say(CHANNEL + 1, "kept");
    assert_eq!(readiness(&stage), 200);
    carol.connect(&stage, HttpVersion::Http2).hears("kept");
    // Who has come and gone meanwhile is told to nobody, and that is counted.
    until(&stage, |now| now.sum("commucat_presence_lost_total", &[]) >= 3.0);
    servers.start_redis();
    speaks.say(CHANNEL, "still");
    hears.hears("still");
    // An empty Redis hears again who is there, with the next round.
    until_presence(&stage, "alice", "online");
    stage.end();
}

#[test]
fn a_database_whose_certificate_nobody_vouches_for_is_refused_and_the_password_stays_unsaid() {
    let databases = Databases::new(&Servers::shared());
    let home = Home::with(databases.environment());
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.pem");
    let made = std::process::Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", "/CN=another authority", "-keyout", "/dev/null", "-out"])
        .arg(&other)
        .output()
        .unwrap();
    assert!(made.status.success());
    let wrong = home.run(&[], &[("COMMUCAT_STORE_POSTGRES_CA", other.to_str().unwrap())]);
    assert!(!wrong.status.success());
    assert!(wrong.stderr.contains("certificate"), "{}", wrong.stderr);
    let missing = home.run(&["--check"], &[("COMMUCAT_STORE_REDIS_CA", "/nowhere/ca.pem")]);
    assert_eq!(missing.status.code(), Some(2), "{}", missing.stderr);
    assert!(missing.stderr.contains("/nowhere/ca.pem"), "{}", missing.stderr);
    let checked = home.run(&["--check"], &[]);
    assert!(checked.status.success(), "{}", checked.stderr);
    assert!(checked.stdout.contains("commucat:***@localhost"), "{}", checked.stdout);
    let (status, log) = home.start(&["--shards", "1", "--log", "json"]).terminate();
    assert!(status.success(), "{log}");
    for said in [&wrong.stderr, &missing.stderr, &checked.stdout, &log] {
        assert!(!said.contains(databases.password()), "{said}");
    }
}

#[test]
fn a_schema_that_is_not_this_servers_is_said_to_be_so() {
    let databases = Databases::new(&Servers::shared());
    let home = Home::with(databases.environment());
    let refused = home.run(&[], &[("COMMUCAT_STORE_MIGRATE", "false")]);
    assert!(!refused.status.success());
    assert!(refused.stderr.contains("migrate it"), "{}", refused.stderr);
    let doctor = home.cli(&["doctor"]);
    assert!(doctor.stdout.contains("migrate it"), "{doctor:?}");
    let migrated = home.cli(&["migrate", "--json"]);
    assert!(migrated.status.success(), "{migrated:?}");
    assert_eq!(
        (&migrated.json()["store"], &migrated.json()["version"]),
        (&"postgres".into(), &2.into())
    );
    let doctor = home.cli(&["doctor"]);
    for server in [
        "PostgreSQL at postgres://commucat:***@",
        "Redis at rediss://default:***@",
    ] {
        assert!(doctor.stdout.contains(server), "{doctor:?}");
    }
    assert!(home.start(&["--shards", "1"]).terminate().0.success());
    let (status, log) = home.start(&["--shards", "1"]).terminate();
    assert!(status.success() && !log.contains("migrated"), "{log}");
    databases.sql("INSERT INTO schema_version (version) VALUES (9999)");
    let refused = home.run(&[], &[]);
    assert!(!refused.status.success());
    assert!(refused.stderr.contains("newer server"), "{}", refused.stderr);
}
