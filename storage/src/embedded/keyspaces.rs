//! Looks the engine's tables over before the engine does, as `journal` does with the journal.
//!
//! Why: the engine takes a table without its file `current` for one that it was making when the process died, and deletes
//! it; and when that file of its table of names is gone, it deletes all others. A folder with a name that is no number is
//! a panic, and so is a list of a table's files that is not as it was written: it has a checksum, which the engine does not
//! look at. One of a table's files that says to have thousands of millions of parts makes it ask for memory for all of them,
//! which ends the process. So what has to be there is looked for first, and when it is not, nothing is touched.
//!
//! ```text
//! keyspaces/0/           the engine's own: which number has which name
//! keyspaces/N/current    which version of the table is in force; written when the table is made:
//!                        version:u64 xxh3:u128 0, little endian
//! keyspaces/N/vVERSION   the files of that version; what the checksum is of
//! keyspaces/N/tables/    its files, none as long as everything is in the journal: parts, then their list, `TOC!` count:u32
//!                        and for each position:u64 length:u64 and its name with its length:u16, then the trailer, `SFA!`
//!                        and 34 octets, of which the list's position:u64 is the last but one
//! ```

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_128;

use super::error::OpenError;

/// Refuses what the engine would delete.
pub(super) fn inspect_all(folder: &Path) -> Result<(), OpenError> {
    let folder = folder.join("keyspaces");
    if !folder.join("0/current").is_file() {
        return Err(damaged(&folder, "the engine's table of names is missing or incomplete"));
    }
    for entry in fs::read_dir(&folder).map_err(OpenError::io(&folder, "list"))? {
        let path = entry.map_err(OpenError::io(&folder, "list"))?.path();
        let is_number = |name: &std::ffi::OsStr| name.to_str().is_some_and(|name| name.parse::<u64>().is_ok());
        if !path.is_dir() || !path.file_name().is_some_and(is_number) {
            return Err(damaged(&path, "this is no table of the engine"));
        }
        if path.join("current").is_file() {
            inspect(&path)?;
            inspect_files(&path.join("tables"))?;
        } else if !list(&path.join("tables"))?.is_empty() {
            // One that was being made by an upgrade may be without; there is nothing in it.
            return Err(damaged(&path, "the table's file `current` is missing"));
        }
    }
    Ok(())
}

/// The version in force is the one that was written.
fn inspect(table: &Path) -> Result<(), OpenError> {
    let path = table.join("current");
    let current = fs::read(&path).map_err(OpenError::io(&path, "read"))?;
    let Some((version, checksum)) = pointed_at(&current) else {
        return Err(damaged(&path, "it names no version"));
    };
    let path = table.join(format!("v{version}"));
    if !path.is_file() {
        return Err(damaged(&path, "it is missing"));
    }
    let bytes = fs::read(&path).map_err(OpenError::io(&path, "read"))?;
    if xxh3_128(&bytes) == checksum {
        Ok(())
    } else {
        Err(damaged(&path, "it is not what was written"))
    }
}

/// How long the trailer is, and where in it the list's position stands.
const TRAILER: usize = 38;
const LIST_AT: usize = 22;
/// What a part takes in the list, however short its name is.
const LEAST_PART: u64 = 18;

/// No file claims more parts than it can hold. Whatever else is wrong with one the engine finds by its checksums, in the
/// files that are in force; one that was not finished is none of them.
fn inspect_files(folder: &Path) -> Result<(), OpenError> {
    for path in list(folder)? {
        if path.is_file() && claims_too_much(&path).map_err(OpenError::io(&path, "read"))? {
            return Err(damaged(&path, "it claims more parts than it can hold"));
        }
    }
    Ok(())
}

fn claims_too_much(path: &Path) -> std::io::Result<bool> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let Some(trailer_at) = length.checked_sub(TRAILER as u64) else {
        return Ok(false);
    };
    let mut trailer = [0; TRAILER];
    file.read_exact_at(&mut trailer, trailer_at)?;
    let Some(list_at) = trailer[LIST_AT..].first_chunk().copied().map(u64::from_le_bytes) else {
        return Ok(false);
    };
    let Some(room) = length.checked_sub(list_at).and_then(|rest| rest.checked_sub(8)) else {
        return Ok(false);
    };
    let mut head = [0; 8];
    file.read_exact_at(&mut head, list_at)?;
    let [t, o, c, bang, count @ ..] = head;
    let is_list = trailer.starts_with(b"SFA!") && [t, o, c, bang] == *b"TOC!";
    Ok(is_list && u64::from(u32::from_le_bytes(count)) > room / LEAST_PART)
}

/// Version and checksum.
fn pointed_at(current: &[u8]) -> Option<(u64, u128)> {
    let (version, rest) = current.split_first_chunk()?;
    let (checksum, rest) = rest.split_first_chunk()?;
    (rest == [0]).then_some((u64::from_le_bytes(*version), u128::from_le_bytes(*checksum)))
}

/// What is in a folder; nothing, when there is none.
fn list(folder: &Path) -> Result<Vec<PathBuf>, OpenError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(OpenError::io(folder, "list"))?,
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    paths.collect::<Result<_, _>>().map_err(OpenError::io(folder, "list"))
}

fn damaged(path: &Path, detail: &str) -> OpenError {
    OpenError::Damaged {
        path: path.to_owned(),
        detail: detail.to_owned(),
    }
}
