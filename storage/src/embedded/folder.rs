//! The data folder: who may enter, and how the engine's own folder comes into being.
//!
//! ```text
//! <data>/          0700 when we make it
//!   lock           held while a store is open; holds the owner's pid
//!   store/         0700; the engine's, complete from the moment it has this name
//!   store.new/     one that was being made when the process died; thrown away
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::error::OpenError;

/// The data folder, held by this process until dropped.
pub(super) struct Folder {
    path: PathBuf,
    /// The kernel lets go of the lock when the process ends, however it ends.
    _lock: File,
}

impl Folder {
    /// Enters `path`, making it when it is absent.
    pub(super) fn enter(path: &Path) -> Result<Self, OpenError> {
        make(path)?;
        let lock = acquire(path)?;
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// The engine's folder.
    pub(super) fn store(&self) -> PathBuf {
        self.path.join("store")
    }

    /// Makes the engine's folder with `fill`, when there is none: under another name first, so that a crash leaves either
    /// nothing or all of it.
    pub(super) fn ensure_store(&self, fill: impl FnOnce(&Path) -> Result<(), OpenError>) -> Result<(), OpenError> {
        let (store, fresh) = (self.store(), self.path.join("store.new"));
        if exists(&fresh)? {
            fs::remove_dir_all(&fresh).map_err(OpenError::io(&fresh, "remove"))?;
        }
        if exists(&store)? {
            return Ok(());
        }
        make(&fresh)?;
        fill(&fresh)?;
        fs::rename(&fresh, &store).map_err(OpenError::io(&fresh, "rename"))?;
        File::open(&self.path)
            .and_then(|folder| folder.sync_all())
            .map_err(OpenError::io(&self.path, "sync"))
    }
}

fn exists(path: &Path) -> Result<bool, OpenError> {
    path.try_exists().map_err(OpenError::io(path, "look at"))
}

fn make(path: &Path) -> Result<(), OpenError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(OpenError::io(path, "make the folder"))
}

fn acquire(folder: &Path) -> Result<File, OpenError> {
    let path = folder.join("lock");
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(OpenError::io(&path, "open"))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let pid = owner(&mut file);
            return Err(OpenError::AlreadyRunning {
                path: folder.to_owned(),
                pid,
            });
        }
        Err(TryLockError::Error(source)) => {
            return Err(OpenError::Io {
                path,
                what: "lock",
                source,
            });
        }
    }
    file.set_len(0)
        .and_then(|()| file.seek(SeekFrom::Start(0)))
        .and_then(|_| write!(file, "{}", std::process::id()))
        .map_err(OpenError::io(&path, "write"))?;
    Ok(file)
}

fn owner(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
