//! Our TLS layer against rustls' own server, in memory, cut at random places.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use commucat_client::HttpVersion;
use commucat_client::tls::{Tls, TlsError, Trust, TrustError, client_config};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ServerConfig, ServerConnection};

use crate::relay::Seeded;

pub(crate) struct Certificate {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) pem: PathBuf,
}

/// A self-signed certificate for `localhost`, as a relay makes for development.
pub(crate) fn certificate(
    name: &str,
    alpn: &[&[u8]],
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> Certificate {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let pem = std::env::temp_dir().join(format!("commucat-client-{}-{name}.pem", std::process::id()));
    std::fs::write(&pem, made.cert.pem()).expect("a writable temporary directory");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("supported")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("they belong together");
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Certificate {
        config: Arc::new(config),
        pem,
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.pem);
    }
}

pub(crate) const TLS13: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13];

/// Client, server, and what lies on the wire between them.
struct Pair {
    client: Tls,
    server: ServerConnection,
    to_server: Vec<u8>,
    received: Vec<u8>,
    arrived: Vec<u8>,
    cuts: Seeded,
}

impl Pair {
    fn new(seed: u64, certificate: &Certificate, trust: &Trust, name: &'static str) -> Self {
        let config = client_config(trust, HttpVersion::Http2).expect("a configuration");
        let mut client = Tls::new(config, ServerName::try_from(name).expect("a name")).expect("a client");
        let mut to_server = Vec::new();
        client.start(&mut to_server).expect("a ClientHello");
        let server = ServerConnection::new(Arc::clone(&certificate.config)).expect("a server");
        Self {
            client,
            server,
            to_server,
            received: Vec::new(),
            arrived: Vec::new(),
            cuts: Seeded::new(seed),
        }
    }

    /// Moves bytes until nothing moves.
    fn run(&mut self) -> Result<(), TlsError> {
        loop {
            let wire = std::mem::take(&mut self.to_server);
            let mut rest = wire.as_slice();
            while !rest.is_empty() {
                self.server.read_tls(&mut rest).expect("memory");
                // A refused handshake ends with the alert that is still to be written.
                let _ = self.server.process_new_packets();
                let _ = self.server.reader().read_to_end(&mut self.arrived);
            }
            let mut back = Vec::new();
            while self.server.wants_write() {
                self.server.write_tls(&mut back).expect("memory");
            }
            if wire.is_empty() && back.is_empty() {
                return Ok(());
            }
            let mut rest = back.as_mut_slice();
            let longest = 1 + self.cuts.below(5000);
            while !rest.is_empty() {
                let length = (1 + self.cuts.below(longest)).min(rest.len());
                let (piece, after) = rest.split_at_mut(length);
                let received = &mut self.received;
                self.client
                    .receive(piece, &mut self.to_server, |plain| received.extend_from_slice(plain))?;
                rest = after;
            }
        }
    }
}

#[test]
fn plaintext_arrives_whole_both_ways_wherever_the_wire_is_cut() {
    let certificate = certificate("whole", &[b"h2"], TLS13);
    for seed in 0..30 {
        let mut pair = Pair::new(seed, &certificate, &Trust::File(certificate.pem.clone()), "localhost");
        pair.run().expect("the handshake succeeds");
        assert!(pair.client.is_ready());
        pair.client.check_alpn(b"h2").expect("agreed");
        for size in [1, 16_384, 16_385, 100_000] {
            let text: Vec<u8> = (0..size).map(|index| (index % 251) as u8).collect();
            pair.client.seal(&text, &mut pair.to_server).expect("ready");
            pair.run().expect("carries");
            assert_eq!(std::mem::take(&mut pair.arrived), text);

            pair.received.clear();
            let mut rest = text.as_slice();
            while !rest.is_empty() {
                let written = pair.server.writer().write(rest).expect("buffered");
                rest = &rest[written..];
                pair.run().expect("carries");
            }
            assert_eq!(pair.received, text);
        }
    }
}

#[test]
fn what_is_to_be_sealed_when_both_sides_have_ended_is_dropped_and_no_error() {
    let certificate = certificate("ended", &[b"h2"], TLS13);
    let mut pair = Pair::new(2, &certificate, &Trust::Insecure, "localhost");
    pair.run().expect("the handshake succeeds");
    pair.client.close(&mut pair.to_server).expect("ready");
    pair.server.send_close_notify();
    pair.run().expect("both end");
    assert!(pair.client.is_closed());
    pair.client.seal(b"for nobody", &mut pair.to_server).expect("no error");
    assert!(pair.to_server.is_empty());
}

#[test]
fn a_record_is_as_long_as_it_has_to_be() {
    let certificate = certificate("length", &[b"h2"], TLS13);
    let mut pair = Pair::new(1, &certificate, &Trust::Insecure, "localhost");
    pair.run().expect("the handshake succeeds");
    for (plain, records) in [(1, 1), (16_384, 1), (16_385, 2)] {
        let mut out = Vec::new();
        pair.client.seal(&vec![0; plain], &mut out).expect("ready");
        assert_eq!(out.len(), plain + records * 22);
    }
}

#[test]
fn a_certificate_that_is_not_trusted_is_refused_with_the_way_out() {
    let (shown, trusted) = (
        certificate("shown", &[b"h2"], TLS13),
        certificate("trusted", &[b"h2"], TLS13),
    );
    let mut pair = Pair::new(1, &shown, &Trust::File(trusted.pem.clone()), "localhost");
    let error = pair.run().expect_err("another certificate").to_string();
    assert!(error.contains("--ca FILE") && error.contains("--insecure"), "{error}");
    assert!(!pair.to_server.is_empty(), "the server is told by an alert");

    let mut pair = Pair::new(1, &shown, &Trust::File(shown.pem.clone()), "relay.example");
    assert!(pair.run().is_err(), "the right certificate for another name");
}

#[test]
fn only_insecure_accepts_any_certificate_for_any_name() {
    let certificate = certificate("any", &[b"h2"], TLS13);
    let mut pair = Pair::new(1, &certificate, &Trust::Insecure, "relay.example");
    pair.run().expect("accepted");
    assert!(pair.client.is_ready());
}

#[test]
fn a_server_that_does_not_agree_to_the_protocol_is_found_out() {
    let certificate = certificate("alpn", &[], TLS13);
    let mut pair = Pair::new(1, &certificate, &Trust::Insecure, "localhost");
    pair.run().expect("a server without ALPN completes the handshake");
    assert!(matches!(pair.client.check_alpn(b"h2"), Err(TlsError::Alpn { .. })));
    pair.client
        .check_alpn(b"http/1.1")
        .expect("what a server without ALPN speaks");
}

#[test]
fn nothing_is_sealed_before_the_handshake_is_complete() {
    let certificate = certificate("early", &[b"h2"], TLS13);
    let mut pair = Pair::new(1, &certificate, &Trust::Insecure, "localhost");
    assert!(matches!(
        pair.client.seal(b"early", &mut Vec::new()),
        Err(TlsError::NotReady)
    ));
}

#[test]
fn both_sides_can_close() {
    let certificate = certificate("close", &[b"h2"], TLS13);
    let mut pair = Pair::new(1, &certificate, &Trust::Insecure, "localhost");
    pair.run().expect("the handshake succeeds");
    pair.client.close(&mut pair.to_server).expect("ready");
    pair.run().expect("carries");
    assert_eq!(pair.server.reader().read(&mut [0; 1]).expect("a clean end"), 0);
    pair.server.send_close_notify();
    pair.run().expect("carries");
    assert!(pair.client.is_closed());
}

#[test]
fn files_that_hold_no_certificate_are_named() {
    let missing = PathBuf::from("/nonexistent/ca.pem");
    let error = client_config(&Trust::File(missing), HttpVersion::Http1).expect_err("no file");
    assert!(matches!(error, TrustError::File { .. }) && error.to_string().contains("/nonexistent/ca.pem"));
    let empty = std::env::temp_dir().join(format!("commucat-client-{}-empty.pem", std::process::id()));
    std::fs::write(&empty, "nothing here\n").expect("a writable temporary directory");
    let error = client_config(&Trust::File(empty.clone()), HttpVersion::Http1).expect_err("no certificate");
    assert!(matches!(error, TrustError::Empty { .. }), "{error}");
    std::fs::remove_file(empty).expect("it was there");
}
