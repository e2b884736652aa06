//! What a damaged folder brings about: an error that says so, or the data up to the damage; never a panic, never a silent
//! loss of what lies behind it.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::common::{append, copy_all, device, execute, founding, inbox, options, read, user};
use commucat_storage::api::{AccountRequest, InboxLimits, Reply, Request, StoreError, TokenHash, Wall};
use commucat_storage::embedded::{EmbeddedStore, OpenError};
use proptest::prelude::*;
use proptest::test_runner::{FileFailurePersistence, TestRunner};
use tempfile::TempDir;

const ROWS: usize = 40;

fn open(folder: &Path) -> Result<EmbeddedStore, OpenError> {
    EmbeddedStore::open(folder, options(InboxLimits::default()))
}

/// A store with one inbox of [`ROWS`] rows, each a batch of its own, all of it still in the journal.
fn filled() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    assert_eq!(execute(&store, vec![founding("ada")]), [Ok(Reply::Done)]);
    for n in 0..ROWS {
        assert_eq!(execute(&store, vec![append("ada", text(n))]), [Ok(Reply::Done)]);
    }
    drop(store);
    // The journal is made at its full length; a few zeros behind the last batch stand for the rest.
    let journal = journal(folder.path());
    cut(&journal, written(&journal) + 256);
    folder
}

fn text(n: usize) -> String {
    format!("row {n} {}", "payload ".repeat(8))
}

fn journal(folder: &Path) -> PathBuf {
    let mut journals: Vec<_> = fs::read_dir(folder.join("store"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "jnl"))
        .collect();
    journals.sort();
    journals.pop().expect("a journal")
}

/// Where the written part of the journal ends.
fn written(journal: &Path) -> usize {
    fs::read(journal)
        .unwrap()
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1)
}

fn cut(journal: &Path, len: usize) {
    OpenOptions::new()
        .write(true)
        .open(journal)
        .unwrap()
        .set_len(len as u64)
        .unwrap();
}

fn overwrite(journal: &Path, at: usize, bytes: &[u8]) {
    OpenOptions::new()
        .write(true)
        .open(journal)
        .unwrap()
        .write_all_at(bytes, at as u64)
        .unwrap();
}

/// How many rows there are, the first ones necessarily; `None` when even the device is not there.
fn rows(store: &EmbeddedStore) -> Option<usize> {
    let rows = match execute(store, vec![read("ada")]).remove(0) {
        Err(StoreError::UnknownDevice) => return None,
        Ok(Reply::Rows { rows, .. }) => rows,
        other => panic!("a read was answered with {other:?}"),
    };
    for (n, (id, row)) in rows.iter().enumerate() {
        assert_eq!((id.0, &row.payload[..]), (n as u64 + 1, text(n).as_bytes()));
    }
    Some(rows.len())
}

/// A copy of a store's folder.
fn copy(from: &Path) -> TempDir {
    let to = tempfile::tempdir().unwrap();
    copy_all(from, to.path());
    to
}

#[test]
fn a_journal_that_was_cut_short_gives_the_rows_before_the_cut() {
    let original = filled();
    let end = written(&journal(original.path()));
    for len in (0..=end).rev().step_by(end / 24) {
        let folder = copy(original.path());
        cut(&journal(folder.path()), len);
        let store = match open(folder.path()) {
            Ok(store) => store,
            // The first batch tells the format: without it this is no store any more.
            Err(OpenError::Damaged { .. }) if len < 80 => continue,
            Err(error) => panic!("cut at {len}: {error}"),
        };
        let kept = rows(&store);
        assert_eq!(kept == Some(ROWS), len == end, "cut at {len}");
        if let Some(kept) = kept {
            assert_eq!(execute(&store, vec![append("ada", text(kept))]), [Ok(Reply::Done)]);
            drop(store);
            assert_eq!(rows(&open(folder.path()).unwrap()), Some(kept + 1), "cut at {len}");
        }
    }
}

#[test]
fn a_flipped_bit_in_the_middle_is_refused_and_changes_nothing() {
    let original = filled();
    let path = journal(original.path());
    let (bytes, end) = (fs::read(&path).unwrap(), written(&path));
    // The last batch is the one that a crash may tear; everything before it has to be whole.
    let last = end - text(0).len() - 120;
    for at in (0..last).step_by(last / 40) {
        let folder = copy(original.path());
        let path = journal(folder.path());
        overwrite(&path, at, &[bytes[at] ^ 0x10]);
        match open(folder.path()).map(|_| "opened") {
            Err(OpenError::Damaged { path: named, detail }) => {
                assert_eq!(named, path);
                assert!(detail.contains("at byte"), "{detail}");
            }
            other => panic!("a flip at byte {at}: {other:?}"),
        }
        overwrite(&path, at, &[bytes[at]]);
        assert_eq!(
            rows(&open(folder.path()).unwrap()),
            Some(ROWS),
            "the refused open changed something"
        );
    }
}

#[test]
fn a_last_batch_with_pages_missing_is_dropped_as_a_power_cut_leaves_it() {
    let original = filled();
    let end = written(&journal(original.path()));
    let folder = copy(original.path());
    let path = journal(folder.path());
    overwrite(&path, end - 60, &[0; 30]);
    assert_eq!(rows(&open(folder.path()).unwrap()), Some(ROWS - 1));
}

#[test]
fn a_payload_that_looks_like_a_journal_does_not_hide_behind_a_torn_batch() {
    let folder = tempfile::tempdir().unwrap();
    let mimic = {
        let original = filled();
        let bytes = fs::read(journal(original.path())).unwrap();
        bytes[..2_000].to_vec()
    };
    let store = open(folder.path()).unwrap();
    execute(&store, vec![founding("ada")]);
    for n in 0..4 {
        execute(&store, vec![append("ada", text(n))]);
    }
    execute(&store, vec![append("ada", mimic)]);
    drop(store);
    let path = journal(folder.path());
    cut(&path, written(&path) - 40);
    assert_eq!(rows(&open(folder.path()).unwrap()), Some(4));
}

#[test]
fn a_folder_without_the_engines_marker_is_damaged_not_new() {
    let folder = filled();
    fs::remove_file(folder.path().join("store/version")).unwrap();
    let error = open(folder.path()).map(|_| ()).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    assert!(journal(folder.path()).is_file(), "nothing was removed");
}

/// The engine's folders of tables, its own table of names first.
fn keyspaces(folder: &Path) -> Vec<PathBuf> {
    let mut tables: Vec<_> = fs::read_dir(folder.join("store/keyspaces"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    tables.sort_by_key(|path| path.file_name().unwrap().to_str().unwrap().parse::<u32>().unwrap());
    tables
}

#[track_caller]
fn refuses(folder: &Path, what: &str) {
    match open(folder).map(|_| "opened") {
        Err(OpenError::Damaged { .. }) => {}
        other => panic!("{what}: {other:?}"),
    }
}

#[test]
fn a_table_that_is_gone_is_damage_and_not_an_empty_table() {
    let original = filled();
    assert_eq!(keyspaces(original.path()).len(), 17);
    for table in 0..17 {
        let folder = copy(original.path());
        let path = &keyspaces(folder.path())[table];
        fs::remove_dir_all(path).unwrap();
        refuses(folder.path(), &format!("without {}", path.display()));
        let folder = copy(original.path());
        let path = &keyspaces(folder.path())[table];
        fs::remove_file(path.join("current")).unwrap();
        refuses(folder.path(), &format!("without the current of {}", path.display()));
    }
}

#[test]
fn without_its_table_of_names_the_engine_may_not_delete_all_others() {
    let original = filled();
    let folder = copy(original.path());
    let current = keyspaces(folder.path())[0].join("current");
    let bytes = fs::read(&current).unwrap();
    fs::remove_file(&current).unwrap();
    refuses(folder.path(), "without a table of names");
    fs::write(&current, bytes).unwrap();
    assert_eq!(
        rows(&open(folder.path()).unwrap()),
        Some(ROWS),
        "the refused open changed something"
    );
}

#[test]
fn a_list_of_a_tables_files_that_is_not_as_it_was_written_is_refused() {
    let original = filled();
    for (name, at) in [("v0", 0), ("v0", 40), ("current", 0), ("current", 12), ("current", 24)] {
        let folder = copy(original.path());
        let path = keyspaces(folder.path())[1].join(name);
        let byte = fs::read(&path).unwrap()[at];
        overwrite(&path, at, &[byte ^ 0x40]);
        refuses(folder.path(), &format!("{name} at {at}"));
        overwrite(&path, at, &[byte]);
        assert_eq!(rows(&open(folder.path()).unwrap()), Some(ROWS));
    }
}

#[test]
fn a_file_that_claims_more_parts_than_it_can_hold_is_refused_before_memory_is_asked_for() {
    let original = filled();
    // The second start writes a file of the table of names.
    drop(open(original.path()).unwrap());
    let files = fs::read_dir(keyspaces(original.path())[0].join("tables")).unwrap();
    let path = files.map(|entry| entry.unwrap().path()).next().expect("a file");
    let bytes = fs::read(&path).unwrap();
    let list = bytes
        .windows(4)
        .rposition(|four| four == b"TOC!")
        .expect("a list of parts");
    for count in [[0xff; 4], [0, 0, 0, 0x40], [0, 1, 0, 0]] {
        overwrite(&path, list + 4, &count);
        refuses(original.path(), &format!("{count:?} parts"));
    }
    // What the engine can read and finds wrong is damage as well, and a refusal changes nothing.
    overwrite(&path, list + 4, &[bytes[list + 4] + 1]);
    assert!(open(original.path()).is_err());
    fs::write(&path, bytes).unwrap();
    assert_eq!(rows(&open(original.path()).unwrap()), Some(ROWS));
}

#[test]
fn what_is_no_table_among_the_tables_is_refused() {
    let folder = filled();
    fs::create_dir(folder.path().join("store/keyspaces/lost+found")).unwrap();
    refuses(folder.path(), "a folder of another");
}

#[test]
fn a_first_start_that_was_interrupted_is_begun_again() {
    let folder = tempfile::tempdir().unwrap();
    let fresh = folder.path().join("store.new");
    fs::create_dir(&fresh).unwrap();
    fs::write(fresh.join("0.jnl"), "half").unwrap();
    let store = open(folder.path()).unwrap();
    assert_eq!(execute(&store, vec![founding("ada")]), [Ok(Reply::Done)]);
    assert!(!fresh.exists());
}

#[test]
fn a_second_store_on_the_same_folder_is_told_who_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let error = open(folder.path()).map(|_| ()).unwrap_err();
    let us = std::process::id();
    assert!(
        matches!(&error, OpenError::AlreadyRunning { pid: Some(pid), .. } if *pid == us),
        "{error}"
    );
    assert!(error.to_string().contains(&format!("pid {us}")), "{error}");
    assert_eq!(
        execute(&store, vec![founding("ada")]),
        [Ok(Reply::Done)],
        "the first goes on"
    );
    drop(store);
    open(folder.path()).unwrap();
}

#[test]
fn nobody_else_can_read_the_folder() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("data");
    let _store = open(&folder).unwrap();
    for path in [folder.clone(), folder.join("store")] {
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{}", path.display());
    }
    let mode = fs::metadata(folder.join("lock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_nearly_full_disk_takes_nothing_new_and_still_delivers() {
    let folder = filled();
    let reserve = u64::MAX;
    let nearly_full = commucat_storage::embedded::Options {
        disk_reserve: reserve,
        ..options(InboxLimits::default())
    };
    let store = EmbeddedStore::open(folder.path(), nearly_full).unwrap();
    let all = inbox(&store, "ada");
    let batch = vec![
        append("ada", "x"),
        founding("bob"),
        crate::common::delivered("ada", all[0].0),
    ];
    let answers = execute(&store, batch);
    for refused in &answers[..2] {
        let Err(StoreError::Unavailable(why)) = refused else {
            panic!("{refused:?}")
        };
        assert!(why.contains("free some space"), "{why}");
    }
    assert_eq!(answers[2], Ok(Reply::Done));
    assert_eq!(inbox(&store, "ada"), all[1..]);
    // Who comes to fetch what is kept needs a session, and a stolen device must not wait for the disk.
    let open = AccountRequest::OpenSession {
        token: TokenHash([1; 32]),
        device: device("ada"),
        static_key: [1; 32],
        expires_at: Wall(9),
    };
    let put = AccountRequest::PutFriends {
        user: user("ada"),
        friends: vec![],
    };
    let revoke = AccountRequest::RevokeDevice {
        user: user("ada"),
        device: device("ada"),
        at: Wall(2),
    };
    let answers = execute(&store, [open, put, revoke].map(Request::Account).to_vec());
    assert_eq!((&answers[0], &answers[2]), (&Ok(Reply::Done), &Ok(Reply::Done)));
    assert!(matches!(&answers[1], Err(StoreError::Unavailable(_))), "{answers:?}");
}

#[test]
fn garbage_anywhere_in_the_journal_is_an_error_or_a_prefix() {
    let original = filled();
    let end = written(&journal(original.path()));
    let garbage = proptest::collection::vec(any::<u8>(), 1..64);
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 200,
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..ProptestConfig::default()
    });
    let outcome = runner.run(&(0..end, garbage, any::<bool>()), |(at, garbage, truncate)| {
        let folder = copy(original.path());
        let path = journal(folder.path());
        overwrite(&path, at, &garbage);
        if truncate {
            cut(&path, at + garbage.len());
        }
        match open(folder.path()) {
            Ok(store) => prop_assert!(rows(&store) <= Some(ROWS)),
            Err(error) => prop_assert!(matches!(error, OpenError::Damaged { .. }), "{}", error),
        }
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}
