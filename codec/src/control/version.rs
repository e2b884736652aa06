//! Which protocol version two peers speak (CCP-1, Version Negotiation; decisions § 4).

use crate::diagnostic::Diagnostic;

/// The version of a client that says nothing about versions.
const UNSAID: u64 = 1;

/// The highest version that the client announces and `ours` holds. The array wins over the single value; versions
/// beyond 16 bits are merely ones we do not speak.
///
/// # Errors
/// [`Diagnostic::VersionMismatch`] when there is none.
pub fn negotiate(
    protocol_version: Option<u64>,
    supported_versions: Option<&[u64]>,
    ours: &[u16],
) -> Result<u16, Diagnostic> {
    let single = [protocol_version.unwrap_or(UNSAID)];
    let theirs = supported_versions.unwrap_or(&single);
    ours.iter()
        .copied()
        .filter(|&version| theirs.contains(&u64::from(version)))
        .max()
        .ok_or_else(|| Diagnostic::VersionMismatch { ours: ours.to_vec() })
}
