//! `conn::tls` against a real rustls client, in memory.

use std::io::{Read, Write};
use std::sync::Arc;

use commucat_shard::conn::tls::{Alpn, Tls, TlsError, TlsState, server_config};
use proptest::prelude::*;
use rustls::client::ClientConnection;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

struct World {
    server: Arc<ServerConfig>,
    client: ClientConfig,
}

fn world() -> World {
    let made = rcgen::generate_simple_self_signed(vec!["relay.test".to_owned()]).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let server = server_config(vec![made.cert.der().clone()], key).unwrap();
    let client = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    World { server, client }
}

impl World {
    fn client(&self, alpn: &[&[u8]]) -> ClientConnection {
        let mut config = self.client.clone();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        ClientConnection::new(Arc::new(config), ServerName::try_from("relay.test").unwrap()).unwrap()
    }
    fn server(&self) -> Tls {
        Tls::new(&self.server).unwrap()
    }
}

fn sent(client: &mut ClientConnection) -> Vec<u8> {
    let mut wire = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut wire).unwrap();
    }
    wire
}

/// Feeds the client and returns what it read.
fn feed_client(client: &mut ClientConnection, mut wire: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    while !wire.is_empty() {
        client.read_tls(&mut wire).unwrap();
        let readable = client.process_new_packets().unwrap().plaintext_bytes_to_read();
        let start = plain.len();
        plain.resize(start + readable, 0);
        client.reader().read_exact(&mut plain[start..]).unwrap();
    }
    plain
}

/// Feeds `wire` in pieces of `cut`; returns the last state, the plain bytes and the replies.
fn feed(server: &mut Tls, wire: &[u8], cut: usize) -> Result<(TlsState, Vec<u8>, Vec<u8>), TlsError> {
    let (mut plain, mut out) = (Vec::new(), Vec::new());
    let mut state = TlsState::Handshaking;
    for piece in wire.chunks(cut) {
        let mut lent = piece.to_vec();
        state = server.receive(&mut lent, &mut out, &mut |bytes| plain.extend_from_slice(bytes))?;
    }
    Ok((state, plain, out))
}

/// Shakes hands; the server gets its bytes in pieces of `cut`.
fn shake(client: &mut ClientConnection, server: &mut Tls, cut: usize) -> TlsState {
    loop {
        let wire = sent(client);
        let (state, plain, out) = feed(server, &wire, cut).unwrap();
        assert!(plain.is_empty());
        feed_client(client, &out);
        if !client.is_handshaking() && !client.wants_write() {
            return state;
        }
    }
}

fn open(alpn: &[&[u8]]) -> (ClientConnection, Tls) {
    let world = world();
    let (mut client, mut server) = (world.client(alpn), world.server());
    shake(&mut client, &mut server, usize::MAX);
    (client, server)
}

#[test]
fn a_tls_1_3_client_gets_through_in_arbitrary_cuts() {
    let world = world();
    let text: Vec<u8> = (0..50_000u32).map(|i| i as u8).collect();
    for cut in [1, 2, 3, 5, 7, 64, 1_000, 16_384, 16_405, 16_406, 17_000, usize::MAX] {
        let (mut client, mut server) = (world.client(&[b"h2", b"http/1.1"]), world.server());
        assert_eq!(shake(&mut client, &mut server, cut), TlsState::Open { alpn: Alpn::H2 });
        assert_eq!(client.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
        assert_eq!(server.buffered(), 0);

        client.writer().write_all(&text).unwrap();
        let (_, plain, out) = feed(&mut server, &sent(&mut client), cut).unwrap();
        assert_eq!(plain, text, "cut {cut}");
        assert!(out.is_empty());
        assert_eq!(server.buffered(), 0);

        let mut out = Vec::new();
        server.seal(&text, &mut out).unwrap();
        assert_eq!(feed_client(&mut client, &out), text);
    }
}

#[test]
fn sealing_takes_as_few_records_as_fit_and_appends() {
    let (_, mut server) = open(&[]);
    for (len, records) in [(1, 1), (16_384, 1), (16_385, 2), (40_000, 3)] {
        let mut out = b"before".to_vec();
        server.seal(&vec![7; len], &mut out).unwrap();
        assert_eq!(out.len(), 6 + len + records * 22);
        assert_eq!(&out[..6], b"before");
    }
    let mut out = Vec::new();
    server.seal(&[], &mut out).unwrap();
    assert!(out.is_empty(), "nothing to say is no record");
}

#[test]
fn alpn_chooses_and_its_absence_means_http_1_1() {
    for (offer, want) in [
        (&[&b"h2"[..]][..], Alpn::H2),
        (&[b"http/1.1", b"h2"], Alpn::H2),
        (&[b"http/1.1"], Alpn::Http11),
        (&[], Alpn::Http11),
    ] {
        assert_eq!(open(offer).1.alpn(), want);
    }
}

#[test]
fn an_alpn_we_do_not_speak_is_refused_with_its_alert() {
    let world = world();
    let (mut client, mut server) = (world.client(&[b"smtp"]), world.server());
    let mut out = Vec::new();
    let error = server
        .receive(&mut sent(&mut client), &mut out, &mut |_| {})
        .unwrap_err();
    assert!(matches!(error, TlsError::Protocol(_)));
    client.read_tls(&mut &out[..]).unwrap();
    assert!(matches!(
        client.process_new_packets(),
        Err(rustls::Error::AlertReceived(
            rustls::AlertDescription::NoApplicationProtocol
        ))
    ));
}

/// A ClientHello as a TLS 1.2 client sends it: no `supported_versions`.
fn hello_1_2() -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([9; 32]);
    body.push(0); // session id
    body.extend([0, 4, 0xc0, 0x2f, 0xc0, 0x2b]); // ECDHE with AES-128-GCM
    body.extend([1, 0]); // null compression
    let groups = [0, 10, 0, 4, 0, 2, 0, 29];
    let signatures = [0, 13, 0, 6, 0, 4, 4, 3, 8, 4];
    body.extend((groups.len() as u16 + signatures.len() as u16).to_be_bytes());
    body.extend(groups);
    body.extend(signatures);
    let mut wire = vec![22, 3, 1];
    wire.extend((body.len() as u16 + 4).to_be_bytes());
    wire.extend([1, 0]);
    wire.extend((body.len() as u16).to_be_bytes());
    wire.extend(body);
    wire
}

#[test]
fn a_tls_1_2_client_gets_the_protocol_version_alert() {
    let world = world();
    for cut in [1, usize::MAX] {
        let mut server = world.server();
        let mut out = Vec::new();
        let hello = hello_1_2();
        let refused = hello.chunks(cut).find_map(|piece| {
            server
                .receive(&mut piece.to_vec(), &mut out, &mut |_| panic!("plain bytes"))
                .err()
        });
        assert!(matches!(refused, Some(TlsError::Protocol(_))));
        assert_eq!(out, [21, 3, 3, 0, 2, 2, 70], "protocol_version");
    }
}

#[test]
fn garbage_and_plain_http_are_refused_at_the_record_header() {
    for garbage in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"PRI * HTTP/2.0\r\n",
        &[0xff; 5],
        &[22, 3, 1, 0xff, 0xff],
    ] {
        for cut in [1, usize::MAX] {
            let mut server = world().server();
            let (mut out, mut fed) = (Vec::new(), 0);
            let refused = garbage.chunks(cut).find_map(|piece| {
                fed += piece.len();
                server
                    .receive(&mut piece.to_vec(), &mut out, &mut |_| panic!("plain bytes"))
                    .err()
            });
            assert!(matches!(refused, Some(TlsError::Protocol(_))), "{garbage:?}");
            assert!(cut == usize::MAX || fed <= 5, "waited for a body of {garbage:?}");
            assert_eq!(out.first(), Some(&21), "an alert for {garbage:?}");
            assert!(matches!(
                server.receive(&mut [1], &mut out, &mut |_| {}),
                Err(TlsError::NotOpen)
            ));
        }
    }
}

#[test]
fn a_tampered_record_ends_the_connection_with_an_alert() {
    let (mut client, mut server) = open(&[]);
    client.writer().write_all(b"hello").unwrap();
    let mut wire = sent(&mut client);
    *wire.last_mut().unwrap() ^= 1;
    let mut out = Vec::new();
    let error = server
        .receive(&mut wire, &mut out, &mut |_| panic!("plain bytes"))
        .unwrap_err();
    assert!(matches!(error, TlsError::Protocol(_)));
    assert!(client.read_tls(&mut &out[..]).is_ok());
    assert!(
        matches!(
            client.process_new_packets(),
            Err(rustls::Error::AlertReceived(rustls::AlertDescription::BadRecordMac))
        ),
        "the client learns why"
    );
    assert!(matches!(server.seal(b"x", &mut out), Err(TlsError::NotOpen)));
}

#[test]
fn close_notify_ends_one_direction_and_leaves_the_other() {
    let (mut client, mut server) = open(&[]);
    client.writer().write_all(b"last words").unwrap();
    client.send_close_notify();
    let mut wire = sent(&mut client);
    wire.extend_from_slice(b"bytes after the end");
    let (state, plain, _) = feed(&mut server, &wire, usize::MAX).unwrap();
    assert_eq!((state, &plain[..]), (TlsState::PeerClosed, &b"last words"[..]));
    assert_eq!(server.buffered(), 0);

    let mut out = Vec::new();
    server.seal(b"answer", &mut out).unwrap();
    server.close_notify(&mut out);
    let len = out.len();
    server.close_notify(&mut out);
    assert_eq!(out.len(), len, "said once");
    assert!(matches!(server.seal(b"x", &mut out), Err(TlsError::NotOpen)));
    assert_eq!(feed_client(&mut client, &out), b"answer");
    assert!(client.process_new_packets().unwrap().peer_has_closed());
}

#[test]
fn nothing_is_sealed_before_the_handshake_is_done() {
    let world = world();
    let (mut client, mut server) = (world.client(&[]), world.server());
    let mut out = Vec::new();
    assert!(matches!(server.seal(b"early", &mut out), Err(TlsError::NotOpen)));
    server.close_notify(&mut out);
    assert!(out.is_empty());
    let hello = sent(&mut client);
    for piece in hello.chunks(100) {
        server
            .receive(&mut piece.to_vec(), &mut Vec::new(), &mut |_| {})
            .unwrap();
        assert!(matches!(server.seal(b"half-RTT", &mut out), Err(TlsError::NotOpen)));
    }
    assert!(out.is_empty());
}

#[test]
fn key_updates_are_answered_and_data_goes_on_in_every_cut() {
    for cut in [1, 4, 21, 33, usize::MAX] {
        let (mut client, mut server) = open(&[]);
        for round in 0..3u8 {
            client.refresh_traffic_keys().unwrap();
            client.writer().write_all(&[round; 300]).unwrap();
            let (_, plain, mut out) = feed(&mut server, &sent(&mut client), cut).unwrap();
            assert_eq!(plain, [round; 300]);
            server.seal(&[round; 20], &mut out).unwrap();
            assert_eq!(feed_client(&mut client, &out), [round; 20]);
        }
    }
}

/// Re-frames the handshake messages of plaintext records into records of `size` octets each.
fn refragment(wire: &[u8], size: usize) -> Vec<u8> {
    assert_eq!(wire[0], 22);
    let mut out = Vec::new();
    for piece in wire[5..].chunks(size) {
        out.extend([22, 3, 1]);
        out.extend((piece.len() as u16).to_be_bytes());
        out.extend(piece);
    }
    out
}

#[test]
fn a_client_hello_in_many_records_is_put_together() {
    let world = world();
    for size in [1, 3, 100] {
        for cut in [1, 6, 50, usize::MAX] {
            let (mut client, mut server) = (world.client(&[]), world.server());
            let hello = refragment(&sent(&mut client), size);
            let mut out = Vec::new();
            for piece in hello.chunks(cut) {
                server.receive(&mut piece.to_vec(), &mut out, &mut |_| {}).unwrap();
                // Sealing in between must not disturb what rustls remembers of the fragments.
                assert!(server.seal(b"x", &mut Vec::new()).is_err());
            }
            assert_eq!(server.buffered(), 0);
            feed_client(&mut client, &out);
            assert!(matches!(shake(&mut client, &mut server, cut), TlsState::Open { .. }));
        }
    }
}

#[test]
fn a_handshake_message_that_never_ends_is_cut_off() {
    let mut server = world().server();
    let mut flight = vec![1, 0, 0xff, 0xff];
    flight.resize(70_000, 0);
    let wire = refragment(&[&[22, 3, 1, 0, 0][..], &flight].concat(), 1_000);
    let mut most = 0;
    let refused = wire.chunks(500).find_map(|piece| {
        let refused = server.receive(&mut piece.to_vec(), &mut Vec::new(), &mut |_| {}).err();
        most = most.max(server.buffered());
        refused
    });
    assert!(matches!(refused, Some(TlsError::TooLarge)), "{refused:?}");
    assert!(most <= 34 * 1024);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn mutated_handshakes_and_records_never_panic(
        at in 0usize..2_000, flip in 1u8..=255, cut in 1usize..600, late in any::<bool>(),
    ) {
        let (mut client, mut server) = if late {
            open(&[])
        } else {
            let world = world();
            (world.client(&[]), world.server())
        };
        if late {
            client.writer().write_all(&[1; 1_500]).unwrap();
        }
        let mut wire = sent(&mut client);
        let at = at % wire.len();
        wire[at] ^= flip;
        for piece in wire.chunks(cut) {
            let ended = server.receive(&mut piece.to_vec(), &mut Vec::new(), &mut |_| {}).is_err();
            let _ = server.seal(b"answer", &mut Vec::new());
            if ended {
                break;
            }
        }
        prop_assert!(server.buffered() < 40_000);
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 1..3_000), cut in 1usize..500) {
        let mut server = world().server();
        for piece in bytes.chunks(cut) {
            let _ = server.receive(&mut piece.to_vec(), &mut Vec::new(), &mut |_| {});
            server.close_notify(&mut Vec::new());
        }
    }
}
