//! When a batch waits for the disk, what upkeep leaves behind, and how inboxes are counted a few at a time.

use commucat_proto::{ChannelId, FrameType, GroupId, Handle, UserId};
use tempfile::TempDir;

use super::*;
use crate::api::{
    Envelope, GroupRequest, PairingClaim, PairingOffer, PresenceEntry, PresenceRequest, Profile, RowId, Selector,
    TokenHash,
};

fn opened() -> (TempDir, Engine) {
    let folder = tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap();
    Tables::create(folder.path()).unwrap();
    let engine = open(&folder);
    (folder, engine)
}

fn open(folder: &TempDir) -> Engine {
    let options = Options {
        disk_reserve: 0,
        ..Options::default()
    };
    Engine::open(folder.path(), options).unwrap()
}

fn device(name: &str) -> DeviceId {
    DeviceId::parse(name).unwrap()
}

fn profile(name: &str) -> Profile {
    Profile {
        id: UserId::parse(name).unwrap(),
        handle: Handle::parse(name).unwrap(),
        display_name: None,
        avatar_url: None,
    }
}

fn founding(name: &str) -> Request {
    Request::Found {
        device: device(name),
        static_key: [1; 32],
        profile: profile(name),
        at: Wall(1),
    }
}

fn append(name: &str, payload: &'static str) -> Request {
    Request::Append {
        device: device(name),
        envelope: Envelope {
            kind: FrameType::Msg,
            channel: ChannelId::new(1),
            payload: payload.into(),
            expires_at: Wall(u64::MAX),
        },
    }
}

fn read(name: &str) -> Request {
    Request::ReadInbox {
        device: device(name),
        after: RowId(0),
        max_rows: 9,
        max_bytes: 9,
        now: Wall(1),
    }
}

fn open_session(name: &str, token: u8, expires_at: u64) -> Request {
    Request::Account(AccountRequest::OpenSession {
        token: TokenHash([token; 32]),
        device: device(name),
        static_key: [1; 32],
        expires_at: Wall(expires_at),
    })
}

fn find_session(token: u8) -> Request {
    Request::Account(AccountRequest::FindSession {
        token: TokenHash([token; 32]),
        now: Wall(1),
    })
}

fn online(name: &str) -> Request {
    Request::Presence(PresenceRequest::Set(vec![PresenceEntry {
        device: device(name),
        state: "online".to_owned(),
        expires_at: Wall(9),
        user: profile(name),
    }]))
}

fn offer(name: &str, n: u8, expires_at: u64) -> Request {
    Request::Account(AccountRequest::OfferPairing(PairingOffer {
        selector: Selector([n; 8]),
        secret: [n; 32],
        user: profile(name).id,
        issuer: device(name),
        issued_at: Wall(1),
        expires_at: Wall(expires_at),
    }))
}

fn revoke(name: &str) -> Request {
    Request::Account(AccountRequest::RevokeDevice {
        user: profile(name).id,
        device: device(name),
        at: Wall(2),
    })
}

/// How often `batch` waits for the disk.
fn waits(engine: &mut Engine, batch: &[Request]) -> u64 {
    let before = engine.waits;
    let answers = engine.execute(batch).unwrap();
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    engine.waits - before
}

#[test]
fn a_batch_waits_for_the_disk_once_when_anybody_waits_for_it() {
    let (_folder, mut engine) = opened();
    assert_eq!(waits(&mut engine, &[founding("ada"), founding("bob")]), 1);
    let free = [
        open_session("ada", 1, 9),
        open_session("ada", 2, 9),
        find_session(1),
        online("ada"),
        read("ada"),
        Request::Depth,
    ];
    assert_eq!(waits(&mut engine, &free), 0);
    engine.upkeep(Wall(1)).unwrap();
    assert_eq!(waits(&mut engine, &[read("ada"), find_session(2)]), 0);
    // The append is in the tables before the read, and nothing is staged at the end.
    assert_eq!(waits(&mut engine, &[append("ada", "x"), read("ada")]), 1);
    assert_eq!(waits(&mut engine, &[open_session("bob", 3, 9), append("bob", "x")]), 1);
    assert_eq!(
        waits(
            &mut engine,
            &[append("bob", "x"), open_session("bob", 4, 9), find_session(4)]
        ),
        1
    );
    assert_eq!(waits(&mut engine, &[Request::Probe]), 1);
    let group = GroupId::parse("none").unwrap();
    let refused = [Request::Group(GroupRequest::Load { group }), open_session("eve", 1, 9)];
    let before = engine.waits;
    assert!(engine.execute(&refused).unwrap().iter().all(Result::is_err));
    assert_eq!(engine.waits, before);
}

#[test]
fn a_wrong_secret_is_on_the_disk_before_it_is_refused() {
    let (_folder, mut engine) = opened();
    waits(&mut engine, &[founding("ada"), offer("ada", 1, 9)]);
    let guess = Request::Account(AccountRequest::ClaimPairing(PairingClaim {
        selector: Selector([1; 8]),
        secret: [0; 32],
        device: device("eve"),
        static_key: [1; 32],
        at: Wall(2),
    }));
    let before = engine.waits;
    assert_eq!(engine.execute(&[guess]).unwrap(), [Err(StoreError::PairingRefused)]);
    assert_eq!(engine.waits, before + 1);
}

#[test]
fn upkeep_leaves_no_trace_of_what_expired() {
    let (_folder, mut engine) = opened();
    let batch = [
        founding("ada"),
        founding("bob"),
        open_session("ada", 1, 9),
        open_session("ada", 2, 20),
        open_session("bob", 3, 9),
        offer("ada", 1, 9),
        offer("ada", 2, 20),
    ];
    waits(&mut engine, &batch);
    let rows = |engine: &Engine| {
        let tables = &engine.tables;
        [
            &tables.bearer_session,
            &tables.device_sessions,
            &tables.pairing_code,
            &tables.user_pairing,
        ]
        .map(|table| table.len().unwrap())
    };
    engine.upkeep(Wall(8)).unwrap();
    assert_eq!(rows(&engine), [3, 2, 2, 2]);
    // Two steps: each begins where the one before has ended.
    engine.upkeep(Wall(9)).unwrap();
    engine.upkeep(Wall(9)).unwrap();
    assert_eq!(rows(&engine), [1, 1, 1, 1]);
    engine.upkeep(Wall(20)).unwrap();
    engine.upkeep(Wall(20)).unwrap();
    assert_eq!(rows(&engine), [0, 0, 0, 0]);
}

#[test]
fn the_rows_of_a_revoked_device_leave_the_table_a_step_at_a_time() {
    let (_folder, mut engine) = opened();
    let rows = 2 * UPKEEP_ROWS as usize + 100;
    let mut batch = vec![founding("ada"), founding("bob"), append("bob", "bob's")];
    batch.extend((0..rows).map(|_| append("ada", "x")));
    waits(&mut engine, &batch);
    waits(&mut engine, &[revoke("ada")]);
    let left = |engine: &Engine| engine.tables.relay_queue.len().unwrap() - 1;
    assert_eq!(left(&engine), rows - UPKEEP_ROWS as usize);
    for _ in 0..6 {
        let before = left(&engine);
        engine.upkeep(Wall(1)).unwrap();
        assert!(before - left(&engine) <= UPKEEP_ROWS as usize);
    }
    assert_eq!(left(&engine), 0);
    assert_eq!(engine.depth.reply(), Reply::Depth { rows: 1, bytes: 5 });
}

#[test]
fn inboxes_are_counted_a_few_at_a_time_and_what_changes_meanwhile_counts_once() {
    let (folder, mut engine) = opened();
    let names = ["a", "a!", "aa", "b", "c"];
    let mut batch: Vec<_> = names.iter().map(|name| founding(name)).collect();
    batch.extend(names.iter().map(|name| append(name, "123")));
    waits(&mut engine, &batch);
    drop(engine);
    let mut engine = open(&folder);
    let depth = |engine: &Engine| engine.depth.reply();
    assert_eq!(depth(&engine), Reply::Depth { rows: 5, bytes: 15 });
    // As if there had been more than are counted at opening.
    engine.depth = Depth::new();
    engine.depth.count(&engine.tables, 2).unwrap();
    assert_eq!(depth(&engine), Reply::Depth { rows: 2, bytes: 6 });
    let upto = RowId(u64::MAX);
    let of_c = Request::Delivered {
        device: device("c"),
        upto,
    };
    let batch = [append("a!", "1"), append("aa", "12"), append("b", "1234"), of_c];
    waits(&mut engine, &batch);
    assert_eq!(depth(&engine), Reply::Depth { rows: 3, bytes: 7 });
    waits(&mut engine, &[revoke("a"), revoke("b")]);
    assert_eq!(depth(&engine), Reply::Depth { rows: 2, bytes: 4 });
    engine.depth.count(&engine.tables, 1).unwrap();
    assert_eq!(depth(&engine), Reply::Depth { rows: 4, bytes: 9 });
    engine.upkeep(Wall(1)).unwrap();
    assert_eq!(depth(&engine), Reply::Depth { rows: 4, bytes: 9 });
    waits(&mut engine, &[append("c", "1")]);
    assert_eq!(depth(&engine), Reply::Depth { rows: 5, bytes: 10 });
}
