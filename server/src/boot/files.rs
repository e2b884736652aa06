//! The data folder and the files with secrets in it.
//!
//! Invariants: a secret is created readable by its owner alone, never overwritten, and never read when others could
//! have read it. Called by the rest of `boot`.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// Why the data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system refused.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// Others can reach it.
    #[error(
        "{}: others on this host can reach this secret (mode {mode:04o}); if it was never exposed, run: chmod {wanted:04o} {}",
        path.display(), path.display()
    )]
    Exposed {
        /// The file or folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// What it should be.
        wanted: u32,
    },
    /// The contents make no sense.
    #[error("{}: {message}", path.display())]
    Contents {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        message: String,
    },
}

impl FileError {
    pub(super) fn io(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, action, source }
    }

    pub(super) fn contents(path: &Path, message: impl Into<String>) -> Self {
        Self::Contents {
            path: path.to_owned(),
            message: message.into(),
        }
    }
}

/// Makes a folder for its owner alone, or checks that it is one.
///
/// # Errors
/// When it cannot be made, or others can reach it.
pub(super) fn private_folder(path: &Path) -> Result<(), FileError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(FileError::io(path, "make this folder"))?;
    let metadata = path.metadata().map_err(FileError::io(path, "look at this folder"))?;
    refuse_exposed(path, metadata.mode(), 0o077, 0o700)
}

/// Reads a secret that belongs to this server; nothing when there is none yet.
///
/// # Errors
/// When it cannot be read, or others can read it.
pub(super) fn read_secret(path: &Path) -> Result<Option<Zeroizing<String>>, FileError> {
    read_checked(path, 0o077)
}

/// Reads a secret that the operator keeps elsewhere: a group may share it, the world may not.
///
/// # Errors
/// When it does not exist, cannot be read, or everybody can read it.
pub(super) fn read_shared_secret(path: &Path) -> Result<Zeroizing<String>, FileError> {
    read_checked(path, 0o007)?.ok_or_else(|| FileError::contents(path, "there is no such file"))
}

fn read_checked(path: &Path, forbidden: u32) -> Result<Option<Zeroizing<String>>, FileError> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FileError::io(path, "open this file")(error)),
    };
    // The open file is judged, not its name: a name can point elsewhere a moment later.
    let metadata = file.metadata().map_err(FileError::io(path, "look at this file"))?;
    refuse_exposed(path, metadata.mode(), forbidden, 0o600)?;
    // Read into its final place: a growing string would leave copies of a secret behind.
    let mut text = Zeroizing::new(String::with_capacity(usize::try_from(metadata.len()).unwrap_or(0) + 1));
    file.read_to_string(&mut text)
        .map_err(FileError::io(path, "read this file"))?;
    Ok(Some(text))
}

fn refuse_exposed(path: &Path, mode: u32, forbidden: u32, wanted: u32) -> Result<(), FileError> {
    if mode & forbidden == 0 {
        return Ok(());
    }
    Err(FileError::Exposed {
        path: path.to_owned(),
        mode: mode & 0o7777,
        wanted,
    })
}

/// Creates a file of mode 0600 that must not exist yet, and makes it durable.
///
/// # Errors
/// When it exists or cannot be written.
pub(super) fn create_private(path: &Path, contents: &[u8]) -> Result<(), FileError> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(FileError::io(path, "create this file"))?;
    // The mode given to open is narrowed by the umask; it must not end narrower than its owner needs.
    file.set_permissions(std::fs::Permissions::from_mode(0o600))
        .and_then(|()| file.write_all(contents))
        .and_then(|()| file.sync_all())
        .map_err(FileError::io(path, "write this file"))?;
    sync_folder_of(path)
}

/// Replaces a file of ours by one of mode 0600, all or nothing.
///
/// # Errors
/// When it cannot be written.
pub(super) fn replace_private(path: &Path, contents: &[u8]) -> Result<(), FileError> {
    let fresh = path.with_extension("new");
    match std::fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(FileError::io(&fresh, "remove this leftover")(error));
        }
        _ => {}
    }
    create_private(&fresh, contents)?;
    std::fs::rename(&fresh, path).map_err(FileError::io(path, "replace this file"))?;
    sync_folder_of(path)
}

/// Without it, a power cut may lose the name of a file whose contents are safe.
fn sync_folder_of(path: &Path) -> Result<(), FileError> {
    let Some(folder) = path.parent() else { return Ok(()) };
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(FileError::io(folder, "sync this folder"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().mode() & 0o7777
    }

    #[test]
    fn folders_and_secrets_are_for_their_owner_alone() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().join("data");
        private_folder(&folder).unwrap();
        assert_eq!(mode(&folder), 0o700);
        let secret = folder.join("secret");
        create_private(&secret, b"one").unwrap();
        assert_eq!(mode(&secret), 0o600);
        assert_eq!(read_secret(&secret).unwrap().unwrap().as_str(), "one");
        replace_private(&secret, b"two").unwrap();
        assert_eq!(mode(&secret), 0o600);
        assert_eq!(read_secret(&secret).unwrap().unwrap().as_str(), "two");
    }

    #[test]
    fn a_secret_is_never_overwritten_by_creation() {
        let temporary = tempfile::tempdir().unwrap();
        let secret = temporary.path().join("secret");
        create_private(&secret, b"one").unwrap();
        assert!(create_private(&secret, b"two").is_err());
        assert_eq!(std::fs::read(&secret).unwrap(), b"one");
    }

    #[test]
    fn what_others_can_reach_is_refused_with_the_way_out() {
        let temporary = tempfile::tempdir().unwrap();
        let secret = temporary.path().join("secret");
        create_private(&secret, b"one").unwrap();
        for (mode, ours, shared) in [(0o600, true, true), (0o640, false, true), (0o604, false, false)] {
            std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(read_secret(&secret).is_ok(), ours, "{mode:o}");
            assert_eq!(read_shared_secret(&secret).is_ok(), shared, "{mode:o}");
        }
        let message = read_secret(&secret).unwrap_err().to_string();
        assert!(
            message.contains("mode 0604") && message.contains("chmod 0600"),
            "{message}"
        );
        let folder = temporary.path().join("open");
        std::fs::create_dir(&folder).unwrap();
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert!(private_folder(&folder).unwrap_err().to_string().contains("chmod 0700"));
    }
}
