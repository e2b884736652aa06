//! The embedded store after any damage to its files: it refuses, or it holds what it held after some of its requests,
//! the first ones, and goes on from there. It never panics, and never tells what nobody has written.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use bytes::Bytes;
use commucat_proto::control::Role;
use commucat_proto::{ChannelId, DeviceId, FrameType, GroupId, Handle, UserId};
use commucat_storage::Store as _;
use commucat_storage::api::{
    AccountRequest, Envelope, Friend, GroupRequest, GroupRoster, Invitation, PairingClaim, PairingOffer, Profile,
    Reply, Request, RowId, Selector, StoreError, TokenHash, Wall,
};
use commucat_storage::embedded::{EmbeddedStore, OpenError, Options};
use tempfile::TempDir;

use crate::bed::Store as Model;
use crate::input::Input;

type Answers = Vec<Result<Reply, StoreError>>;

/// A store's files, and what it had to say before the first of its requests and after each: a batch is synced as one and
/// may be torn between two of them.
struct Original {
    files: Vec<(PathBuf, Vec<u8>)>,
    said: Vec<Answers>,
}

static ORIGINAL: LazyLock<Original> = LazyLock::new(Original::make);

/// A number of damages, one after the other.
pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let mut files = ORIGINAL.files.clone();
    while damage(&mut files, &mut input).is_some() {}
    let folder = folder();
    for (path, bytes) in &files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().expect("inside the folder")).expect("a folder");
        fs::write(path, bytes).expect("a file");
    }
    let Some(store) = open(folder.path()) else {
        // What is refused may still be mended by whoever looks at it. Of a table that lacks its `current` the engine may
        // take the rest, when it has no rows outside of the journal.
        let has_current = |path: &Path| files.iter().any(|(other, _)| *other == path.with_file_name("current"));
        for (path, _) in &files {
            let is_left_over = path.starts_with("store/keyspaces") && !has_current(path);
            assert!(
                is_left_over || folder.path().join(path).exists(),
                "{} is gone",
                path.display()
            );
        }
        return;
    };
    let answers = execute(&store, questions());
    let prefix = ORIGINAL.said.iter().position(|said| agree(&answers, said));
    assert!(prefix.is_some(), "this was never so: {answers:#?}");
    // It goes on: what is taken now is there after the next start.
    let last = append("ada", "one more");
    if execute(&store, vec![last]) != [Ok(Reply::Done)] || answers.iter().any(is_refusal) {
        return;
    }
    drop(store);
    let store = open(folder.path()).expect("it was open a moment ago");
    let Some(Ok(Reply::Rows { rows, .. })) = execute(&store, vec![read("ada")]).pop() else {
        panic!("no rows after the next start");
    };
    let Some(Ok(Reply::Rows { rows: before, .. })) = answers.into_iter().nth(READ_ADA) else {
        panic!("no rows before");
    };
    let (last, others) = rows.split_last().expect("the row that was taken");
    assert_eq!((others, &last.1.payload[..]), (&before[..], &b"one more"[..]));
}

/// Where the questions ask for ada's rows.
const READ_ADA: usize = 0;

/// Every answer is the one of that moment, or none at all.
fn agree(answers: &Answers, said: &Answers) -> bool {
    answers
        .iter()
        .zip(said)
        .all(|(ours, theirs)| ours == theirs || is_refusal(ours))
}

fn is_refusal(answer: &Result<Reply, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Unavailable(_)))
}

fn open(folder: &Path) -> Option<EmbeddedStore> {
    let options = Options {
        disk_reserve: 0,
        block_cache: 1 << 20,
        ..Options::default()
    };
    match EmbeddedStore::open(folder, options) {
        Ok(store) => Some(store),
        Err(OpenError::AlreadyRunning { .. }) => panic!("nobody else is here"),
        Err(error) => {
            assert!(!error.to_string().is_empty());
            None
        }
    }
}

/// One damage. A file is chosen by one byte, a place in it by its share of the file's length.
fn damage(files: &mut Vec<(PathBuf, Vec<u8>)>, input: &mut Input<'_>) -> Option<()> {
    let (how, which, place) = (input.byte()?, usize::from(input.byte()?), input.short()?);
    if files.is_empty() {
        return None;
    }
    let which = which % files.len();
    let other = usize::from(place) % files.len();
    let len = files[which].1.len();
    let at = len * usize::from(place) / (1 << 16);
    let bytes = &mut files[which].1;
    match how % 9 {
        0 => bytes.truncate(at),
        1 => {
            for (old, new) in bytes[at..].iter_mut().zip(input.piece()?) {
                *old = *new;
            }
        }
        2 => {
            let bit = 1 << (input.byte()? % 8);
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= bit;
            }
        }
        3 => drop(files.remove(which)),
        4 => {
            let end = (at + usize::from(input.short()?)).min(len);
            bytes[at..end].fill(0);
        }
        5 => bytes.extend_from_slice(input.piece()?),
        6 => drop(bytes.splice(at..at, input.piece()?.iter().copied())),
        7 => {
            let end = (at + usize::from(input.byte()?)).min(len);
            bytes.drain(at..end);
        }
        _ => files[which].1 = files[other].1.clone(),
    }
    Some(())
}

impl Original {
    fn make() -> Self {
        let folder = folder();
        let mut model = Model::default();
        let mut said = vec![answers_of(&mut model)];
        // Two lives, so that what an opening writes is there as well.
        let batches = batches();
        let (first, second) = batches.split_at(batches.len() / 2);
        for life in [first, second] {
            let store = open(folder.path()).expect("a sound folder");
            for batch in life {
                let answers = execute(&store, batch.clone());
                let mut theirs = Answers::new();
                for request in batch {
                    theirs.push(model.apply(request));
                    said.push(answers_of(&mut model));
                }
                assert_eq!(answers, theirs);
            }
            assert_eq!(Some(&execute(&store, questions())), said.last());
        }
        let mut files = Vec::new();
        collect(folder.path(), folder.path(), &mut files);
        files.sort();
        Self { files, said }
    }
}

fn answers_of(model: &mut Model) -> Answers {
    questions().iter().map(|question| model.apply(question)).collect()
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            let mut bytes = fs::read(&path).expect("a file");
            // A journal is made at its full length; a few zeros behind the last batch stand for the rest.
            let written = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            bytes.truncate(written + 64);
            files.push((path.strip_prefix(root).expect("inside").to_owned(), bytes));
        }
    }
}

/// In memory where there is one: no power is cut here.
fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .expect("a temporary folder")
}

fn execute(store: &EmbeddedStore, batch: Vec<Request>) -> Answers {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    runtime.block_on(store.execute(batch))
}

fn device(name: &str) -> DeviceId {
    DeviceId::parse(name).expect("a good name")
}

fn user(name: &str) -> UserId {
    UserId::parse(&format!("user-{name}")).expect("a good name")
}

fn group() -> GroupId {
    GroupId::parse("g").expect("a good name")
}

fn append(name: &str, text: impl Into<Bytes>) -> Request {
    Request::Append {
        device: device(name),
        envelope: Envelope {
            kind: FrameType::Msg,
            channel: ChannelId::new(1),
            payload: text.into(),
            expires_at: Wall(u64::MAX),
        },
    }
}

fn read(name: &str) -> Request {
    Request::ReadInbox {
        device: device(name),
        after: RowId(0),
        max_rows: usize::MAX,
        max_bytes: usize::MAX,
        now: Wall(1),
    }
}

/// What a store is asked to find out what it holds.
fn questions() -> Vec<Request> {
    let lookup = |name: &str| Request::Lookup {
        device: device(name),
        user: Some(user(name)),
        handle: Handle::parse(name).ok(),
    };
    let list = |name: &str| Request::Account(AccountRequest::ListDevices { user: user(name) });
    vec![
        read("ada"),
        read("bob"),
        read("phone"),
        lookup("ada"),
        lookup("bob"),
        lookup("phone"),
        list("ada"),
        list("bob"),
        Request::Account(AccountRequest::Friends { user: user("ada") }),
        Request::Group(GroupRequest::Load { group: group() }),
    ]
}

/// A store's life, a batch at a time: people, rows that stay and rows that go, a pairing, a group, a revocation.
fn batches() -> Vec<Vec<Request>> {
    let founding = |name: &str| Request::Found {
        device: device(name),
        static_key: [1; 32],
        profile: Profile {
            id: user(name),
            handle: Handle::parse(name).expect("a good name"),
            display_name: Some(format!("{name} {name}")),
            avatar_url: None,
        },
        at: Wall(1),
    };
    let account = Request::Account;
    let offer = account(AccountRequest::OfferPairing(PairingOffer {
        selector: Selector([1; 8]),
        secret: [1; 32],
        user: user("ada"),
        issuer: device("ada"),
        issued_at: Wall(1),
        expires_at: Wall(9),
    }));
    let claim = account(AccountRequest::ClaimPairing(PairingClaim {
        selector: Selector([1; 8]),
        secret: [1; 32],
        device: device("phone"),
        static_key: [3; 32],
        at: Wall(2),
    }));
    let session = account(AccountRequest::OpenSession {
        token: TokenHash([1; 32]),
        device: device("phone"),
        static_key: [3; 32],
        expires_at: Wall(9),
    });
    let friends = account(AccountRequest::PutFriends {
        user: user("ada"),
        friends: vec![Friend {
            user: user("bob"),
            handle: Handle::parse("bob").ok(),
            alias: Some("b".to_owned()),
        }],
    });
    let create = Request::Group(GroupRequest::Create {
        group: group(),
        roster: GroupRoster {
            owner: device("ada"),
            members: [(device("ada"), Role::Owner)].into(),
            relay: true,
            version: 1,
        },
        limit: 9,
        at: Wall(1),
    });
    let invite = Request::Group(GroupRequest::Invite(Invitation {
        group: group(),
        by: device("ada"),
        device: device("phone"),
        role: Role::Member,
        limit: 9,
        at: Wall(2),
    }));
    let rotate = account(AccountRequest::RotateKey {
        device: device("bob"),
        static_key: [4; 32],
        keep: TokenHash([2; 32]),
        at: Wall(3),
    });
    let revoke = account(AccountRequest::RevokeDevice {
        user: user("ada"),
        device: device("phone"),
        at: Wall(3),
    });
    let delivered = |name: &str, upto| Request::Delivered {
        device: device(name),
        upto: RowId(upto),
    };
    let rows = |from: usize| {
        (from..from + 3)
            .map(|n| append("ada", format!("row {n}")))
            .collect::<Vec<_>>()
    };
    vec![
        vec![founding("ada"), founding("bob")],
        rows(0),
        vec![append("bob", "x".repeat(300)), delivered("ada", 1)],
        vec![offer],
        vec![claim, session],
        vec![create],
        rows(3),
        vec![invite, friends, append("phone", "welcome")],
        vec![rotate],
        vec![delivered("ada", 4), append("bob", "last")],
        vec![revoke],
        rows(6),
    ]
}

/// No damage, each kind of it to each file, and two at once.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let mut all = vec![Vec::new()];
    for how in 0..9 {
        for which in (0..50).step_by(10) {
            all.push(vec![how, which, 0x80 ^ which, 7, 3, 1, 2, 3]);
        }
    }
    for place in (0..=250).step_by(50) {
        all.push(vec![0, 1, place, 0]);
        all.push(vec![2, 1, place, 0, 3, 4, 1, place, 9, 0, 40]);
    }
    all
}
