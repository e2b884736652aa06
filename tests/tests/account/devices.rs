//! Revocation, and devices that join by themselves.

use std::sync::atomic::{AtomicBool, Ordering};

use commucat_client::blocking::{DriverError, claim};
use commucat_client::{Config, HttpVersion, OsEntropy, StaticKey};
use commucat_proto::control::UserClaim;
use commucat_tests::account::{Person, Rest};
use commucat_tests::people::{BOTH, Device, endpoint, options};
use commucat_tests::stage::Stage;
use serde_json::json;

/// One more device of the same profile.
pub(crate) fn pair(stage: &Stage, owner: &Person) -> Device {
    let key = StaticKey::generate(&mut OsEntropy);
    let code = owner.account().pair(None).unwrap().pair_code;
    let paired = claim(&endpoint(stage), &options(), &code, None, Some(key.public())).unwrap();
    Device {
        id: paired.device_id,
        key,
    }
}

fn refusal(stage: &Stage, device: &Device, http: HttpVersion) -> (String, u16) {
    let problem = device.refused(stage, device.config(stage, http));
    (problem.title.into_owned(), problem.status)
}

const REVOKED: (&str, u16) = ("Device Revoked", 403);

#[test]
fn a_revoked_device_is_out_at_once_on_any_core_and_its_token_with_it() {
    let stage = Stage::new("");
    let rest = Rest::of(&stage);
    let mut owner = Person::new(&stage, "owner", BOTH[0]);
    // The kernel spreads connections over both shards: of eight, all on one is a matter of 1 in 128.
    let phones: Vec<_> = (0..8)
        .map(|index| Person::of(&stage, pair(&stage, &owner), BOTH[index % 2]))
        .collect();
    let devices: Vec<_> = phones.iter().map(|phone| phone.device.clone()).collect();
    owner.peer.join(1, &devices);
    owner.peer.say(1, "all of you");
    for (index, mut phone) in phones.into_iter().enumerate() {
        assert_eq!(phone.peer.hear().text(), "all of you");
        let body = json!({ "device_id": format!("{}@localhost", phone.device.id) });
        let answer = rest.call("POST", "/api/devices/revoke", Some(&owner.token), Some(&body));
        assert_eq!(
            (answer.status, answer.json()),
            (
                200,
                json!({ "device_id": phone.device.id.as_str(), "status": "revoked" })
            )
        );
        rest.call("GET", "/api/devices", Some(&phone.token), None)
            .assert_problem(401, "Unauthorized");
        let (_, end) = phone.peer.ends();
        assert_eq!(end.problem(), Some(REVOKED));
        assert_eq!(
            refusal(&stage, &phone.device, BOTH[index % 2]),
            (REVOKED.0.to_owned(), REVOKED.1)
        );
        // Again is no error.
        owner.account().revoke(&phone.device.id).unwrap();
    }
    let revoked = |entry: &commucat_client::blocking::DeviceEntry| entry.status == "revoked";
    let listed = owner.account().devices().unwrap();
    assert_eq!(listed.iter().filter(|entry| revoked(entry)).count(), devices.len());
    assert_eq!(listed.iter().filter(|entry| entry.current).count(), 1);
    // The owner goes on.
    let other = Person::new(&stage, "other", BOTH[1]);
    owner.peer.join(2, [&other.device]);
    owner.peer.say(2, "still here");
    stage.end();
}

#[test]
fn a_device_may_revoke_itself_and_nobody_elses() {
    let stage = Stage::new("");
    let rest = Rest::of(&stage);
    let [ada, bob] = ["ada", "bob"].map(|name| Person::new(&stage, name, BOTH[0]));
    for device in [bob.device.id.as_str(), "nobody", "ada@elsewhere.example"] {
        let body = json!({ "device_id": device });
        rest.call("POST", "/api/devices/revoke", Some(&ada.token), Some(&body))
            .assert_problem(404, "Not Found");
    }
    ada.account().revoke(&ada.device.id).unwrap();
    assert!(matches!(
        ada.account().devices(),
        Err(DriverError::Problem { status: 401, .. })
    ));
    let (_, end) = ada.peer.ends();
    assert_eq!(end.problem(), Some(REVOKED));
    assert_eq!(bob.account().devices().unwrap().len(), 1);
    stage.end();
}

#[test]
fn no_session_comes_in_past_a_revocation() {
    let stage = Stage::new("");
    let owner = Person::new(&stage, "owner", BOTH[0]);
    for round in 0..3 {
        let device = pair(&stage, &owner);
        let revoked = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let knock = |http| {
                let (device, stage, revoked) = (&device, &stage, &revoked);
                move || {
                    // Whoever begins after the answer must be refused; whoever began before must have been, or be ended.
                    loop {
                        let before = !revoked.load(Ordering::SeqCst);
                        match device.connect_with(stage, device.config(stage, http)) {
                            Ok(peer) => {
                                assert!(before, "a session came in after the revocation was answered");
                                if revoked.load(Ordering::SeqCst) {
                                    let (_, end) = peer.ends();
                                    let how = end.problem().map(|(title, _)| title.to_owned());
                                    let how = how.as_deref();
                                    assert!(matches!(how, Some("Device Revoked" | "Session Replaced")), "{end:?}");
                                }
                            }
                            Err(error) if error.to_string().contains("Device Revoked") => return,
                            // Two of them replace each other.
                            Err(error) => assert!(error.to_string().contains("Session Replaced"), "{error}"),
                        }
                    }
                }
            };
            let threads: Vec<_> = BOTH.iter().map(|http| scope.spawn(knock(*http))).collect();
            std::thread::sleep(std::time::Duration::from_millis(150 * (round + 1)));
            owner.account().revoke(&device.id).unwrap();
            revoked.store(true, Ordering::SeqCst);
            for thread in threads {
                thread.join().unwrap();
            }
        });
    }
    stage.end();
}

#[test]
fn more_devices_join_a_profile_by_themselves_where_the_operator_allows_it() {
    let stage = Stage::new("max_auto_devices_per_user = 2\n");
    let owner = Person::new(&stage, "owner", BOTH[0]);
    let join = |device: &Device, http| Config {
        user: Some(UserClaim {
            id: Some(owner.user.id.clone()),
            ..UserClaim::default()
        }),
        ..device.config(&stage, http)
    };
    let [second, third] = ["second", "third"].map(Device::new);
    let mut peer = second.connect_with(&stage, join(&second, BOTH[1])).unwrap();
    let session = peer.client().connection().session().unwrap();
    assert_eq!(session.user, owner.user);
    let refused = third.refused(&stage, join(&third, BOTH[0]));
    assert_eq!((&*refused.title, refused.status), ("PairingRequired", 403));
    // A code counts for more than the limit; a revoked device does not count.
    let _ = Person::of(&stage, pair(&stage, &owner), BOTH[0]);
    for device in owner.account().devices().unwrap() {
        if !device.current {
            owner.account().revoke(&device.device_id).unwrap();
        }
    }
    third.connect_with(&stage, join(&third, BOTH[1])).unwrap().bye();
    assert_eq!(owner.account().devices().unwrap().len(), 4);
    stage.end();
}
