//! Groups (CCP-1, Group Channels; decisions § 6, § 7) on a relay of two shards.

use std::collections::BTreeMap;
use std::time::Duration;

use commucat_client::HttpVersion;
use commucat_proto::control::{Ack, GroupCreate, Role};
use commucat_proto::{ChannelId, DeviceId, FrameType, GroupId};
use commucat_tests::operator::until;
use commucat_tests::people::{BOTH, Device, Peer, devices};
use commucat_tests::stage::{STORES, Stage};

const CHANNEL: u32 = 9;

fn id(name: &str) -> GroupId {
    GroupId::parse(name).unwrap()
}

/// GROUP_CREATE of a group with these members.
fn named(group: &GroupId, members: &[Device]) -> GroupCreate {
    GroupCreate {
        group_id: Some(group.clone()),
        members: members.iter().map(|device| device.id.clone()).collect(),
        relay: true,
        ..GroupCreate::default()
    }
}

/// This acknowledges a GROUP_CREATE, and says nothing else.
fn is_created(ack: &Ack, group: &GroupId) -> bool {
    *ack == Ack {
        ack: ack.ack,
        group_id: Some(group.clone()),
        ..Ack::default()
    }
}

/// Everybody's session, the ways to the relay in turn: so many that both shards have some.
fn everybody(devices: &[Device], stage: &Stage) -> Vec<Peer> {
    let ways = BOTH.into_iter().cycle();
    devices
        .iter()
        .zip(ways)
        .map(|(device, http)| device.connect(stage, http))
        .collect()
}

fn ends_with(peer: Peer, problem: (&str, u16)) {
    let (_, end) = peer.ends();
    assert_eq!((end.problem(), end.clean), (Some(problem), true));
}

#[test]
fn a_group_is_spoken_in_by_its_members_on_channels_of_their_own() {
    let stage = Stage::new("");
    for http in BOTH {
        let people = devices(&format!("{http:?}"), 6);
        let mut peers = everybody(&people, &stage);
        let group = id(&format!("friends-{http:?}"));
        let ack = peers[0].create_group(CHANNEL, &named(&group, &people));
        assert!(is_created(&ack, &group), "{ack:?}");
        peers[0].say(CHANNEL, "from the owner, who has not joined but created");
        for peer in &mut peers[1..] {
            let got = peer.hears("from the owner, who has not joined but created");
            assert_eq!(got.channel, ChannelId::new(CHANNEL));
        }
        for (index, peer) in (0_u32..).zip(&mut peers).skip(1) {
            peer.join_group(CHANNEL + index, &group);
        }
        for speaker in 1..peers.len() {
            let channel = CHANNEL + u32::try_from(speaker).unwrap();
            peers[speaker].say(channel, format!("from {speaker}"));
            for (index, peer) in peers.iter_mut().enumerate().filter(|(index, _)| *index != speaker) {
                let got = peer.hears(&format!("from {speaker}"));
                assert_eq!(got.channel, ChannelId::new(channel), "{index}");
            }
        }
        for peer in peers {
            assert!(peer.bye().is_empty(), "nobody hears itself");
        }
    }
    stage.end();
}

#[test]
fn the_server_names_a_group_that_its_client_does_not() {
    let stage = Stage::new("");
    let [owner, member] = ["owner", "member"].map(Device::new);
    let mut first = owner.connect(&stage, HttpVersion::Http2);
    let create = GroupCreate {
        members: vec![member.id.clone()],
        ..GroupCreate::default()
    };
    let one = first.create_group(CHANNEL, &create).group_id.unwrap();
    let other = first.create_group(CHANNEL + 1, &create).group_id.unwrap();
    assert_ne!(one, other);
    assert_eq!(one.as_str().len(), 32, "128 random bits: {one}");
    let mut second = member.connect(&stage, HttpVersion::Http1);
    second.join_group(CHANNEL, &other);
    second.say(CHANNEL, "by its name");
    first.hears("by its name");
    stage.end();
}

#[test]
fn an_invite_that_is_acknowledged_holds_on_every_core() {
    let stage = Stage::new("");
    for http in BOTH {
        let people = devices(&format!("{http:?}"), 9);
        let (guests, members) = people.split_at(3);
        let mut peers = everybody(members, &stage);
        // The third is known, and away.
        let mut arriving = everybody(guests, &stage);
        arriving.swap_remove(2).bye();
        let group = id(&format!("open-{http:?}"));
        peers[0].create_group(CHANNEL, &named(&group, members));
        for peer in &mut peers[1..] {
            peer.join_group(CHANNEL, &group);
        }
        for (guest, device) in guests.iter().enumerate() {
            let ack = peers[0].invite(CHANNEL, &group, device, Role::Member);
            assert_eq!(
                (ack.group_id.as_ref(), ack.device.as_ref()),
                (Some(&group), Some(&device.id))
            );
            assert!(ack.rejected.is_empty());
            // Whoever speaks next, on whichever core.
            for (index, peer) in peers.iter_mut().enumerate().skip(1) {
                peer.say(CHANNEL, format!("{index} to {guest}"));
            }
            let arrived = match arriving.get_mut(guest) {
                Some(arrived) => arrived,
                None => &mut device.connect(&stage, http),
            };
            let mut heard: Vec<String> = peers[1..].iter().map(|_| arrived.hear().text()).collect();
            heard.sort();
            let said: Vec<String> = (1..peers.len()).map(|index| format!("{index} to {guest}")).collect();
            assert_eq!(heard, said);
            arrived.join_group(CHANNEL, &group);
        }
    }
    stage.end();
}

#[test]
fn what_is_said_right_after_an_invite_on_the_same_session_reaches_the_guest() {
    let stage = Stage::new("");
    let people = devices("right-after", 6);
    let (guests, members) = people.split_at(4);
    let mut arriving = everybody(guests, &stage);
    let mut peers = everybody(members, &stage);
    let group = id("right-after");
    peers[0].create_group(CHANNEL, &named(&group, members));
    for (device, guest) in guests.iter().zip(&mut arriving) {
        let invite = peers[0].ask_to_invite(CHANNEL, &group, device, Role::Member);
        let welcome = peers[0].send(CHANNEL, "welcome");
        assert_eq!(peers[0].answer_to(invite).device.as_ref(), Some(&device.id));
        peers[0].settled(welcome);
        guest.hears("welcome");
    }
    stage.end();
}

#[test]
fn roles_decide_who_may_invite() {
    let stage = Stage::new("");
    for http in BOTH {
        let people = devices(&format!("role-{http:?}"), 7);
        let group = id(&format!("roles-{http:?}"));
        let mut owner = people[0].connect(&stage, http);
        let create = GroupCreate {
            roles: BTreeMap::from([
                (people[1].id.clone(), Role::Admin),
                (people[2].id.clone(), Role::Owner),
                // Who is not listed is no member for having a role.
                (people[6].id.clone(), Role::Admin),
            ]),
            ..named(&group, &people[..4])
        };
        owner.create_group(CHANNEL, &create);
        for (index, guest) in [(1, 4), (2, 5)] {
            let mut admin = people[index].connect(&stage, http);
            let ack = admin.invite(CHANNEL, &group, &people[guest], Role::Member);
            assert_eq!(ack.device.as_ref(), Some(&people[guest].id));
            admin.bye();
        }
        // A member, one who was never listed, and one who asks about a group that is not there.
        for (index, group) in [(3, group.clone()), (6, group.clone()), (3, id("nothing"))] {
            let mut peer = people[index].connect(&stage, http);
            peer.ask_to_invite(CHANNEL, &group, &people[6], Role::Member);
            ends_with(peer, ("Not Allowed", 403));
        }
        // Only the owner changes roles; an invite makes nobody owner.
        let mut admin = people[1].connect(&stage, http);
        admin.invite(CHANNEL, &group, &people[3], Role::Admin);
        let mut peer = people[3].connect(&stage, http);
        peer.ask_to_invite(CHANNEL, &group, &people[6], Role::Member);
        ends_with(peer, ("Not Allowed", 403));
        owner.invite(CHANNEL, &group, &people[3], Role::Owner);
        let mut peer = people[3].connect(&stage, http);
        peer.invite(CHANNEL, &group, &people[6], Role::Member);
    }
    stage.end();
}

#[test]
fn strangers_and_those_who_name_no_group_are_not_members() {
    let stage = Stage::new("");
    let people = devices("stranger", 3);
    for http in BOTH {
        let group = id(&format!("closed-{http:?}"));
        people[1].connect(&stage, http).bye();
        let mut owner = people[0].connect(&stage, http);
        owner.create_group(CHANNEL, &named(&group, &people[..2]));
        for group in [&group, &id("nothing")] {
            let mut stranger = people[2].connect(&stage, http);
            stranger.ask_to_join_group(CHANNEL, group);
            ends_with(stranger, ("Not A Member", 403));
        }
        // Also where the roster is known already.
        let mut strangers: Vec<Peer> = (0..6)
            .map(|index| Device::new(&format!("late-{http:?}-{index}")).connect(&stage, http))
            .collect();
        for stranger in &mut strangers {
            stranger.ask_to_join_group(CHANNEL, &group);
        }
        for stranger in strangers {
            ends_with(stranger, ("Not A Member", 403));
        }
        owner.say(CHANNEL, "still here");
    }
    stage.end();
}

#[test]
fn a_group_that_exists_is_left_as_it_is_for_its_owner_and_refused_to_others() {
    let stage = Stage::new("");
    let people = devices("again", 3);
    let group = id("again");
    for http in BOTH {
        let mut owner = people[0].connect(&stage, http);
        let listed = [people[0].clone(), people[1].clone()];
        for members in [&listed[..], &people[..]] {
            let ack = owner.create_group(CHANNEL, &named(&group, members));
            assert!(is_created(&ack, &group), "{ack:?}");
        }
        let mut unlisted = people[2].connect(&stage, http);
        unlisted.ask_to_join_group(CHANNEL, &group);
        ends_with(unlisted, ("Not A Member", 403));
        for other in &people[1..] {
            let mut peer = other.connect(&stage, http);
            let create = named(&group, &people);
            let channel = ChannelId::new(CHANNEL);
            peer.client().connection().create_group(channel, &create).unwrap();
            ends_with(peer, ("Not Allowed", 403));
        }
    }
    stage.end();
}

#[test]
fn the_stored_roster_serves_reconnects_restarts_and_those_who_are_away() {
    let mut stage = Stage::new("");
    let people = devices("stored", 4);
    let group = id("stored");
    let mut peers = everybody(&people, &stage);
    peers[0].create_group(CHANNEL, &named(&group, &people[..3]));
    peers[0].invite(CHANNEL, &group, &people[3], Role::Member);
    drop(peers);
    for http in BOTH {
        for restart in [false, true] {
            if restart {
                stage.restart_with("");
            }
            let text = format!("after {http:?} {restart}");
            let mut speaker = people[3].connect(&stage, http);
            speaker.join_group(CHANNEL, &group);
            speaker.say(CHANNEL, &text);
            speaker.bye();
            for device in &people[..3] {
                let mut back = device.connect(&stage, http);
                assert_eq!(back.hears(&text).channel, ChannelId::new(CHANNEL));
                assert!(back.bye().is_empty());
            }
        }
    }
    stage.end();
}

#[test]
fn leave_takes_back_ones_own_route_and_nobody_elses() {
    let stage = Stage::new("");
    for http in BOTH {
        let people = devices(&format!("leaver-{http:?}"), 3);
        let group = id(&format!("left-{http:?}"));
        let mut peers = everybody(&people, &stage);
        peers[0].create_group(CHANNEL, &named(&group, &people));
        for peer in &mut peers[1..] {
            peer.join_group(CHANNEL, &group);
        }
        peers[1].leave(CHANNEL);
        peers[0].say(CHANNEL, "two of three");
        peers[2].hears("two of three");
        assert!(peers[1].overhear(Duration::from_millis(100)).is_none());
        peers[2].say(CHANNEL, "still a member");
        peers[0].hears("still a member");
        peers[1].join_group(CHANNEL, &group);
        peers[1].say(CHANNEL, "back again");
        peers[0].hears("back again");
        peers[2].hears("back again");
        // And a roster of its own in the group's stead.
        peers[1].join(CHANNEL, [&people[0]]);
        peers[1].say(CHANNEL, "to one");
        peers[0].hears("to one");
        assert!(peers[2].overhear(Duration::from_millis(100)).is_none());
    }
    stage.end();
}

#[test]
fn every_opaque_frame_goes_to_the_group() {
    let stage = Stage::new("");
    let people = devices("opaque", 3);
    let group = id("opaque");
    let mut peers = everybody(&people, &stage);
    peers[0].create_group(CHANNEL, &named(&group, &people));
    for kind in FrameType::ALL.into_iter().filter(|kind| kind.is_opaque()) {
        let channel = ChannelId::new(CHANNEL);
        let sequence = peers[0].client().send(kind, channel, b"\x00\xff{").unwrap();
        peers[0].settled(sequence);
        for peer in &mut peers[1..] {
            let got = peer.hear();
            assert_eq!((got.kind, &got.payload[..]), (kind, &b"\x00\xff{"[..]));
        }
    }
    stage.end();
}

#[test]
fn members_of_one_domain_have_one_name_and_those_of_others_are_rejected_until_they_can_be_reached() {
    let stage = Stage::new("domain = \"here.example\"");
    let [owner, member, guest] = ["owner", "member", "guest"].map(Device::new);
    let group = id("domains");
    let mut first = owner.connect(&stage, HttpVersion::Http1);
    let mut second = member.connect(&stage, HttpVersion::Http2);
    let far = DeviceId::parse("member@far.example").unwrap();
    let create = GroupCreate {
        members: vec![DeviceId::parse("member@here.example").unwrap(), far.clone()],
        ..named(&group, &[])
    };
    first.create_group(CHANNEL, &create);
    second.join_group(CHANNEL, &group);
    let sequence = second.send(CHANNEL, "to both");
    let ack = second.answer_to(sequence);
    assert_eq!(
        (ack.rejected, ack.reason.as_ref().map(|reason| reason.as_str())),
        (vec![far.clone()], Some("federation unavailable"))
    );
    first.hears("to both");
    // The ACK echoes the invited device as it was written.
    let written = Device {
        id: DeviceId::parse("guest@here.example").unwrap(),
        ..guest.clone()
    };
    assert_eq!(first.invite(0, &group, &written, Role::Member).device, Some(written.id));
    let mut third = guest.connect(&stage, HttpVersion::Http1);
    third.join_group(CHANNEL, &group);
    stage.end();
}

#[test]
fn a_group_has_a_largest_size_and_a_core_a_largest_number_of_members() {
    let mut stage = Stage::new("[limits]\ngroup_roster = 3\n");
    let people = devices("size", 5);
    let group = id("size");
    for http in BOTH {
        let mut peer = people[0].connect(&stage, http);
        let create = named(&id("too-large"), &people[..4]);
        let channel = ChannelId::new(CHANNEL);
        peer.client().connection().create_group(channel, &create).unwrap();
        ends_with(peer, ("Group Too Large", 413));
        let mut peer = people[0].connect(&stage, http);
        peer.create_group(CHANNEL, &named(&group, &people[..3]));
        peer.ask_to_invite(CHANNEL, &group, &people[4], Role::Member);
        ends_with(peer, ("Group Too Large", 413));
    }
    stage.restart_with("[limits]\ngroup_members = 2\n");
    for http in BOTH {
        let mut peer = people[0].connect(&stage, http);
        peer.ask_to_join_group(CHANNEL, &group);
        ends_with(peer, ("Service Unavailable", 503));
    }
    stage.end();
}

#[test]
fn a_device_owns_so_many_groups_and_may_be_a_member_of_more() {
    for store in STORES {
        let mut stage = Stage::on(store, "[limits]\nowner_groups = 2\n");
        let people = devices("owner", 2);
        for http in BOTH {
            let group = |number: u32| id(&format!("own-{number}"));
            let mut peer = people[0].connect(&stage, http);
            // The second time they exist already.
            for number in 0..2 {
                peer.create_group(CHANNEL, &named(&group(number), &people));
            }
            let channel = ChannelId::new(CHANNEL);
            peer.client()
                .connection()
                .create_group(channel, &named(&group(2), &people))
                .unwrap();
            ends_with(peer, ("Too Many Groups", 429));
            let mut other = people[1].connect(&stage, http);
            other.create_group(CHANNEL, &named(&id("his"), &people));
            other.bye();
        }
        until(&stage, |now| now.sum("commucat_groups_over_total", &[]) == 2.0);
        stage.restart_with("[limits]\nowner_groups = 3\n");
        let mut peer = people[0].connect(&stage, BOTH[0]);
        peer.create_group(CHANNEL, &named(&id("own-2"), &people));
        peer.bye();
        stage.end();
    }
}

#[test]
fn ten_thousand_members_fit_a_group_and_those_who_do_not_exist_are_named() {
    let stage = Stage::new("");
    let ghosts: Vec<Device> = {
        let one = Device::new("ghost");
        let ghost = |number: usize| Device {
            id: DeviceId::parse(&format!("ghost-of-a-member-{number:05}")).unwrap(),
            ..one.clone()
        };
        (0..10_000).map(ghost).collect()
    };
    let people = devices("crowd", 4);
    let group = id("crowd");
    let mut peers = everybody(&people, &stage);
    peers[0].create_group(CHANNEL, &named(&group, &ghosts));
    for guest in &people[1..] {
        peers[0].invite(CHANNEL, &group, guest, Role::Member);
    }
    peers[1].join_group(CHANNEL, &group);
    for (speaker, text) in [(0, "from the owner"), (1, "from a guest")] {
        let sequence = peers[speaker].send(CHANNEL, text);
        // More names than one control payload may have.
        let mut rejected = Vec::new();
        while rejected.len() < ghosts.len() {
            let ack = peers[speaker].answer_to(sequence);
            assert_eq!(ack.reason.as_ref().map(|reason| reason.as_str()), Some("unknown"));
            rejected.extend(ack.rejected);
        }
        rejected.sort();
        assert!(rejected.iter().eq(ghosts.iter().map(|ghost| &ghost.id)));
        for (_, peer) in peers.iter_mut().enumerate().filter(|(index, _)| *index != speaker) {
            peer.hears(text);
        }
    }
    stage.end();
}
