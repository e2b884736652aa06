//! TLS 1.3 knows no renegotiation: whoever begins a second handshake on a connection ends it (RFC 8446 § 4.1.2).
//!
//! A client cannot be made to do that, so these take the keys of an established connection out of one and write its next
//! record by hand.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use commucat_client::HttpVersion;
use commucat_client::tls::{Trust, client_config};
use commucat_tests::bystanders::Bystanders;
use commucat_tests::people::{PATIENCE, endpoint};
use commucat_tests::raw::{dial, read_to_end};
use commucat_tests::stage::Stage;
use rustls::crypto::cipher::{InboundOpaqueMessage, OutboundPlainMessage, Tls13AeadAlgorithm};
use rustls::{ClientConnection, ConnectionTrafficSecrets, ContentType, ExtractedSecrets, ProtocolVersion, StreamOwned};

use crate::tls::client_hello_1_3;

/// RFC 8446 § 6.
const UNEXPECTED_MESSAGE: u8 = 10;

/// An established connection without its client.
struct Keys {
    socket: TcpStream,
    aead: &'static dyn Tls13AeadAlgorithm,
    secrets: ExtractedSecrets,
}

impl Keys {
    fn of(stage: &Stage) -> Self {
        let mut config = client_config(&Trust::Insecure, HttpVersion::Http1)
            .unwrap()
            .as_ref()
            .clone();
        config.enable_secret_extraction = true;
        let name = endpoint(stage).server_name().unwrap();
        let socket = dial(stage);
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut stream = StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), socket);
        // An answer: the ticket, which comes before it, is taken then.
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"}") {
            let mut piece = [0; 1024];
            let count = stream.read(&mut piece).unwrap();
            assert_ne!(count, 0);
            answer.extend_from_slice(&piece[..count]);
        }
        let StreamOwned { conn, sock } = stream;
        Self {
            socket: sock,
            aead: conn.negotiated_cipher_suite().unwrap().tls13().unwrap().aead_alg,
            secrets: conn.dangerous_extract_secrets().unwrap(),
        }
    }

    /// Sends this under the connection's keys; gives the descriptions of the alerts that come back until the end.
    fn alerts_to(mut self, typ: ContentType, payload: &[u8]) -> Vec<u8> {
        let (number, keys) = self.secrets.tx;
        let message = OutboundPlainMessage {
            typ,
            version: ProtocolVersion::TLSv1_3,
            payload: payload.into(),
        };
        let (key, iv) = split(keys);
        let sealed = self.aead.encrypter(key, iv).encrypt(message, number).unwrap();
        self.socket.write_all(&sealed.encode()).unwrap();
        let mut said = read_to_end(&mut self.socket);
        let (mut number, keys) = self.secrets.rx;
        let (key, iv) = split(keys);
        let mut decrypter = self.aead.decrypter(key, iv);
        let (mut rest, mut alerts) = (said.as_mut_slice(), Vec::new());
        while let Some((head, after)) = rest.split_at_mut_checked(5) {
            let length = usize::from(u16::from_be_bytes([head[3], head[4]]));
            let (record, after) = after.split_at_mut(length);
            let opaque = InboundOpaqueMessage::new(ContentType::ApplicationData, ProtocolVersion::TLSv1_2, record);
            let plain = decrypter.decrypt(opaque, number).unwrap();
            assert_eq!(plain.typ, ContentType::Alert, "{:?}", plain.payload);
            alerts.push(plain.payload[1]);
            number += 1;
            rest = after;
        }
        alerts
    }
}

fn split(secrets: ConnectionTrafficSecrets) -> (rustls::crypto::cipher::AeadKey, rustls::crypto::cipher::Iv) {
    match secrets {
        ConnectionTrafficSecrets::Aes128Gcm { key, iv }
        | ConnectionTrafficSecrets::Aes256Gcm { key, iv }
        | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (key, iv),
        _ => panic!("a suite that the relay does not have"),
    }
}

#[test]
fn a_second_handshake_on_a_connection_is_an_unexpected_message_and_its_end() {
    let stage = Stage::new("");
    let mut bystanders = Bystanders::start(&stage);
    // The record, without its header, is the handshake message.
    let hello = client_hello_1_3(&stage)[5..].to_vec();
    for _ in 0..20 {
        assert_eq!(
            Keys::of(&stage).alerts_to(ContentType::Handshake, &hello),
            [UNEXPECTED_MESSAGE]
        );
        // RFC 5246's HelloRequest, and a Finished that finishes nothing.
        for message in [vec![0, 0, 0, 0], [vec![20, 0, 0, 32], vec![0; 32]].concat()] {
            let alerts = Keys::of(&stage).alerts_to(ContentType::Handshake, &message);
            assert!(matches!(alerts[..], [_]), "{message:?}: {alerts:?}");
        }
    }
    bystanders.go_on();
    // In the clear, as it would be at the beginning.
    let record = client_hello_1_3(&stage);
    for _ in 0..20 {
        let mut keys = Keys::of(&stage);
        keys.socket.write_all(&record).unwrap();
        let said = read_to_end(&mut keys.socket);
        assert!(said.len() <= 24, "an alert, or nothing: {said:02x?}");
    }
    bystanders.stop();
    stage.end();
}
