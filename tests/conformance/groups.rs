//! Group Channels.

use commucat_tests::people::Device;
use commucat_tests::tunnel::Tunnel;
use commucat_tests::wire::kind;
use serde_json::{Value, json};

use crate::ground::{Ground, Statement};

pub(crate) const STATEMENTS: &[Statement] = &[
    Statement {
        section: "Group Channels",
        words: "When a JOIN control payload carries group_id, the server loads chat_group and group_member state to validate the roster",
        check: |ground| {
            let (mut from, mut to, channel, group) = two_in_a_group(ground);
            let sequence = to.say(kind::JOIN, channel, json!({ "group_id": group }).to_string());
            assert_eq!(acked(&mut to), json!({ "ack": sequence }));
            to.say(kind::MSG, channel, "by the stored roster");
            assert_eq!(from.hear_message(), b"by the stored roster");
        },
    },
    Statement {
        section: "Group Channels",
        words: "Join requests from non-members are rejected",
        check: |ground| {
            let (_from, _to, channel, group) = two_in_a_group(ground);
            let mut stranger = ground.ready(&ground.device("eve"));
            stranger.say(kind::JOIN, channel, json!({ "group_id": group }).to_string());
            assert_eq!(stranger.refusal(), ("Not A Member".to_owned(), 403));
        },
    },
    Statement {
        section: "Group Channels",
        words: "GROUP_CREATE bridges in-memory routes with persistent membership",
        check: |ground| {
            let (mut from, mut to, channel, _) = two_in_a_group(ground);
            from.say(kind::MSG, channel, "without a JOIN");
            assert_eq!(to.hear_message(), b"without a JOIN");
        },
    },
    Statement {
        section: "Group Channels",
        words: "The server assigns the sender as owner, upserts all listed members, and acknowledges with {\"ack\": <seq>, \"group_id\": \"resolved\"}",
        check: |ground| {
            let mut tunnel = ground.ready(&ground.device("ada"));
            let members = json!({ "members": ["somebody", "somebody-else"], "roles": { "somebody": "admin" } });
            let sequence = tunnel.say(kind::GROUP_CREATE, ground.channel().into(), members.to_string());
            let ack = acked(&mut tunnel);
            assert!(ack["ack"] == sequence && ack["group_id"].as_str().is_some_and(|id| !id.is_empty()));
            // Only an owner or admin may do this.
            let invite = json!({ "group_id": ack["group_id"], "device": "one-more" });
            tunnel.say(kind::GROUP_INVITE, 0, invite.to_string());
            assert_eq!(acked(&mut tunnel)["device"], "one-more");
        },
    },
    Statement {
        section: "Group Channels",
        words: "Subsequent reconnects reuse the stored roster",
        check: |ground| {
            let (ada, bob, channel) = (ground.device("ada"), ground.device("bob"), ground.channel());
            let group = format!("kept-{}", ada.id.as_str());
            let mut to = ground.ready(&bob);
            let mut first = ground.ready(&ada);
            create(&mut first, channel.into(), &group, &bob);
            let mut again = ground.ready(&ada);
            again.say(kind::JOIN, channel.into(), json!({ "group_id": group }).to_string());
            acked(&mut again);
            again.say(kind::MSG, channel.into(), "after a reconnect");
            assert_eq!(to.hear_message(), b"after a reconnect");
        },
    },
    Statement {
        section: "Group Channels",
        words: "GROUP_INVITE lets owners/admins extend the roster",
        check: |ground| {
            let (mut from, mut to, channel, group) = two_in_a_group(ground);
            let eve = ground.device("eve");
            let mut guest = ground.ready(&eve);
            let invite = json!({ "group_id": group, "device": eve.id.as_str(), "role": "member" }).to_string();
            from.say(kind::GROUP_INVITE, channel, &invite);
            acked(&mut from);
            from.say(kind::MSG, channel, "welcome");
            assert_eq!(guest.hear_message(), b"welcome");
            to.say(kind::GROUP_INVITE, channel, &invite);
            assert_eq!(to.error().1["title"], "Not Allowed");
        },
    },
    Statement {
        section: "Group Channels",
        words: "The server normalises roles (promoting requests for owner to admin)",
        check: |ground| {
            let (mut from, mut to, channel, group) = two_in_a_group(ground);
            let eve = ground.device("eve");
            let mut guest = ground.ready(&eve);
            let owner = json!({ "group_id": group, "device": eve.id.as_str(), "role": "owner" });
            from.say(kind::GROUP_INVITE, channel, owner.to_string());
            acked(&mut from);
            // An admin may invite; creating the group once more is the owner's alone.
            let somebody = json!({ "group_id": group, "device": "somebody" });
            guest.say(kind::GROUP_INVITE, channel, somebody.to_string());
            acked(&mut guest);
            guest.say(kind::GROUP_CREATE, channel, json!({ "group_id": group }).to_string());
            assert_eq!(guest.error().1["title"], "Not Allowed");
            to.say(kind::JOIN, channel, json!({ "group_id": group }).to_string());
            acked(&mut to);
        },
    },
    Statement {
        section: "Group Channels",
        words: "Acks echo the invited device id",
        check: |ground| {
            let (mut from, _to, channel, group) = two_in_a_group(ground);
            let invite = json!({ "group_id": group, "device": "new-device", "role": "member" });
            let sequence = from.say(kind::GROUP_INVITE, channel, invite.to_string());
            let ack = acked(&mut from);
            assert_eq!(
                ack,
                json!({ "ack": sequence, "group_id": group, "device": "new-device" })
            );
        },
    },
];

/// Two sessions, the first the owner of a group in which the second is, and its channel.
fn two_in_a_group(ground: &Ground<'_>) -> (Tunnel, Tunnel, u64, String) {
    let (ada, bob, channel) = (ground.device("ada"), ground.device("bob"), ground.channel().into());
    let group = format!("grp-{}", ada.id.as_str());
    let (mut from, to) = (ground.ready(&ada), ground.ready(&bob));
    create(&mut from, channel, &group, &bob);
    (from, to, channel, group)
}

fn create(owner: &mut Tunnel, channel: u64, group: &str, member: &Device) {
    let payload = json!({ "group_id": group, "members": [member.id.as_str()], "relay": true });
    let sequence = owner.say(kind::GROUP_CREATE, channel, payload.to_string());
    assert_eq!(acked(owner), json!({ "ack": sequence, "group_id": group }));
}

/// The next ACK, past PRESENCE and what others say.
fn acked(tunnel: &mut Tunnel) -> Value {
    loop {
        let seen = tunnel.hear();
        if seen.kind == kind::ACK {
            return serde_json::from_slice(&seen.payload).unwrap();
        }
    }
}

trait Hears {
    /// The payload of the next MSG.
    fn hear_message(&mut self) -> Vec<u8>;
}

impl Hears for Tunnel {
    fn hear_message(&mut self) -> Vec<u8> {
        loop {
            let seen = self.hear();
            if seen.kind == kind::MSG {
                return seen.payload;
            }
        }
    }
}
