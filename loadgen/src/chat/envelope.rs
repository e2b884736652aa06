//! A line of the chat as it travels in a MSG payload: a JSON envelope, like the specification's voice messages.
//!
//! `{"type":"text","id":"…","from":"alice","text":"…"}`. The id is the writer's own and stays the same when the line is
//! sent again after a lost connection, so that the reader shows it once.
//!
//! The relay never reads it. It is inside TLS, yet not encrypted from one person to the other: that takes the ratchet that
//! both ends' keys are for, and this is a demonstration.

use std::borrow::Cow;

use commucat_proto::DeviceId;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Envelope<'a> {
    r#type: Cow<'a, str>,
    id: Cow<'a, str>,
    from: Cow<'a, str>,
    text: Cow<'a, str>,
}

/// A line as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// The writer's id for it, when it came in an envelope.
    pub(crate) id: Option<String>,
    /// Who says to have written it.
    pub(crate) from: Option<String>,
    /// What to show.
    pub(crate) text: String,
}

/// The payload for a line.
pub(crate) fn seal(id: &str, from: &DeviceId, text: &str) -> Vec<u8> {
    let envelope = Envelope {
        r#type: "text".into(),
        id: id.into(),
        from: from.as_str().into(),
        text: text.into(),
    };
    // Strings into memory: there is nothing that could fail.
    serde_json::to_vec(&envelope).unwrap_or_default()
}

/// The line in a payload. What is no envelope of ours is shown as it is: another client's text, perhaps.
pub(crate) fn open(payload: &[u8]) -> Line {
    match serde_json::from_slice::<Envelope<'_>>(payload) {
        Ok(envelope) if envelope.r#type == "text" => Line {
            id: Some(envelope.id.into_owned()),
            from: Some(printable(&envelope.from)),
            text: printable(&envelope.text),
        },
        _ => Line {
            id: None,
            from: None,
            text: printable(&String::from_utf8_lossy(payload)),
        },
    }
}

/// Without control characters, which could rewrite what the terminal shows.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use commucat_proto::DeviceId;

    use super::{Line, open, seal};

    #[test]
    fn a_line_comes_back_with_its_id_and_writer() {
        let alice = DeviceId::parse("alice").expect("valid");
        let line = open(&seal("id-1", &alice, "a \"quoted\" line, ümlaut"));
        let expected = Line {
            id: Some("id-1".to_owned()),
            from: Some("alice".to_owned()),
            text: "a \"quoted\" line, ümlaut".to_owned(),
        };
        assert_eq!(line, expected);
    }

    #[test]
    fn another_clients_payload_is_shown_without_control_characters() {
        for (payload, shown) in [
            (b"plain \x1b[2Jtext".as_slice(), "plain  [2Jtext"),
            (b"{\"type\":\"voice_message\"}", "{\"type\":\"voice_message\"}"),
            (b"\xff", "\u{fffd}"),
        ] {
            let line = open(payload);
            assert_eq!((line.id, line.text.as_str()), (None, shown));
        }
    }
}
