//! Looks the engine's journal over before the engine does.
//!
//! Why: at the first place it cannot read, the engine cuts the journal off and goes on, whatever follows; a flipped bit
//! would silently take every acknowledged row behind it. And what a power cut may do to the one batch that was being
//! written, a page written and the one before it not, it calls corrupt and refuses to open. So this module tells the
//! two apart: a torn last batch, which nobody was promised, is cut off; damage with intact batches behind it is an error
//! and nothing is touched.
//!
//! A batch on disk (engine format 3): `1 count:u32 seqno:u64`, then `count` times `2 kind:u8 compression:u8 table:u64
//! key:u16 value:u32 stored:u32 key value` or `4 table:u64`, then `3 xxh3:u64 "FJL" 3`, all little endian; zeros follow
//! the last batch, because the file is made at its full length. The checksum is over the items.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

use super::error::OpenError;
use super::values;

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
const TRAILER: &[u8; 4] = b"FJL\x03";
const START_LEN: usize = 13;

/// How far apart the numbers of two batches of one journal can lie: more than batches fit a journal.
const NEAR: u64 = 1 << 24;

/// Looks over every journal in `folder`. Only the newest may be torn: the engine synced the others before it left them.
pub(super) fn inspect_all(folder: &Path) -> Result<(), OpenError> {
    let journals = list(folder)?;
    for (at, (_, path)) in journals.iter().enumerate() {
        inspect(path, at + 1 == journals.len())?;
    }
    Ok(())
}

fn list(folder: &Path) -> Result<Vec<(u64, PathBuf)>, OpenError> {
    let mut journals = Vec::new();
    for entry in fs::read_dir(folder).map_err(OpenError::io(folder, "list"))? {
        let path = entry.map_err(OpenError::io(folder, "list"))?.path();
        if path.extension().is_none_or(|ext| ext != "jnl") {
            continue;
        }
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        match number {
            Some(number) if path.is_file() => journals.push((number, path)),
            _ => {
                let detail = "this is no journal of the engine".to_owned();
                return Err(OpenError::Damaged { path, detail });
            }
        }
    }
    journals.sort_unstable();
    Ok(journals)
}

fn inspect(path: &Path, newest: bool) -> Result<(), OpenError> {
    let bytes = fs::read(path).map_err(OpenError::io(path, "read"))?;
    match survey(&bytes) {
        Survey::Whole => Ok(()),
        Survey::Torn { at } if newest => cut(path, at, bytes.len()),
        Survey::Torn { at } | Survey::Damaged { at } => Err(OpenError::Damaged {
            path: path.to_owned(),
            detail: format!("the journal cannot be read at byte {at}"),
        }),
    }
}

fn cut(path: &Path, at: usize, len: usize) -> Result<(), OpenError> {
    tracing::warn!(
        journal = %path.display(), at, dropped = len - at,
        "the last write was cut short by a crash; it had not been acknowledged and is dropped"
    );
    OpenOptions::new()
        .write(true)
        .open(path)
        .and_then(|file| file.set_len(at as u64).and_then(|()| file.sync_all()))
        .map_err(OpenError::io(path, "cut the torn end of"))
}

#[derive(Debug, PartialEq, Eq)]
enum Survey {
    /// Intact batches, then nothing.
    Whole,
    /// The last batch, at `at`, is incomplete or wrong, and nothing intact follows.
    Torn { at: usize },
    /// The batch at `at` is wrong and intact ones follow, or what lies there is no batch.
    Damaged { at: usize },
}

fn survey(bytes: &[u8]) -> Survey {
    let (mut at, mut seqno) = (0, 0);
    while at < bytes.len() && bytes[at] != 0 {
        match batch(bytes, at) {
            // The checksum does not cover the number; that numbers increase does.
            Ok(intact) if intact.seqno <= seqno && at > 0 => return Survey::Damaged { at },
            Ok(intact) => (at, seqno) = (intact.end, intact.seqno),
            Err(Stop::CutOff) => return Survey::Torn { at },
            Err(Stop::At(stuck)) if stuck < bytes.len() && is_blank(&bytes[stuck..]) => {
                return Survey::Torn { at };
            }
            Err(Stop::At(_)) => break,
        }
    }
    if is_blank(&bytes[at..]) {
        Survey::Whole
    } else if (at..bytes.len()).any(|later| follows(bytes, later, seqno)) {
        Survey::Damaged { at }
    } else {
        Survey::Torn { at }
    }
}

fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

/// Whether an intact batch lies at `at` that can have been written after the one numbered `seqno`.
fn follows(bytes: &[u8], at: usize, seqno: u64) -> bool {
    let plausible = bytes[at] == START && matches!(bytes.get(at + START_LEN), Some(&(ITEM | CLEAR)));
    plausible && batch(bytes, at).is_ok_and(|found| found.seqno > seqno && found.seqno - seqno <= NEAR)
}

struct Intact {
    seqno: u64,
    end: usize,
}

/// Why there is no intact batch.
enum Stop {
    /// The file ends inside a value whose length is right: what was written was more. What lies in that value is a
    /// client's payload and must not be searched for batches, for a client could put one there.
    CutOff,
    /// From here on it makes no sense.
    At(usize),
}

fn batch(bytes: &[u8], at: usize) -> Result<Intact, Stop> {
    let mut reader = Reader { bytes, at };
    reader.tag(START)?;
    let items = reader.number(4)?;
    let seqno = reader.number(8)?;
    let first = reader.at;
    for _ in 0..items {
        reader.item()?;
    }
    let last = reader.at;
    reader.tag(END)?;
    let checksum = reader.number(8)?;
    let trailer = reader.at;
    if reader.take(TRAILER.len())? != TRAILER {
        return Err(Stop::At(trailer));
    }
    let mut hash = Xxh3::new();
    hash.update(&bytes[first..last]);
    if hash.digest() == checksum {
        Ok(Intact { seqno, end: reader.at })
    } else {
        Err(Stop::At(reader.at))
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], Stop> {
        let end = self.at.checked_add(len).ok_or(Stop::At(self.at))?;
        let taken = self.bytes.get(self.at..end).ok_or(Stop::At(self.bytes.len()))?;
        self.at = end;
        Ok(taken)
    }

    fn tag(&mut self, tag: u8) -> Result<(), Stop> {
        let here = self.at;
        if self.take(1)? == [tag] {
            Ok(())
        } else {
            Err(Stop::At(here))
        }
    }

    /// A little-endian number of up to 8 bytes.
    fn number(&mut self, len: usize) -> Result<u64, Stop> {
        let mut number = [0; 8];
        number[..len].copy_from_slice(self.take(len)?);
        Ok(u64::from_le_bytes(number))
    }

    fn item(&mut self) -> Result<(), Stop> {
        let here = self.at;
        match self.take(1)? {
            [ITEM] => {}
            [CLEAR] => return self.take(8).map(|_| ()),
            _ => return Err(Stop::At(here)),
        }
        let kind = self.number(1)?;
        let compression = self.number(1)?;
        self.number(8)?;
        let key = self.number(2)? as usize;
        let value = self.number(4)?;
        let stored = self.number(4)?;
        // Value, tombstone, weak tombstone; we write nothing compressed.
        if kind > 2 || compression != 0 || value != stored {
            return Err(Stop::At(here));
        }
        self.take(key)?;
        let rest = &self.bytes[self.at..];
        if (rest.len() as u64) < stored && values::own_len(rest) == Some(stored) {
            return Err(Stop::CutOff);
        }
        self.take(stored as usize).map(|_| ())
    }
}
