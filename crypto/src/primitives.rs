//! What the Noise state machine computes with: X25519 with wiped secrets and a check for keys of low order,
//! ChaCha20-Poly1305 with wiped keys, BLAKE2s, and an ephemeral key drawn beforehand from the caller's generator.
//!
//! What stays outside our reach: the chaining key inside the state machine is freed, not wiped.

use blake2::{Blake2s256, Digest};
use chacha20poly1305::aead::{AeadInPlace, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::CryptoResolver;
use snow::types::{Cipher, Dh, Hash, Random};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::entropy::Entropy;
use crate::key::{KEY_LEN, PublicKey, StaticKey};

const TAG_LEN: usize = 16;

/// What one handshake is built from.
pub(crate) struct Primitives {
    own: StaticKey,
    ephemeral: Zeroizing<[u8; KEY_LEN]>,
}

impl Primitives {
    /// Draws the ephemeral key, so that the generator need not outlive this call.
    pub(crate) fn new(own: &StaticKey, entropy: &mut dyn Entropy) -> Self {
        let mut ephemeral = Zeroizing::new([0; KEY_LEN]);
        entropy.fill(&mut *ephemeral);
        Self {
            own: own.clone(),
            ephemeral,
        }
    }
}

impl CryptoResolver for Primitives {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Once(Some(self.ephemeral.clone()))))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        (*choice == DHChoice::Curve25519).then(|| Box::new(X25519(self.own.clone())) as Box<dyn Dh>)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        (*choice == HashChoice::Blake2s).then(|| Box::new(Blake2s(Blake2s256::new())) as Box<dyn Hash>)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        (*choice == CipherChoice::ChaChaPoly)
            .then(|| Box::new(ChaChaPoly(Zeroizing::new([0; KEY_LEN]))) as Box<dyn Cipher>)
    }
}

/// Gives the drawn key once. Noise asks once per handshake and side; a second time would repeat a secret.
struct Once(Option<Zeroizing<[u8; KEY_LEN]>>);

impl Random for Once {
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), snow::Error> {
        let drawn = self
            .0
            .take()
            .filter(|bytes| bytes.len() == out.len())
            .ok_or(snow::Error::Rng)?;
        out.copy_from_slice(&*drawn);
        Ok(())
    }
}

/// Starts as the long-term key, whose public half is already known, and becomes the ephemeral one by `generate`.
struct X25519(StaticKey);

impl Dh for X25519 {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        KEY_LEN
    }

    fn priv_len(&self) -> usize {
        KEY_LEN
    }

    fn set(&mut self, secret: &[u8]) {
        // The builder sets the long-term key that is here already; a scalar multiplication is saved each handshake.
        if !bool::from(secret.ct_eq(self.privkey())) {
            let mut bytes = [0; KEY_LEN];
            bytes.copy_from_slice(secret);
            self.0 = StaticKey::from_bytes(bytes);
        }
    }

    fn generate(&mut self, rng: &mut dyn Random) -> Result<(), snow::Error> {
        let mut bytes = Zeroizing::new([0; KEY_LEN]);
        rng.try_fill_bytes(&mut *bytes)?;
        self.0 = StaticKey::try_from_secret(bytes).ok_or(snow::Error::Dh)?;
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        self.0.public_bytes()
    }

    fn privkey(&self) -> &[u8] {
        self.0.secret_bytes()
    }

    fn dh(&self, public: &[u8], out: &mut [u8]) -> Result<(), snow::Error> {
        let (Some(public), Some(out)) = (public.first_chunk::<KEY_LEN>(), out.first_chunk_mut::<KEY_LEN>()) else {
            return Err(snow::Error::Dh);
        };
        let shared = self.0.agree(&PublicKey::from_bytes(*public)).ok_or(snow::Error::Dh)?;
        *out = *shared;
        Ok(())
    }
}

/// Noise specification § 12: the nonce is 32 zero bits, then the counter in little-endian.
struct ChaChaPoly(Zeroizing<[u8; KEY_LEN]>);

impl ChaChaPoly {
    fn cipher(&self) -> ChaCha20Poly1305 {
        ChaCha20Poly1305::new((&*self.0).into())
    }
}

/// The counter as ChaCha20-Poly1305 takes it.
#[expect(clippy::indexing_slicing, reason = "twelve octets, of which the counter takes eight")]
pub(crate) fn nonce(counter: u64) -> Nonce {
    let mut nonce = Nonce::default();
    nonce[4..].copy_from_slice(&counter.to_le_bytes());
    nonce
}

impl Cipher for ChaChaPoly {
    fn name(&self) -> &'static str {
        "ChaChaPoly"
    }

    fn set(&mut self, key: &[u8; KEY_LEN]) {
        *self.0 = *key;
    }

    #[expect(clippy::expect_used, reason = "65,535 bytes are far below the limit of the cipher")]
    #[expect(clippy::indexing_slicing, reason = "snow gives room for the tag")]
    fn encrypt(&self, counter: u64, authtext: &[u8], plaintext: &[u8], out: &mut [u8]) -> usize {
        let (text, rest) = out.split_at_mut(plaintext.len());
        text.copy_from_slice(plaintext);
        let tag = self
            .cipher()
            .encrypt_in_place_detached(&nonce(counter), authtext, text)
            .expect("a Noise message");
        rest[..TAG_LEN].copy_from_slice(&tag);
        plaintext.len() + TAG_LEN
    }

    fn decrypt(&self, counter: u64, authtext: &[u8], ciphertext: &[u8], out: &mut [u8]) -> Result<usize, snow::Error> {
        let (text, tag) = ciphertext.split_last_chunk::<TAG_LEN>().ok_or(snow::Error::Decrypt)?;
        let out = out.get_mut(..text.len()).ok_or(snow::Error::Decrypt)?;
        out.copy_from_slice(text);
        self.cipher()
            .decrypt_in_place_detached(&nonce(counter), authtext, out, tag.into())
            .map_err(|_| snow::Error::Decrypt)?;
        Ok(out.len())
    }
}

struct Blake2s(Blake2s256);

impl Hash for Blake2s {
    fn name(&self) -> &'static str {
        "BLAKE2s"
    }

    fn block_len(&self) -> usize {
        64
    }

    fn hash_len(&self) -> usize {
        32
    }

    fn reset(&mut self) {
        self.0 = Blake2s256::new();
    }

    fn input(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    #[expect(clippy::indexing_slicing, reason = "snow gives room for every hash it knows")]
    fn result(&mut self, out: &mut [u8]) {
        let hash = self.0.finalize_reset();
        out[..hash.len()].copy_from_slice(&hash);
    }
}
