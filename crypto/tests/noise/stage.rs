//! `noise-transport` as a layer (decisions § 5).

use commucat_crypto::{MAX_MESSAGE, MAX_PLAINTEXT, NoiseError, NoiseStage, NoiseStageError, Pattern};
use commucat_proto::Stage;
use proptest::prelude::*;

use crate::support::establish;

fn stages() -> (NoiseStage, NoiseStage) {
    let (client, server) = establish(Pattern::Xk);
    (NoiseStage::new(client.transport), NoiseStage::new(server.transport))
}

#[test]
fn a_unit_is_a_varint_and_a_noise_message() {
    let (mut client, mut server) = stages();
    let mut outer = Vec::new();
    client.seal(b"abc", &mut outer).unwrap();
    assert_eq!((outer[0], outer.len()), (3 + 16, 1 + 3 + 16));
    let mut inner = Vec::new();
    assert_eq!(server.open(&outer, &mut inner), Ok(outer.len()));
    assert_eq!(inner, b"abc");
}

#[test]
fn more_than_a_message_holds_travels_in_several() {
    let (mut client, mut server) = stages();
    let content = vec![5; MAX_PLAINTEXT + 1];
    let mut outer = Vec::new();
    client.seal(&content, &mut outer).unwrap();
    assert_eq!(outer.len(), 3 + MAX_MESSAGE + 1 + 1 + 16);
    let mut inner = Vec::new();
    assert_eq!(server.open(&outer, &mut inner), Ok(outer.len()));
    assert_eq!(inner, content);
}

#[test]
fn a_unit_too_long_is_refused_from_its_length() {
    let (_, mut server) = stages();
    let len = MAX_MESSAGE + 1;
    let too_long = NoiseStageError::Noise(NoiseError::TooLong {
        len,
        limit: MAX_MESSAGE,
    });
    assert_eq!(server.open(b"\x80\x80\x04", &mut Vec::new()), Err(too_long));
    assert_eq!(server.open(b"\xff\xff\x03", &mut Vec::new()), Ok(0));
    let endless = [0xff; 10];
    assert_eq!(server.open(&endless, &mut Vec::new()), Err(NoiseStageError::Length));
}

#[test]
fn a_unit_fills_its_room_and_its_length_is_as_short_as_it_can_be() {
    let (mut client, mut server) = stages();
    for room in (0..200).chain(16_380..16_410).chain(65_530..65_545) {
        let content = NoiseStage::content_room(room);
        let mut outer = b"before".to_vec();
        let unit = NoiseStage::begin(&mut outer);
        outer.resize(outer.len() + content, 7);
        let sealed = client.finish(unit, &mut outer).unwrap();
        assert_eq!(sealed, content > 0);
        let outer = outer.strip_prefix(b"before").unwrap();
        if !sealed {
            assert!(outer.is_empty() && room < 18, "{room}");
            continue;
        }
        assert!(outer.len() <= room, "{} bytes in {room}", outer.len());
        // One octet stays free where one more of content would take one more of length.
        assert!(
            outer.len() + 1 >= room.min(3 + MAX_MESSAGE),
            "{} bytes in {room}",
            outer.len()
        );
        let (length, prefix) = commucat_proto::varint::decode(outer).unwrap().unwrap();
        assert_eq!(prefix, commucat_proto::varint::len(length));
        let mut inner = Vec::new();
        assert_eq!(server.open_next(outer, &mut inner), Ok(Some(outer.len())));
        assert_eq!(inner, vec![7; content]);
    }
}

#[test]
fn a_unit_that_is_cut_waits_and_one_that_is_repeated_or_out_of_turn_is_refused() {
    let (mut client, mut server) = stages();
    let (mut first, mut second) = (Vec::new(), Vec::new());
    client.seal(b"first", &mut first).unwrap();
    client.seal(b"second", &mut second).unwrap();
    let forged = Err(NoiseStageError::Noise(NoiseError::Forged));
    let mut inner = Vec::new();
    for cut in 0..first.len() {
        assert_eq!(server.open_next(&first[..cut], &mut inner), Ok(None));
    }
    assert_eq!(server.open_next(&second, &mut inner), forged);
    for at in 1..first.len() {
        let mut changed = first.clone();
        changed[at] ^= 0x20;
        assert_eq!(server.open_next(&changed, &mut inner), forged);
    }
    assert!(inner.is_empty());
    assert_eq!(
        server.open(&[first.clone(), second].concat(), &mut inner),
        Ok(2 * 22 + 1)
    );
    assert_eq!(inner, b"firstsecond");
    assert_eq!(server.open_next(&first, &mut inner), forged);
}

#[test]
fn a_unit_without_room_for_its_tag_is_refused() {
    let (_, mut server) = stages();
    let forged = Err(NoiseStageError::Noise(NoiseError::Forged));
    assert_eq!(server.open(b"\x00", &mut Vec::new()), forged);
    assert_eq!(server.open(&[15; 16], &mut Vec::new()), forged);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn content_comes_out_whole_however_the_bytes_are_cut(
        writes in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..10),
        reads in prop::collection::vec(1_usize..100, 1..40),
    ) {
        let (mut client, mut server) = stages();
        let mut outer = Vec::new();
        for content in &writes {
            client.seal(content, &mut outer).unwrap();
        }
        let (mut arrived, mut inner, mut sizes) = (Vec::new(), Vec::new(), reads.iter().cycle());
        while !outer.is_empty() {
            let size = (*sizes.next().unwrap()).min(outer.len());
            arrived.extend(outer.drain(..size));
            let taken = server.open(&arrived, &mut inner).unwrap();
            arrived.drain(..taken);
        }
        prop_assert!(arrived.is_empty());
        prop_assert_eq!(inner, writes.concat());
    }
}
