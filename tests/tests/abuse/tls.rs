//! Bytes that are no TLS 1.3.

use std::io::Write;

use commucat_tests::bystanders::Bystanders;
use commucat_tests::curl::curl;
use commucat_tests::memory::{MIB, Watermark};
use commucat_tests::raw::{dial, read_to_end};
use commucat_tests::stage::Stage;

/// A fatal alert of this description, which is all that a relay may say to those who do not speak TLS 1.3.
fn alert(description: u8) -> [u8; 7] {
    [0x15, 0x03, 0x03, 0x00, 0x02, 0x02, description]
}

const PROTOCOL_VERSION: u8 = 70;

/// A ClientHello of TLS 1.2 (RFC 5246 § 7.4.1.2), complete and ordinary, without `supported_versions`.
fn client_hello_1_2() -> Vec<u8> {
    let extensions = [
        // supported_groups: secp256r1, x25519
        b"\x00\x0a\x00\x06\x00\x04\x00\x17\x00\x1d".as_slice(),
        // ec_point_formats: uncompressed
        b"\x00\x0b\x00\x02\x01\x00",
        // signature_algorithms: ecdsa_secp256r1_sha256, rsa_pss_rsae_sha256, rsa_pkcs1_sha256
        b"\x00\x0d\x00\x08\x00\x06\x04\x03\x08\x04\x04\x01",
    ]
    .concat();
    let mut body = b"\x03\x03".to_vec();
    body.extend([0x5a; 32]);
    // No session; ECDHE with AES-GCM by ECDSA and by RSA; no compression.
    body.extend(b"\x00\x00\x08\xc0\x2b\xc0\x2c\xc0\x2f\xc0\x30\x01\x00");
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    let mut handshake = vec![0x01, 0x00];
    handshake.extend((body.len() as u16).to_be_bytes());
    handshake.extend(body);
    record(0x16, &handshake)
}

fn record(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, 0x03, 0x01];
    bytes.extend((payload.len() as u16).to_be_bytes());
    bytes.extend(payload);
    bytes
}

#[test]
fn garbage_before_tls_gets_an_alert_or_a_close() {
    let stage = Stage::measured("");
    let mut bystanders = Bystanders::start(&stage);
    let watermark = Watermark::set(&stage);
    let noise: Vec<u8> = (0..70_000_u32)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let garbage: Vec<Vec<u8>> = vec![
        vec![0; 100],
        vec![0xff; 100_000],
        noise,
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        b"POST /connect HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        b"SSH-2.0-OpenSSH_9.9\r\n".to_vec(),
        // A record above 2^14 + 256, of a type that does not exist, of application data before any handshake.
        record(0x16, &[1; 0xffff]),
        record(0x99, b"what?"),
        record(0x17, &[0; 100]),
        // A ClientHello that says to be larger than any, one with nothing in it, and something that is none.
        record(0x16, b"\x01\xff\xff\xff"),
        record(0x16, b"\x01\x00\x00\x00"),
        record(0x16, b"\x02\x00\x00\x04\x03\x03\x00\x00"),
    ];
    for round in 0..20 {
        for (index, bytes) in garbage.iter().enumerate() {
            let mut socket = dial(&stage);
            // Whoever is refused while still talking may meet a reset.
            let _ = socket.write_all(bytes);
            let said = read_to_end(&mut socket);
            let alert_alone = said.len() == 7 && said.starts_with(&alert(0)[..6]);
            assert!(said.is_empty() || alert_alone, "{round}, {index}: {said:02x?}");
        }
    }
    bystanders.go_on();
    watermark.below(16 * MIB, "garbage before TLS");
    bystanders.stop();
    stage.end();
}

#[test]
fn tls_1_2_is_told_that_its_version_is_not_spoken() {
    let stage = Stage::new("");
    let bystanders = Bystanders::start(&stage);
    for _ in 0..20 {
        let mut socket = dial(&stage);
        socket.write_all(&client_hello_1_2()).unwrap();
        assert_eq!(read_to_end(&mut socket), alert(PROTOCOL_VERSION));
    }
    // A client that is not ours: curl's exit code 35 is a failed TLS handshake.
    let url = format!("{}/healthz", stage.url());
    assert_eq!(curl(&["--tls-max", "1.2", &url]).unwrap_err(), 35);
    assert_eq!(curl(&["--tlsv1.3", &url]).unwrap().status, 200);
    bystanders.stop();
    stage.end();
}

#[test]
fn a_handshake_that_is_cut_or_garbled_anywhere_ends_its_connection_alone() {
    let stage = Stage::new("[limits]\nhead_timeout = \"2s\"\n");
    let mut bystanders = Bystanders::start(&stage);
    let hello = client_hello_1_3(&stage);
    let mut half = Vec::new();
    for cut in (1..hello.len()).step_by(13) {
        let mut socket = dial(&stage);
        socket.write_all(&hello[..cut]).unwrap();
        if cut % 2 == 0 {
            // Half-open: it has to be given up in time.
            half.push(socket);
        }
    }
    for place in (0..hello.len()).step_by(7) {
        let mut garbled = hello.clone();
        garbled[place] ^= 0x41;
        let mut socket = dial(&stage);
        let _ = socket.write_all(&garbled);
        // Many changes are no error yet (the random, for one): then the rest of the handshake is missing.
        half.push(socket);
    }
    bystanders.go_on();
    for mut socket in half {
        read_to_end(&mut socket);
    }
    bystanders.stop();
    stage.end();
}

/// The first flight of a client of ours.
pub(crate) fn client_hello_1_3(stage: &Stage) -> Vec<u8> {
    use commucat_client::HttpVersion;
    use commucat_client::tls::{Tls, Trust, client_config};
    use commucat_tests::people::endpoint;
    let config = client_config(&Trust::Insecure, HttpVersion::Http2).unwrap();
    let mut tls = Tls::new(config, endpoint(stage).server_name().unwrap()).unwrap();
    let mut out = Vec::new();
    tls.start(&mut out).unwrap();
    assert!(out.len() > 200, "a ClientHello");
    out
}
