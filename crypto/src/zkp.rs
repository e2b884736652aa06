//! The Schnorr proof that existing clients put into HELLO (decisions § 4): whoever made it holds the secret of
//! `device_public`, and made it for this domain, this device and this Noise key.
//!
//! Called by the shard for every HELLO that carries a `zkp`; one that does not verify ends the handshake.

use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::entropy::Entropy;

const DOMAIN: &[u8] = b"commucat:zkp:handshake:v1";

/// What a proof is bound to.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The server's domain.
    pub domain: &'a str,
    /// As HELLO has it.
    pub device_id: &'a str,
    /// An Ed25519 public key.
    pub device_public: &'a [u8; 32],
    /// The X25519 key of the Noise handshake.
    pub client_static: &'a [u8; 32],
}

/// `{commitment, response}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// A compressed Edwards point.
    pub commitment: [u8; 32],
    /// A scalar below the group's order.
    pub response: [u8; 32],
}

impl Context<'_> {
    /// Whether `proof` was made by the holder of `device_public`'s secret for this context. Numbers that are not
    /// canonical, points that are none, and keys of small order prove nothing.
    #[must_use]
    pub fn verify(&self, proof: &Proof) -> bool {
        let Some(response) = Option::<Scalar>::from(Scalar::from_canonical_bytes(proof.response)) else {
            return false;
        };
        let (Some(public), Some(commitment)) = (point(self.device_public), point(&proof.commitment)) else {
            return false;
        };
        let left = EdwardsPoint::mul_base(&response);
        let right = commitment + public * self.challenge(&proof.commitment);
        !public.is_small_order() && left.ct_eq(&right).into()
    }

    /// Makes the proof that `verify` takes: for clients. `secret` is the scalar behind `device_public`.
    #[must_use]
    pub fn prove(&self, secret: &Scalar, entropy: &mut impl Entropy) -> Proof {
        let mut wide = Zeroizing::new([0; 64]);
        entropy.fill(&mut *wide);
        let nonce = Zeroizing::new(Scalar::from_bytes_mod_order_wide(&wide));
        let commitment = (ED25519_BASEPOINT_POINT * *nonce).compress().to_bytes();
        let response = *nonce + self.challenge(&commitment) * secret;
        Proof {
            commitment,
            response: response.to_bytes(),
        }
    }

    fn challenge(&self, commitment: &[u8; 32]) -> Scalar {
        let mut context = DOMAIN.to_vec();
        for text in [self.domain, self.device_id] {
            // Both are names of bounded length.
            context.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
            context.extend(text.as_bytes());
        }
        context.extend(self.device_public);
        context.extend(self.client_static);
        let mut hasher = blake3::Hasher::new();
        hasher.update(DOMAIN);
        hasher.update(&(context.len() as u64).to_le_bytes());
        hasher.update(&context);
        hasher.update(self.device_public);
        hasher.update(commitment);
        let mut wide = [0; 64];
        hasher.finalize_xof().fill(&mut wide);
        Scalar::from_bytes_mod_order_wide(&wide)
    }
}

/// The Ed25519 secret scalar of a seed (RFC 8032, section 5.1.5), and its public key.
#[must_use]
#[expect(clippy::indexing_slicing, reason = "half of 64 octets")]
pub fn device_keys(seed: &[u8; 32]) -> (Zeroizing<Scalar>, [u8; 32]) {
    use sha2::Digest;
    let hash = Zeroizing::new(<[u8; 64]>::from(sha2::Sha512::digest(seed)));
    let mut low = Zeroizing::new([0; 32]);
    low.copy_from_slice(&hash[..32]);
    let secret = Scalar::from_bytes_mod_order(curve25519_dalek::scalar::clamp_integer(*low));
    let public = EdwardsPoint::mul_base(&secret).compress().to_bytes();
    (Zeroizing::new(secret), public)
}

fn point(bytes: &[u8; 32]) -> Option<EdwardsPoint> {
    CompressedEdwardsY(*bytes).decompress()
}
