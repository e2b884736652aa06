//! X25519 keys: what is secret is wiped and never printed, what is public is compared in constant time all the same,
//! since it is compared against what a stranger sent.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::entropy::Entropy;

/// Bytes of a key, secret or public.
pub const KEY_LEN: usize = 32;

/// A public key, as it stands in HELLO's `client_static`.
#[derive(Clone, Copy, Eq)]
pub struct PublicKey([u8; KEY_LEN]);

/// The text is not 64 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a public key is 64 hex digits")]
pub struct KeyTextError;

impl PublicKey {
    /// Any 32 bytes are an X25519 public key; those that lead to no secret are refused when they are used.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; KEY_LEN]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; KEY_LEN] {
        &self.0
    }

    /// Whether both are the same key, in time that does not tell where they differ.
    #[must_use]
    pub fn ct_eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.ct_eq(other)
    }
}

impl Hash for PublicKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl From<[u8; KEY_LEN]> for PublicKey {
    fn from(bytes: [u8; KEY_LEN]) -> Self {
        Self(bytes)
    }
}

impl FromStr for PublicKey {
    type Err = KeyTextError;

    fn from_str(text: &str) -> Result<Self, KeyTextError> {
        let mut bytes = [0; KEY_LEN];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| KeyTextError)?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// A long-term secret with its public key, computed once: a server uses the same one for every handshake.
#[derive(Clone)]
pub struct StaticKey {
    secret: Zeroizing<[u8; KEY_LEN]>,
    /// The same secret as the library multiplies with it, which wipes its copy.
    scalar: Arc<PrivateKey>,
    public: PublicKey,
}

impl StaticKey {
    /// A new key.
    pub fn generate(entropy: &mut dyn Entropy) -> Self {
        let mut secret = Zeroizing::new([0; KEY_LEN]);
        entropy.fill(&mut *secret);
        Self::from_secret(secret)
    }

    /// The key whose secret scalar is `bytes`, clamped when used (RFC 7748 § 5). Existing clients use their Ed25519
    /// seed here (decisions § 4).
    #[must_use]
    pub fn from_bytes(bytes: [u8; KEY_LEN]) -> Self {
        Self::from_secret(Zeroizing::new(bytes))
    }

    #[expect(
        clippy::expect_used,
        reason = "any 32 bytes are a secret of X25519; what a peer asks for is tried"
    )]
    fn from_secret(secret: Zeroizing<[u8; KEY_LEN]>) -> Self {
        Self::try_from_secret(secret).expect("memory for a key")
    }

    /// As [`StaticKey::from_bytes`], for a key that a peer has asked for: `None` when the library has no memory for it, so
    /// that what was asked for fails, and nothing else.
    #[must_use]
    pub fn try_from_secret(secret: Zeroizing<[u8; KEY_LEN]>) -> Option<Self> {
        let scalar = PrivateKey::from_private_key(&X25519, &*secret).ok()?;
        let public = scalar.compute_public_key().ok()?.as_ref().try_into().ok()?;
        Some(Self {
            secret,
            scalar: Arc::new(scalar),
            public: PublicKey(public),
        })
    }

    /// The public half.
    #[must_use]
    pub const fn public(&self) -> PublicKey {
        self.public
    }

    /// The secret itself, for the one who stores it.
    #[must_use]
    pub fn expose(&self) -> Zeroizing<[u8; KEY_LEN]> {
        self.secret.clone()
    }

    pub(crate) fn public_bytes(&self) -> &[u8; KEY_LEN] {
        &self.public.0
    }

    pub(crate) fn secret_bytes(&self) -> &[u8; KEY_LEN] {
        &self.secret
    }

    /// X25519; `None` when the other key forces an all-zero result, which would make the secret known to everybody.
    pub(crate) fn agree(&self, other: &PublicKey) -> Option<Zeroizing<[u8; KEY_LEN]>> {
        let other = UnparsedPublicKey::new(&X25519, other.0);
        agree(&self.scalar, other, (), |shared| {
            let mut secret = Zeroizing::new([0; KEY_LEN]);
            secret.copy_from_slice(shared);
            Ok(secret)
        })
        .ok()
    }
}

/// By their public halves, which no two secrets that are used share.
impl PartialEq for StaticKey {
    fn eq(&self, other: &Self) -> bool {
        self.public == other.public
    }
}

impl Eq for StaticKey {}

impl fmt::Debug for StaticKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StaticKey(public: {}, secret: ..)", self.public)
    }
}
