//! Device certificates (decisions § 4): the server's device authority signs which key a device of a user has.
//!
//! The authority is an Ed25519 key in the server's data folder. The REST router issues certificates, shards verify those
//! that come in HELLO.

use std::fmt;

use commucat_proto::control::{DeviceCertificate, HexKey, HexSignature, Text};
use commucat_proto::{DeviceId, UserId};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

/// The device authority.
pub struct DeviceCa {
    key: SigningKey,
    issuer: Text,
}

/// What a certificate says.
#[derive(Clone, Debug)]
pub struct Claims {
    /// Below 2^53, never given twice.
    pub serial: u64,
    /// Whose device it is.
    pub user: UserId,
    /// The device.
    pub device: DeviceId,
    /// Its key.
    pub public_key: [u8; 32],
    /// Unix seconds.
    pub issued_at: u64,
    /// Unix seconds.
    pub expires_at: u64,
}

/// Why a certificate is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Signed by somebody else, or changed since.
    #[error("the certificate's signature does not verify")]
    Signature,
    /// Its time is over.
    #[error("the certificate has expired")]
    Expired,
}

impl DeviceCa {
    /// The authority of `issuer` whose Ed25519 seed is this.
    #[must_use]
    pub fn new(seed: &Zeroizing<[u8; 32]>, issuer: &str) -> Self {
        Self {
            key: SigningKey::from_bytes(seed),
            issuer: Text::cut(issuer),
        }
    }

    /// What verifies its certificates.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }

    /// Signs.
    #[must_use]
    pub fn issue(&self, claims: Claims) -> DeviceCertificate {
        let mut certificate = DeviceCertificate {
            serial: claims.serial,
            user_id: claims.user,
            device_id: claims.device,
            public_key: HexKey(claims.public_key),
            issuer: self.issuer.clone(),
            issued_at: claims.issued_at,
            expires_at: claims.expires_at,
            signature: HexSignature([0; 64]),
        };
        let signature = self.key.sign(&certificate.signed_bytes());
        certificate.signature = HexSignature(signature.to_bytes());
        certificate
    }
}

impl fmt::Debug for DeviceCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceCa(issuer: {}, secret: ..)", self.issuer)
    }
}

/// Whether the authority `ca` has signed this certificate and it still counts at `now` (Unix seconds). Whom it is about is
/// for the caller to compare.
///
/// # Errors
/// [`CertificateError`]
pub fn verify(certificate: &DeviceCertificate, ca: &[u8; 32], now: u64) -> Result<(), CertificateError> {
    let key = VerifyingKey::from_bytes(ca).map_err(|_| CertificateError::Signature)?;
    let signature = Signature::from_bytes(&certificate.signature.0);
    // Strict: a key or a nonce of small order verifies for nobody.
    key.verify_strict(&certificate.signed_bytes(), &signature)
        .map_err(|_| CertificateError::Signature)?;
    if now >= certificate.expires_at {
        return Err(CertificateError::Expired);
    }
    Ok(())
}
