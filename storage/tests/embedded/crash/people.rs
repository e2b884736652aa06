//! Devices that are paired, invited and revoked while the process may die: each wholly or not at all, and for good once it
//! was said.

use std::collections::BTreeSet;
use std::io::Write;

use commucat_proto::GroupId;
use commucat_proto::control::Role;
use commucat_storage::api::{
    AccountRequest, DeviceRecord, GroupRequest, GroupRoster, Invitation, PairingClaim, PairingOffer, Reply, Request,
    Selector, StoreError, TokenHash, Wall,
};
use commucat_storage::embedded::EmbeddedStore;

use crate::common::{append, device, execute, user};

const OWNER: &str = "ada";

fn group() -> GroupId {
    GroupId::parse("g").unwrap()
}

pub(super) fn create_group(store: &EmbeddedStore) {
    let roster = GroupRoster {
        owner: device(OWNER),
        members: [(device(OWNER), Role::Owner)].into(),
        relay: false,
        version: 1,
    };
    let create = GroupRequest::Create {
        group: group(),
        roster,
        limit: 9,
        at: Wall(1),
    };
    let answers = execute(store, vec![Request::Group(create)]);
    assert!(matches!(answers[0], Ok(Reply::Roster(_))), "{answers:?}");
}

/// A code that `name` alone gives.
fn selector(name: &str) -> Selector {
    let mut selector = [0; 8];
    for (n, byte) in name.bytes().enumerate() {
        selector[n % 8] = u8::wrapping_mul(selector[n % 8], 31).wrapping_add(byte);
    }
    Selector(selector)
}

fn claim(name: &str, device_id: &str) -> Request {
    Request::Account(AccountRequest::ClaimPairing(PairingClaim {
        selector: selector(name),
        secret: [1; 32],
        device: device(device_id),
        static_key: [3; 32],
        at: Wall(2),
    }))
}

/// Pairs a device, invites it, and perhaps revokes it; says so only after the store has answered.
pub(super) fn pair(store: &EmbeddedStore, name: &str, and_revoke: bool, out: &mut impl Write) {
    let offer = Request::Account(AccountRequest::OfferPairing(PairingOffer {
        selector: selector(name),
        secret: [1; 32],
        user: user(OWNER),
        issuer: device(OWNER),
        issued_at: Wall(1),
        expires_at: Wall(9),
    }));
    assert_eq!(execute(store, vec![offer]), [Ok(Reply::Done)]);
    let answers = execute(store, vec![claim(name, name)]);
    assert!(matches!(answers[0], Ok(Reply::Paired(_))), "{answers:?}");
    writeln!(out, "paired {name} - end").unwrap();
    let invite = Request::Group(GroupRequest::Invite(Invitation {
        group: group(),
        by: device(OWNER),
        device: device(name),
        role: Role::Member,
        limit: 100_000,
        at: Wall(2),
    }));
    let open = Request::Account(AccountRequest::OpenSession {
        token: token(name),
        device: device(name),
        static_key: [3; 32],
        expires_at: Wall(9),
    });
    let answers = execute(store, vec![invite, open, append(name, "x")]);
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    writeln!(out, "invited {name} - end").unwrap();
    if and_revoke {
        let revoke = Request::Account(AccountRequest::RevokeDevice {
            user: user(OWNER),
            device: device(name),
            at: Wall(3),
        });
        assert_eq!(execute(store, vec![revoke]), [Ok(Reply::Done)]);
        writeln!(out, "revoked {name} - end").unwrap();
    }
}

fn token(name: &str) -> TokenHash {
    let mut token = [0; 32];
    for (to, from) in token.iter_mut().zip(name.bytes()) {
        *to = from;
    }
    TokenHash(token)
}

/// Whom the process has said something of.
#[derive(Default)]
pub(super) struct Expected {
    paired: BTreeSet<String>,
    invited: BTreeSet<String>,
    revoked: BTreeSet<String>,
}

impl Expected {
    pub(super) fn paired(&mut self, device: String) {
        self.paired.insert(device);
    }

    pub(super) fn has_paired(&self) -> bool {
        !self.paired.is_empty()
    }

    pub(super) fn invited(&mut self, device: String) {
        self.invited.insert(device);
    }

    pub(super) fn revoked(&mut self, device: String) {
        self.revoked.insert(device);
    }

    /// Tells how many rows and bytes the paired devices hold.
    pub(super) fn check(&self, store: &EmbeddedStore, when: &str) -> (u64, u64) {
        let list = AccountRequest::ListDevices { user: user(OWNER) };
        let load = GroupRequest::Load { group: group() };
        let mut answers = execute(store, vec![Request::Account(list), Request::Group(load)]);
        let (Ok(Reply::Roster(roster)), Ok(Reply::Devices(devices))) = (answers.remove(1), answers.remove(0)) else {
            panic!("{when}: the profile or the group is gone")
        };
        let found = |name: &String| devices.iter().find(|found| found.device.as_str() == name);
        for name in &self.paired {
            assert!(found(name).is_some(), "{when}: {name} was paired and is not there");
            let again = execute(store, vec![claim(name, "somebody-else")]);
            assert_eq!(again, [Err(StoreError::PairingRefused)], "{when}: the code of {name}");
        }
        for name in &self.invited {
            assert!(roster.members.contains_key(&device(name)), "{when}: {name} was invited");
        }
        assert_eq!(
            roster.version,
            roster.members.len() as u64,
            "{when}: an invite happened in part"
        );
        for name in &self.revoked {
            let revoked = found(name).is_some_and(|found| found.revoked_at.is_some());
            assert!(revoked, "{when}: {name} was revoked and is back");
        }
        let mut held = (0, 0);
        for found in devices.iter().filter(|found| found.device.as_str() != OWNER) {
            let (rows, bytes) = self.check_device(store, found, when);
            held = (held.0 + rows, held.1 + bytes);
        }
        held
    }
    /// A device is there with all that belongs to it; a revoked one without.
    fn check_device(&self, store: &EmbeddedStore, found: &DeviceRecord, when: &str) -> (u64, u64) {
        let name = found.device.as_str();
        let batch = vec![
            Request::Lookup {
                device: found.device.clone(),
                user: None,
                handle: None,
            },
            Request::Account(AccountRequest::FindSession {
                token: token(name),
                now: Wall(3),
            }),
            crate::common::read(name),
        ];
        let answers = execute(store, batch);
        let Ok(Reply::Found {
            device: Some(known), ..
        }) = &answers[0]
        else {
            panic!("{when}: {name} is listed and unknown")
        };
        assert_eq!(
            (known.user.id.clone(), known.revoked),
            (user(OWNER), found.revoked_at.is_some())
        );
        if known.revoked {
            let nothing = [Ok(Reply::Session(None)), Err(StoreError::UnknownDevice)];
            assert_eq!(answers[1..], nothing, "{when}: {name}");
            return (0, 0);
        }
        let session = matches!(&answers[1], Ok(Reply::Session(Some(owner))) if owner.device == found.device);
        assert!(
            session || !self.invited.contains(name),
            "{when}: {name} has lost its session"
        );
        let Ok(Reply::Rows { rows, .. }) = &answers[2] else {
            panic!("{when}: {name} has no inbox: {:?}", answers[2])
        };
        (
            rows.len() as u64,
            rows.iter().map(|(_, row)| row.payload.len() as u64).sum(),
        )
    }
}
