//! The user's own list.

use commucat_client::blocking::Friend;
use commucat_proto::control::Text;
use commucat_proto::{Handle, UserId};
use commucat_tests::account::{Person, Rest};
use commucat_tests::people::BOTH;
use commucat_tests::stage::Stage;
use serde_json::json;

use crate::devices::pair;

fn friend(number: usize) -> Friend {
    Friend {
        user_id: UserId::parse(&format!("user-{number}")).unwrap(),
        handle: (number.is_multiple_of(2)).then(|| Handle::parse(&format!("handle-{number}")).unwrap()),
        alias: (number.is_multiple_of(3)).then(|| Text::cut(&format!("Der {number}. ältere Freund"))),
    }
}

#[test]
fn a_list_is_the_users_own_on_all_devices_and_outlives_a_crash() {
    let mut stage = Stage::new("");
    let [ada, bob] = ["ada", "bob"].map(|name| Person::new(&stage, name, BOTH[0]));
    assert_eq!(ada.account().friends().unwrap(), []);
    // Not in the order of their names.
    let list: Vec<_> = [7, 3, 6].map(friend).to_vec();
    ada.account().put_friends(list.clone()).unwrap();
    assert_eq!(ada.account().friends().unwrap(), list);
    let phone = Person::of(&stage, pair(&stage, &ada), BOTH[1]);
    assert_eq!(phone.account().friends().unwrap(), list);
    assert_eq!(bob.account().friends().unwrap(), []);
    stage.take().kill();
    stage.start();
    let ada = Person::of(&stage, ada.device, BOTH[1]);
    assert_eq!(ada.account().friends().unwrap(), list);
    ada.account().put_friends(Vec::new()).unwrap();
    assert_eq!(ada.account().friends().unwrap(), []);
    stage.end();
}

#[test]
fn a_list_has_at_most_512_entries_each_of_them_once() {
    let stage = Stage::new("");
    let rest = Rest::of(&stage);
    let ada = Person::new(&stage, "ada", BOTH[0]);
    let put = |friends: serde_json::Value| {
        rest.call(
            "PUT",
            "/api/friends",
            Some(&ada.token),
            Some(&json!({ "friends": friends })),
        )
    };
    let most: Vec<_> = (0..512).map(friend).collect();
    let answer = put(json!(most));
    assert_eq!(answer.status, 200, "{}", answer.body);
    let more: Vec<_> = (0..513).map(friend).collect();
    put(json!(more)).assert_problem(422, "Unprocessable Entity");
    put(json!([friend(1), friend(1)])).assert_problem(422, "Unprocessable Entity");
    for wrong in [
        json!(null),
        json!([{}]),
        json!([{ "user_id": "" }]),
        json!([{ "user_id": "ada", "handle": "a b" }]),
        json!([{ "user_id": "ada", "alias": "x".repeat(257) }]),
    ] {
        put(wrong).assert_problem(422, "Unprocessable Entity");
    }
    // None of them has changed anything.
    let listed = rest.call("GET", "/api/friends", Some(&ada.token), None);
    assert_eq!(listed.json()["friends"].as_array().unwrap().len(), 512);
    stage.end();
}
