//! What the tests of the embedded store share.

use std::path::Path;

use bytes::Bytes;
use commucat_proto::{ChannelId, DeviceId, FrameType, Handle, UserId};
use commucat_storage::Store;
use commucat_storage::api::{Envelope, InboxLimits, Profile, Reply, Request, RowId, StoreError, Wall};
use commucat_storage::embedded::{EmbeddedStore, Options};
use tempfile::TempDir;

pub(crate) type Answer = Result<Reply, StoreError>;

/// Options for tests: no reserve, so that a nearly full disk fails no test by chance.
pub(crate) fn options(inbox: InboxLimits) -> Options {
    Options {
        inbox,
        disk_reserve: 0,
        ..Options::default()
    }
}

/// A folder in memory where there is one: for tests of meaning, which need no disk to wait for.
pub(crate) fn folder_in_memory() -> TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

/// Copies what is in a folder.
pub(crate) fn copy_all(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy_all(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}

pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

pub(crate) fn execute(store: &EmbeddedStore, batch: Vec<Request>) -> Vec<Answer> {
    run(store.execute(batch))
}

pub(crate) fn device(id: &str) -> DeviceId {
    DeviceId::parse(id).unwrap()
}

pub(crate) fn user(id: &str) -> UserId {
    UserId::parse(&format!("user-{id}")).unwrap()
}

pub(crate) fn founding(id: &str) -> Request {
    let profile = Profile {
        id: user(id),
        handle: Handle::parse(id).unwrap(),
        display_name: None,
        avatar_url: None,
    };
    Request::Found {
        device: device(id),
        static_key: [1; 32],
        profile,
        at: Wall(1),
    }
}

pub(crate) fn append(id: &str, payload: impl Into<Bytes>) -> Request {
    let envelope = Envelope {
        kind: FrameType::Msg,
        channel: ChannelId::new(1),
        payload: payload.into(),
        expires_at: Wall(u64::MAX),
    };
    Request::Append {
        device: device(id),
        envelope,
    }
}

pub(crate) fn delivered(id: &str, upto: RowId) -> Request {
    Request::Delivered {
        device: device(id),
        upto,
    }
}

pub(crate) fn read(id: &str) -> Request {
    Request::ReadInbox {
        device: device(id),
        after: RowId(0),
        max_rows: usize::MAX,
        max_bytes: usize::MAX,
        now: Wall(1),
    }
}

/// Row ids and payloads of a whole inbox.
pub(crate) fn inbox(store: &EmbeddedStore, id: &str) -> Vec<(RowId, Bytes)> {
    match execute(store, vec![read(id)]).remove(0) {
        Ok(Reply::Rows { rows, more: false }) => rows.into_iter().map(|(id, row)| (id, row.payload)).collect(),
        other => panic!("a read was answered with {other:?}"),
    }
}
