//! The operator's token, from the file that the configuration names.

use std::path::Path;

use super::BootError;
use super::files::{FileError, read_shared_secret};
use crate::config::Config;
use crate::rest::operator::token::AdminToken;

/// A shorter token could be guessed.
const SHORTEST: usize = 16;
/// A longer one is not a token but another file.
const LONGEST: usize = 512;

/// The token, hashed; nothing when none is configured. Also what `--check` looks at.
///
/// # Errors
/// When the file cannot be read, everybody can read it, or what stands in it is no token.
pub fn token(config: &Config) -> Result<Option<AdminToken>, BootError> {
    let Some(path) = &config.admin_token_file else {
        return Ok(None);
    };
    let text = read_shared_secret(path)?;
    let token = text.trim();
    check(path, token)?;
    Ok(Some(AdminToken::new(token.as_bytes())?))
}

fn check(path: &Path, token: &str) -> Result<(), FileError> {
    let message = if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        "the admin token is one word of visible ASCII characters".to_owned()
    } else if !(SHORTEST..=LONGEST).contains(&token.len()) {
        format!(
            "the admin token has {} characters; {SHORTEST} to {LONGEST} are allowed: openssl rand -hex 32",
            token.len()
        )
    } else {
        return Ok(());
    };
    Err(FileError::contents(path, message))
}
