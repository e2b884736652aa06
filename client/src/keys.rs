//! A device's key on disk: made once, readable by its owner alone, so that the same name is the same device again. Used by
//! command lines; the session itself takes keys as values.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use commucat_crypto::{Entropy, StaticKey};
use commucat_proto::DeviceId;
use zeroize::Zeroizing;

/// A key file that cannot be used, and why.
#[derive(Debug, thiserror::Error)]
#[error("{}: {what}", path.display())]
pub struct KeyFileError {
    /// Which file.
    pub path: PathBuf,
    /// What is wrong with it, or what the system said.
    pub what: String,
}

/// Reads the key of `device` from `directory`, or makes it.
///
/// # Errors
/// When the file cannot be read or made, others may read it, or it holds no key.
pub fn load_or_make(directory: &Path, device: &DeviceId, entropy: &mut dyn Entropy) -> Result<StaticKey, KeyFileError> {
    let path = directory.join(file_name(device));
    match fs::read_to_string(&path) {
        Ok(text) => read(&path, &Zeroizing::new(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let key = StaticKey::generate(entropy);
            keep(directory, device, &key)?;
            Ok(key)
        }
        Err(error) => Err(failed(&path, error.to_string())),
    }
}

/// Reads the key of a device that has one in `directory`.
///
/// # Errors
/// When there is none, it cannot be read, others may read it, or it is none.
pub fn load(directory: &Path, device: &DeviceId) -> Result<StaticKey, KeyFileError> {
    let path = directory.join(file_name(device));
    let text = fs::read_to_string(&path).map_err(|error| failed(&path, error.to_string()))?;
    read(&path, &Zeroizing::new(text))
}

fn read(path: &Path, text: &str) -> Result<StaticKey, KeyFileError> {
    let mode = fs::metadata(path)
        .map_err(|error| failed(path, error.to_string()))?
        .permissions()
        .mode();
    if mode & 0o077 != 0 {
        return Err(failed(
            path,
            format!("others may read this key (mode {:03o}); chmod 600 it", mode & 0o777),
        ));
    }
    let mut bytes = Zeroizing::new([0; 32]);
    hex::decode_to_slice(text.trim(), &mut *bytes).map_err(|_| {
        failed(
            path,
            "this is not a key of 64 hexadecimal digits; move it away to make a new one".to_owned(),
        )
    })?;
    Ok(StaticKey::from_bytes(*bytes))
}

/// Writes the key of a device that has none in `directory` yet.
///
/// # Errors
/// When there is one, or the file cannot be made.
pub fn keep(directory: &Path, device: &DeviceId, key: &StaticKey) -> Result<(), KeyFileError> {
    let path = directory.join(file_name(device));
    let text = Zeroizing::new(hex::encode(*key.expose()));
    let written = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .and_then(|()| {
            // Two first starts at once must not leave two keys: the second fails here and says so.
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)?;
            file.write_all(text.as_bytes())?;
            file.write_all(b"\n")?;
            file.sync_all()
        });
    written.map_err(|error| failed(&path, error.to_string()))
}

/// A name that is a file's whatever the device id holds.
fn file_name(device: &DeviceId) -> String {
    let mut name = String::new();
    for byte in device.as_str().bytes() {
        let first = name.is_empty();
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'@' => name.push(char::from(byte)),
            b'.' if !first => name.push('.'),
            _ => name.push_str(&format!("%{byte:02x}")),
        }
    }
    name.push_str(".key");
    name
}

fn failed(path: &Path, what: String) -> KeyFileError {
    KeyFileError {
        path: path.to_owned(),
        what,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use commucat_proto::DeviceId;

    use super::{file_name, load_or_make};
    use crate::OsEntropy;

    fn directory(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("client-keys-{}-{name}", std::process::id()))
    }

    fn device(name: &str) -> DeviceId {
        DeviceId::parse(name).expect("valid")
    }

    #[test]
    fn the_same_device_gets_the_same_key_and_nobody_else_may_read_it() {
        let directory = directory("same");
        let first = load_or_make(&directory, &device("alice"), &mut OsEntropy).expect("made");
        let again = load_or_make(&directory, &device("alice"), &mut OsEntropy).expect("read");
        let other = load_or_make(&directory, &device("bob"), &mut OsEntropy).expect("made");
        assert_eq!(first.public(), again.public());
        assert_ne!(first.public(), other.public());
        let mode = fs::metadata(directory.join("alice.key"))
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::remove_dir_all(directory).expect("ours");
    }

    #[test]
    fn a_key_that_others_may_read_or_that_is_none_is_refused() {
        let directory = directory("refused");
        load_or_make(&directory, &device("alice"), &mut OsEntropy).expect("made");
        let path = directory.join("alice.key");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("ours");
        let error = load_or_make(&directory, &device("alice"), &mut OsEntropy).expect_err("open to others");
        assert!(error.to_string().contains("chmod 600"), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("ours");
        fs::write(&path, "short").expect("ours");
        let error = load_or_make(&directory, &device("alice"), &mut OsEntropy).expect_err("no key");
        assert!(error.to_string().contains("64 hexadecimal digits"), "{error}");
        fs::remove_dir_all(directory).expect("ours");
    }

    #[test]
    fn no_device_id_leads_out_of_the_directory() {
        for (id, name) in [
            ("alice", "alice.key"),
            ("../x", "%2e.%2fx.key"),
            ("a/b@c.d", "a%2fb@c.d.key"),
            (".", "%2e.key"),
        ] {
            assert_eq!(file_name(&device(id)), name);
        }
    }
}
