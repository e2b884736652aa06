//! Requests about a few devices, users, tokens, codes and groups, so that they meet.

use bytes::Bytes;
use commucat_proto::control::Role;
use commucat_proto::{ChannelId, DeviceId, FrameType, GroupId, Handle};
use commucat_storage::api::{
    AccountRequest, Envelope, Friend, GroupRequest, GroupRoster, Invitation, PairingClaim, PairingOffer, PresenceEntry,
    PresenceRequest, Profile, Request, RowId, Selector, TokenHash, Wall,
};
use proptest::prelude::*;

use crate::common::{device, founding, user};

pub(super) const NAMES: [&str; 6] = ["a", "ab", "b", "c", "d", "e"];

fn name() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(&NAMES[..])
}

fn envelope() -> impl Strategy<Value = Envelope> {
    let kind = proptest::sample::select(vec![FrameType::Msg, FrameType::KeyUpdate]);
    let expiry = prop_oneof![4 => Just(1_000), 1 => 0..100_u64];
    (
        kind,
        any::<u32>(),
        proptest::collection::vec(any::<u8>(), 0..12),
        expiry,
    )
        .prop_map(|(kind, channel, payload, expiry)| Envelope {
            kind,
            channel: ChannelId::new(channel),
            payload: Bytes::from(payload),
            expires_at: Wall(expiry),
        })
}

fn named(device: &str, handle: &str) -> Request {
    let Request::Found {
        device,
        static_key,
        profile,
        at,
    } = founding(device)
    else {
        unreachable!("a founding founds")
    };
    let profile = Profile {
        handle: Handle::parse(handle).unwrap(),
        ..profile
    };
    Request::Found {
        device,
        static_key,
        profile,
        at,
    }
}

fn renamed(id: &str, display_name: Option<String>) -> Request {
    let Request::Found { profile, .. } = founding(id) else {
        unreachable!("a founding founds")
    };
    Request::UpdateProfile {
        profile: Profile {
            display_name,
            ..profile
        },
    }
}

fn lookup(id: &str, other: &str) -> Request {
    let Request::Found { profile, .. } = founding(other) else {
        unreachable!("a founding founds")
    };
    Request::Lookup {
        device: device(id),
        user: Some(profile.id),
        handle: Some(profile.handle),
    }
}

pub(super) fn request() -> impl Strategy<Value = Request> {
    let row = || prop_oneof![4 => 0..24_u64, 1 => Just(u64::MAX)].prop_map(RowId);
    prop_oneof![
        2 => (name(), name()).prop_map(|(id, handle)| named(id, handle)),
        2 => name().prop_map(founding),
        1 => (name(), name()).prop_map(|(id, other)| lookup(id, other)),
        1 => (name(), proptest::option::of("[a-z]{0,9}")).prop_map(|(id, text)| renamed(id, text)),
        8 => (name(), envelope())
            .prop_map(|(id, envelope)| Request::Append { device: device(id), envelope }),
        1 => (name(), proptest::collection::vec(envelope(), 0..4))
            .prop_map(|(id, envelopes)| Request::AppendOwed { device: device(id), envelopes }),
        4 => (name(), row(), 1..8_usize, 0..40_usize, 0..100_u64).prop_map(
            |(id, after, max_rows, max_bytes, now)| Request::ReadInbox {
                device: device(id), after, max_rows, max_bytes, now: Wall(now),
            }
        ),
        3 => (name(), row()).prop_map(|(id, upto)| Request::Delivered { device: device(id), upto }),
        6 => account().prop_map(Request::Account),
        3 => group_request().prop_map(Request::Group),
        2 => presence().prop_map(Request::Presence),
        1 => Just(Request::Depth),
        1 => Just(Request::Probe),
    ]
}

/// A device that founds nothing: it can only join.
fn joiner() -> impl Strategy<Value = DeviceId> {
    prop_oneof![3 => (0..6_u8).prop_map(|n| device(&format!("j{n}"))), 1 => name().prop_map(device)]
}

fn any_device() -> impl Strategy<Value = DeviceId> {
    prop_oneof![2 => name().prop_map(device), 1 => joiner()]
}

fn at() -> impl Strategy<Value = Wall> {
    prop_oneof![1 => 0..100_u64, 2 => Just(1)].prop_map(Wall)
}

fn until() -> impl Strategy<Value = Wall> {
    prop_oneof![2 => Just(1_000), 1 => 0..100_u64].prop_map(Wall)
}

fn key() -> impl Strategy<Value = [u8; 32]> {
    (0..4_u8).prop_map(|n| [n; 32])
}

/// A token is one device's: nobody finds two with one hash.
fn token(device: &DeviceId, n: u8) -> TokenHash {
    let mut token = [n; 32];
    for (to, from) in token.iter_mut().zip(device.as_str().bytes()) {
        *to = from;
    }
    TokenHash(token)
}

fn selector() -> impl Strategy<Value = Selector> {
    (0..4_u8).prop_map(|n| Selector([n; 8]))
}

fn account() -> impl Strategy<Value = AccountRequest> {
    prop_oneof![sessions(), devices(), codes(), friends()]
}

fn sessions() -> impl Strategy<Value = AccountRequest> {
    let mostly_right = prop_oneof![4 => Just([1_u8; 32]), 1 => key()];
    prop_oneof![
        2 => (any_device(), 0..12_u8, mostly_right, until()).prop_map(|(device, n, static_key, expires_at)| {
            AccountRequest::OpenSession { token: token(&device, n), device, static_key, expires_at }
        }),
        1 => (any_device(), 0..12_u8, at()).prop_map(|(device, n, now)| AccountRequest::FindSession {
            token: token(&device, n), now,
        }),
    ]
}

fn devices() -> impl Strategy<Value = AccountRequest> {
    prop_oneof![
        3 => (joiner(), key(), name(), 0..4_u32, at()).prop_map(|(device, static_key, of, limit, at)| {
            AccountRequest::JoinProfile { device, static_key, user: user(of), limit, at }
        }),
        2 => name().prop_map(|of| AccountRequest::ListDevices { user: user(of) }),
        1 => (name(), any_device(), at()).prop_map(|(of, device, at)| AccountRequest::RevokeDevice {
            user: user(of), device, at,
        }),
        1 => (name(), at()).prop_map(|(of, at)| AccountRequest::RevokeDevice {
            user: user(of), device: device(of), at,
        }),
        1 => (any_device(), key(), 0..12_u8, at()).prop_map(|(device, static_key, n, at)| {
            AccountRequest::RotateKey { keep: token(&device, n), device, static_key, at }
        }),
    ]
}

fn codes() -> impl Strategy<Value = AccountRequest> {
    let secret = || prop_oneof![2 => Just([0_u8; 32]), 1 => Just([1; 32])];
    prop_oneof![
        2 => (selector(), name(), any_device(), any::<bool>(), at(), until()).prop_map(
            |(selector, of, other, own, issued_at, expires_at)| AccountRequest::OfferPairing(PairingOffer {
                selector,
                secret: [0; 32],
                user: user(of),
                issuer: if own { device(of) } else { other },
                issued_at,
                expires_at,
            })
        ),
        3 => (selector(), secret(), joiner(), key(), at()).prop_map(|(selector, secret, device, static_key, at)| {
            AccountRequest::ClaimPairing(PairingClaim { selector, secret, device, static_key, at })
        }),
    ]
}

fn friends() -> impl Strategy<Value = AccountRequest> {
    let friend = (name(), any::<bool>(), proptest::option::of("[a-zä ]{0,9}")).prop_map(|(of, named, alias)| Friend {
        user: user(of),
        handle: named.then(|| Handle::parse(of).unwrap()),
        alias,
    });
    prop_oneof![
        name().prop_map(|of| AccountRequest::Friends { user: user(of) }),
        (name(), proptest::collection::vec(friend, 0..4)).prop_map(|(of, friends)| AccountRequest::PutFriends {
            user: user(of),
            friends
        }),
    ]
}

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Member), Just(Role::Admin), Just(Role::Owner)]
}

fn group() -> impl Strategy<Value = GroupId> {
    proptest::sample::select(&["g", "g!", "gg"][..]).prop_map(|id| GroupId::parse(id).unwrap())
}

fn group_request() -> impl Strategy<Value = GroupRequest> {
    let others =
        || proptest::collection::btree_map(any_device(), prop_oneof![Just(Role::Member), Just(Role::Admin)], 0..4);
    prop_oneof![
        2 => (group(), name(), others(), any::<bool>(), 0..3_u32, at()).prop_map(
            |(group, owner, mut members, relay, limit, at)| {
                let owner = device(owner);
                members.insert(owner.clone(), Role::Owner);
                GroupRequest::Create { group, roster: GroupRoster { owner, members, relay, version: 1 }, limit, at }
            }
        ),
        2 => group().prop_map(|group| GroupRequest::Load { group }),
        4 => (group(), name(), any_device(), role(), 1..8_usize, at()).prop_map(
            |(group, by, device, role, limit, at)| GroupRequest::Invite(Invitation {
                group, by: self::device(by), device, role, limit, at,
            })
        ),
    ]
}

fn presence() -> impl Strategy<Value = PresenceRequest> {
    let entry = (name(), "[a-z]{0,9}", until()).prop_map(|(of, state, expires_at)| PresenceEntry {
        device: device(of),
        state,
        expires_at,
        user: Profile {
            id: user(of),
            handle: Handle::parse(of).unwrap(),
            display_name: None,
            avatar_url: None,
        },
    });
    prop_oneof![
        proptest::collection::vec(entry, 0..4).prop_map(PresenceRequest::Set),
        (proptest::collection::vec(any_device(), 0..4), at())
            .prop_map(|(devices, now)| PresenceRequest::Get { devices, now }),
    ]
}
