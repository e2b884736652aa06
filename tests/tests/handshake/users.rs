//! Profiles: founding, keeping, and joining, which takes a pairing code.

use commucat_client::{Config, HttpVersion};
use commucat_proto::control::{Text, UserClaim};
use commucat_proto::{Handle, UserId};
use commucat_tests::people::{Device, Peer, WAYS};
use commucat_tests::stage::Stage;

fn claim(id: Option<&str>, handle: Option<&str>) -> Option<UserClaim> {
    Some(UserClaim {
        id: id.map(|id| UserId::parse(id).unwrap()),
        handle: handle.map(|handle| Handle::parse(handle).unwrap()),
        display_name: None,
        avatar_url: None,
    })
}

fn user(peer: &mut Peer) -> commucat_proto::control::UserProfile {
    peer.client().connection().session().unwrap().user.clone()
}

fn problem(stage: &Stage, device: &Device, http: HttpVersion, user: Option<UserClaim>) -> (String, u16) {
    let config = Config {
        user,
        ..device.config(stage, http)
    };
    let problem = device.refused(stage, config);
    (problem.title.into_owned(), problem.status)
}

#[test]
fn without_a_user_a_device_founds_a_fresh_profile_with_a_generated_handle_and_keeps_it() {
    let mut stage = Stage::new("");
    let [one, two] = ["one", "two"].map(Device::new);
    let (mut first, mut second) = (one.connect(&stage, WAYS[0]), two.connect(&stage, WAYS[1]));
    let (mine, other) = (user(&mut first), user(&mut second));
    assert_ne!((&mine.id, &mine.handle), (&other.id, &other.handle));
    drop((first, second));
    assert_eq!(user(&mut one.connect(&stage, WAYS[1])), mine);
    stage.take().kill();
    stage.start();
    assert_eq!(user(&mut one.connect(&stage, WAYS[0])), mine, "after a crash, too");
    stage.end();
}

#[test]
fn a_handle_that_is_taken_is_never_an_attachment_to_its_owners_profile() {
    let stage = Stage::new("");
    let [owner, other] = ["owner", "other"].map(Device::new);
    let config = Config {
        user: claim(None, Some("tom")),
        ..owner.config(&stage, HttpVersion::Http1)
    };
    owner.connect_with(&stage, config.clone()).unwrap().bye();
    for http in WAYS {
        let refused = problem(&stage, &other, http, claim(None, Some("tom")));
        assert_eq!(refused, ("Handle Taken".to_owned(), 409));
    }
    // The owner's own device may say it again.
    let mut peer = owner.connect_with(&stage, config).unwrap();
    assert_eq!(user(&mut peer).handle.as_str(), "tom");
    stage.end();
}

#[test]
fn a_user_whom_nobody_knows_is_unknown() {
    let stage = Stage::new("");
    for http in WAYS {
        let refused = problem(&stage, &Device::new("lost"), http, claim(Some("no-such-user"), None));
        assert_eq!(refused, ("Unknown User".to_owned(), 404));
    }
    stage.end();
}

#[test]
fn joining_an_existing_user_takes_a_pairing_code() {
    let stage = Stage::new("");
    let [owner, other] = ["owner", "other"].map(Device::new);
    let id = user(&mut owner.connect(&stage, HttpVersion::Http1)).id;
    for http in WAYS {
        let refused = problem(&stage, &other, http, claim(Some(id.as_str()), None));
        assert_eq!(refused, ("PairingRequired".to_owned(), 403));
    }
    stage.end();
}

#[test]
fn without_auto_approval_every_new_device_needs_a_pairing_code_and_a_known_one_does_not() {
    let home_rule = "auto_approve_devices = false\n";
    let stage = Stage::new(home_rule);
    let device = Device::new("new");
    for http in WAYS {
        for user in [None, claim(None, Some("fresh"))] {
            assert_eq!(
                problem(&stage, &device, http, user),
                ("PairingRequired".to_owned(), 403)
            );
        }
    }
    stage.end();
    // The same where a profile may have no automatic device at all.
    let stage = Stage::new("max_auto_devices_per_user = 0\n");
    assert_eq!(
        problem(&stage, &device, WAYS[0], None),
        ("PairingRequired".to_owned(), 403)
    );
    stage.end();
    let mut stage = Stage::new("");
    device.connect(&stage, WAYS[0]).bye();
    stage.restart_with(home_rule);
    device.connect(&stage, WAYS[0]).bye();
    stage.end();
}

#[test]
fn the_stored_profile_of_a_known_device_wins_over_its_hello_except_for_how_people_see_it() {
    let stage = Stage::new("");
    let device = Device::new("known");
    let mut peer = device.connect(&stage, HttpVersion::Http1);
    let before = user(&mut peer);
    drop(peer);
    let config = Config {
        user: Some(UserClaim {
            display_name: Some(Text::cut("A new name")),
            ..claim(None, Some("another-handle")).unwrap()
        }),
        ..device.config(&stage, HttpVersion::Http2)
    };
    let mut peer = device.connect_with(&stage, config).unwrap();
    let told = user(&mut peer);
    assert_eq!((&told.id, &told.handle), (&before.id, &before.handle));
    assert_eq!(told.display_name.as_ref().map(Text::as_str), Some("A new name"));
    drop(peer);
    assert_eq!(user(&mut device.connect(&stage, HttpVersion::Http1)), told);
    // The handle that it asked for in vain is free.
    let somebody = Device::new("somebody");
    let config = Config {
        user: claim(None, Some("another-handle")),
        ..somebody.config(&stage, HttpVersion::Http1)
    };
    somebody.connect_with(&stage, config).unwrap().bye();
    stage.end();
}
