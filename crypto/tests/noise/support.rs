//! Two sides and a generator with a seed.

use commucat_crypto::{
    DEFAULT_PROLOGUE, Entropy, Established, Initiator, InitiatorHello, NoiseError, Pattern, PublicKey, Responder,
    ResponderHello, StaticKey,
};

pub(crate) const PATTERNS: [Pattern; 2] = [Pattern::Xk, Pattern::Ik];

/// SplitMix64: good enough to make keys that differ.
pub(crate) struct Seeded(pub(crate) u64);

impl Entropy for Seeded {
    fn fill(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut word = self.0;
            word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            chunk.copy_from_slice(&(word ^ (word >> 31)).to_le_bytes()[..chunk.len()]);
        }
    }
}

pub(crate) fn server_key() -> StaticKey {
    StaticKey::generate(&mut Seeded(1))
}

pub(crate) fn client_key() -> StaticKey {
    StaticKey::generate(&mut Seeded(2))
}

pub(crate) fn start(pattern: Pattern) -> (InitiatorHello, Vec<u8>) {
    start_to(pattern, server_key().public(), DEFAULT_PROLOGUE)
}

pub(crate) fn start_to(pattern: Pattern, server: PublicKey, prologue: &[u8]) -> (InitiatorHello, Vec<u8>) {
    Initiator::start(pattern, &client_key(), server, prologue, &mut Seeded(3)).unwrap()
}

pub(crate) fn read_hello(pattern: Pattern, message: &[u8]) -> Result<ResponderHello, NoiseError> {
    read_hello_with(pattern, message, 4)
}

pub(crate) fn read_hello_with(pattern: Pattern, message: &[u8], seed: u64) -> Result<ResponderHello, NoiseError> {
    Responder::read_hello(pattern, &server_key(), DEFAULT_PROLOGUE, message, &mut Seeded(seed))
}

/// Both ends of a session, client first.
pub(crate) fn establish(pattern: Pattern) -> (Established, Established) {
    let (client, message_1) = start(pattern);
    let mut message_2 = Vec::new();
    let server = read_hello(pattern, &message_1)
        .unwrap()
        .write_auth(b"{}", &mut message_2)
        .unwrap();
    let (client, _) = client.read_auth(&message_2).unwrap();
    let (proof, client) = client.proof().unwrap();
    (client, server.finish(&proof).unwrap())
}
