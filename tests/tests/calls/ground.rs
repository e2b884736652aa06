//! What participants of a call do, with every answer checked.

use commucat_client::Signal;
use commucat_proto::control::CallOffer;
use commucat_proto::{CallId, ChannelId, FrameType, Sequence};
use commucat_tests::people::{Device, Got, Peer};
use serde_json::{Value, json};

/// The channel of the calls of these tests.
pub(crate) const CHANNEL: u32 = 21;

/// A call's id.
pub(crate) fn call(name: &str) -> CallId {
    CallId::parse(name).unwrap()
}

/// An offer of `from` to these.
pub(crate) fn offer<'a>(id: &str, from: &Device, to: impl IntoIterator<Item = &'a Device>) -> CallOffer {
    let to = to.into_iter().map(|device| device.id.clone()).collect();
    CallOffer::new(call(id), from.id.clone(), to)
}

/// Sends a frame whose ACK comes later.
pub(crate) fn put(peer: &mut Peer, kind: FrameType, payload: impl AsRef<[u8]>) -> Sequence {
    put_on(peer, CHANNEL, kind, payload)
}

/// The same on another channel.
pub(crate) fn put_on(peer: &mut Peer, channel: u32, kind: FrameType, payload: impl AsRef<[u8]>) -> Sequence {
    peer.client()
        .send(kind, ChannelId::new(channel), payload.as_ref())
        .unwrap()
}

/// Sends a frame, and gives what its ACK says beside the number.
pub(crate) fn say(peer: &mut Peer, kind: FrameType, payload: impl AsRef<[u8]>) -> Value {
    say_on(peer, CHANNEL, kind, payload)
}

/// The same on another channel.
pub(crate) fn say_on(peer: &mut Peer, channel: u32, kind: FrameType, payload: impl AsRef<[u8]>) -> Value {
    let sequence = put_on(peer, channel, kind, payload);
    acked(peer, channel, sequence)
}

/// Sends a signal, and gives what its ACK says beside the number.
pub(crate) fn signal(peer: &mut Peer, signal: &Signal) -> Value {
    let sequence = peer
        .client()
        .connection()
        .signal(ChannelId::new(CHANNEL), signal)
        .unwrap();
    acked(peer, CHANNEL, sequence)
}

/// What the next ACK, which has to be of this frame, says beside the number.
pub(crate) fn acked(peer: &mut Peer, channel: u32, sequence: Sequence) -> Value {
    let acked = peer.acked();
    assert_eq!((acked.channel, acked.sequence), (ChannelId::new(channel), sequence));
    let mut body = serde_json::to_value(acked.body.expect("more than a number")).unwrap();
    assert_eq!(body["ack"].take(), sequence.get());
    body.as_object_mut().unwrap().remove("ack");
    body
}

/// The next frame, on the channel of the call, of this type and with these very bytes.
pub(crate) fn hears(peer: &mut Peer, kind: FrameType, payload: impl AsRef<[u8]>) {
    let got = peer.hear();
    assert_eq!(
        (got.kind, got.channel),
        (kind, ChannelId::new(CHANNEL)),
        "{}",
        got.text()
    );
    assert_eq!(got.text(), String::from_utf8_lossy(payload.as_ref()));
}

/// The signal in a frame.
pub(crate) fn read(got: &Got) -> Signal {
    Signal::read(got.kind, &got.payload).unwrap().expect("a signal")
}

/// The next frame is the relay's CALL_END for somebody who is gone.
pub(crate) fn hears_of_a_failure(peer: &mut Peer, id: &str) {
    let got = peer.hear();
    assert_eq!((got.kind, got.channel), (FrameType::CallEnd, ChannelId::new(CHANNEL)));
    let end: Value = serde_json::from_slice(&got.payload).unwrap();
    let expected = json!({ "call_id": id, "reason": "failure", "metadata": { "system": true } });
    assert_eq!(end, expected);
}

/// A call that `to` have accepted.
pub(crate) fn established(id: &str, caller: (&Device, &mut Peer), to: &mut [(&Device, &mut Peer)]) {
    let (device, peer) = caller;
    let called: Vec<&Device> = to.iter().map(|(device, _)| *device).collect();
    let said = signal(peer, &Signal::Offer(offer(id, device, called)));
    assert_eq!(said, json!({ "call_id": id }));
    for (_, callee) in to.iter_mut() {
        assert_eq!(callee.hear().kind, FrameType::CallOffer);
        let accept = format!(r#"{{"call_id":"{id}","accept":true}}"#);
        let said = say(callee, FrameType::CallAnswer, &accept);
        assert_eq!(said, json!({ "call_id": id, "accept": true }));
        hears(peer, FrameType::CallAnswer, &accept);
    }
    // Who is called hears the answers of all the others.
    let others = to.len() - 1;
    for (_, callee) in to.iter_mut() {
        for _ in 0..others {
            assert_eq!(callee.hear().kind, FrameType::CallAnswer);
        }
    }
}

/// The session ends with this ERROR.
pub(crate) fn ends_with(peer: Peer, title: &str, status: u16) {
    let (rest, end) = peer.ends();
    assert_eq!((rest, end.problem()), (Vec::new(), Some((title, status))));
}
