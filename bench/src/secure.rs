//! Both ends of a TLS connection and of a Noise handshake, in memory: the relay's own and its client's.

use std::sync::Arc;

use commucat_client::HttpVersion;
use commucat_client::tls::{Tls as ClientTls, Trust, client_config};
use commucat_client::{OsEntropy, Pattern, StaticKey};
use commucat_crypto::{DEFAULT_PROLOGUE, Established, Initiator, Responder};
use commucat_shard::conn::tls::{Tls, server_config};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};

/// A TLS handshake takes three.
const MAX_FLIGHTS: usize = 8;

/// The configurations of both ends: ECDSA on P-256 and AES-128-GCM, as the relay and its client choose by themselves.
#[derive(Debug)]
pub struct TlsEnds {
    server: Arc<rustls::ServerConfig>,
    client: Arc<rustls::ClientConfig>,
}

impl Default for TlsEnds {
    fn default() -> Self {
        Self::new()
    }
}

impl TlsEnds {
    /// With a fresh certificate, which the client does not check.
    ///
    /// # Panics
    /// When no certificate can be made of it.
    #[must_use]
    pub fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a name");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        Self {
            server: server_config(vec![made.cert.der().clone()], key).expect("a certificate and its key"),
            client: client_config(&Trust::Insecure, HttpVersion::Http1).expect("no roots are needed"),
        }
    }

    /// A connection that is open at both ends.
    ///
    /// # Panics
    /// When the ends do not understand each other.
    #[must_use]
    pub fn handshake(&self) -> (Tls, ClientTls) {
        let mut server = Tls::new(&self.server).expect("a usable configuration");
        let name = ServerName::try_from("localhost").expect("a name");
        let mut client = ClientTls::new(Arc::clone(&self.client), name).expect("a usable configuration");
        let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
        client.start(&mut to_server).expect("a ClientHello");
        for _ in 0..MAX_FLIGHTS {
            server
                .receive(&mut to_server, &mut to_client, &mut |_| {})
                .expect("a client that keeps to the protocol");
            to_server.clear();
            if to_client.is_empty() {
                break;
            }
            client
                .receive(&mut to_client, &mut to_server, |_| {})
                .expect("a server that keeps to the protocol");
            to_client.clear();
        }
        assert!(client.is_ready(), "the handshake is complete");
        (server, client)
    }
}

/// See [`TlsEnds::handshake`].
#[must_use]
pub fn tls_pair() -> (Tls, ClientTls) {
    TlsEnds::new().handshake()
}

/// A Noise XK session, the initiator's end and the responder's, with fresh keys.
///
/// # Panics
/// When the ends do not understand each other.
#[must_use]
pub fn noise_pair() -> (Established, Established) {
    let (theirs, ours) = (StaticKey::generate(&mut OsEntropy), StaticKey::generate(&mut OsEntropy));
    let (hello, first) =
        Initiator::start(Pattern::Xk, &theirs, ours.public(), DEFAULT_PROLOGUE, &mut OsEntropy).expect("a usable key");
    let mut second = Vec::new();
    let awaiting = Responder::read_hello(Pattern::Xk, &ours, DEFAULT_PROLOGUE, &first, &mut OsEntropy)
        .and_then(|hello| hello.write_auth(b"{}", &mut second))
        .expect("a message for this key");
    let (ready, _) = hello.read_auth(&second).expect("an answer of the one it was for");
    let (third, client) = ready.proof().expect("a complete handshake");
    (client, awaiting.finish(&third).expect("a proof"))
}

#[cfg(test)]
mod tests {
    use super::{noise_pair, tls_pair};

    #[test]
    fn what_the_relay_seals_its_client_opens() {
        let (mut server, mut client) = tls_pair();
        let mut wire = Vec::new();
        server.seal(b"hello", &mut wire).expect("an open connection");
        let mut plain = Vec::new();
        client
            .receive(&mut wire, &mut Vec::new(), |bytes| plain.extend_from_slice(bytes))
            .expect("a record of this connection");
        assert_eq!(plain, b"hello");
        let (mut client, mut server) = noise_pair();
        let (mut wire, mut plain) = (Vec::new(), Vec::new());
        server.transport.seal(b"hello", &mut wire).expect("a fresh key");
        client
            .transport
            .open(&wire, &mut plain)
            .expect("a message of this session");
        assert_eq!(plain, b"hello");
    }
}
