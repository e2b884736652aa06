//! Device certificates that hold, and those that do not.

use commucat_crypto::certificate::{CertificateError, Claims, DeviceCa, verify};
use commucat_proto::control::{self, DeviceCertificate, HexKey, Text};
use commucat_proto::{DeviceId, UserId};
use zeroize::Zeroizing;

const ISSUED: u64 = 1_750_000_000;

fn authority(seed: u8) -> DeviceCa {
    DeviceCa::new(&Zeroizing::new([seed; 32]), "relay.example")
}

fn certificate(ca: &DeviceCa) -> DeviceCertificate {
    ca.issue(Claims {
        serial: 7,
        user: UserId::parse("user").unwrap(),
        device: DeviceId::parse("phone").unwrap(),
        public_key: [3; 32],
        issued_at: ISSUED,
        expires_at: ISSUED + 60,
    })
}

#[test]
fn what_is_signed_is_the_compact_json_of_the_first_seven_members_in_order() {
    let expected = format!(
        r#"{{"serial":7,"user_id":"user","device_id":"phone","public_key":"{}","issuer":"relay.example","issued_at":{ISSUED},"expires_at":{}}}"#,
        "03".repeat(32),
        ISSUED + 60
    );
    let certificate = certificate(&authority(1));
    assert_eq!(String::from_utf8(certificate.signed_bytes()).unwrap(), expected);
    let mut written = Vec::new();
    control::write(&certificate, &mut written);
    let whole = String::from_utf8(written).unwrap();
    assert!(
        whole.starts_with(&expected[..expected.len() - 1]),
        "the signature comes last: {whole}"
    );
}

#[test]
fn a_certificate_holds_until_it_expires_for_the_authority_that_signed_it() {
    let (ca, other) = (authority(1), authority(2));
    let certificate = certificate(&ca);
    assert_eq!(verify(&certificate, &ca.public(), ISSUED), Ok(()));
    assert_eq!(verify(&certificate, &ca.public(), ISSUED + 59), Ok(()));
    assert_eq!(
        verify(&certificate, &ca.public(), ISSUED + 60),
        Err(CertificateError::Expired)
    );
    assert_eq!(
        verify(&certificate, &other.public(), ISSUED),
        Err(CertificateError::Signature)
    );
}

#[test]
fn a_certificate_survives_the_wire_whatever_the_order_and_the_case() {
    let ca = authority(1);
    let mut written = Vec::new();
    control::write(&certificate(&ca), &mut written);
    let text = String::from_utf8(written).unwrap();
    let (members, signature) = text.strip_suffix('}').unwrap().rsplit_once(',').unwrap();
    let turned = format!("{{{}, \"unknown\": [1], {}}}", signature, &members[1..])
        .replace(&"03".repeat(32), &"03".repeat(32).to_uppercase());
    let read: DeviceCertificate = control::parse(turned.as_bytes(), &mut Vec::new()).unwrap();
    assert_eq!(verify(&read, &ca.public(), ISSUED), Ok(()));
}

#[test]
fn every_member_is_covered_by_the_signature() {
    let ca = authority(1);
    let good = certificate(&ca);
    let mut forged: Vec<DeviceCertificate> = (0..8).map(|_| good.clone()).collect();
    forged[0].serial += 1;
    forged[1].user_id = UserId::parse("somebody").unwrap();
    forged[2].device_id = DeviceId::parse("laptop").unwrap();
    forged[3].public_key = HexKey([4; 32]);
    forged[4].issuer = Text::cut("other.example");
    forged[5].issued_at -= 1;
    forged[6].expires_at += 1;
    forged[7].signature.0[40] ^= 1;
    for forged in forged {
        assert_eq!(
            verify(&forged, &ca.public(), ISSUED),
            Err(CertificateError::Signature),
            "{forged:?}"
        );
    }
}

#[test]
fn an_authority_of_small_order_signs_nothing() {
    let certificate = certificate(&authority(1));
    let mut identity = [0; 32];
    identity[0] = 1;
    assert_eq!(
        verify(&certificate, &identity, ISSUED),
        Err(CertificateError::Signature)
    );
}

#[test]
fn no_debug_prints_the_secret() {
    assert_eq!(
        format!("{:?}", authority(0xab)),
        "DeviceCa(issuer: relay.example, secret: ..)"
    );
}
