//! The `session` of AUTH is the bearer token of the REST calls.

use std::time::Duration;

use commucat_proto::SessionToken;
use commucat_tests::account::{Person, Rest};
use commucat_tests::people::BOTH;
use commucat_tests::stage::Stage;
use serde_json::json;

#[test]
fn who_has_no_token_or_a_wrong_one_is_told_what_to_bring() {
    let stage = Stage::new("");
    let rest = Rest::of(&stage);
    let person = Person::new(&stage, "ada", BOTH[0]);
    let mut wrong = person.token.expose().to_owned();
    wrong.replace_range(..1, if wrong.starts_with('0') { "1" } else { "0" });
    let wrong = SessionToken::parse(&wrong).unwrap();
    for (path, operations) in rest.spec().paths() {
        for (method, operation) in operations.as_object().unwrap() {
            // The operator's calls take another token.
            if operation["security"] != json!([{ "bearer": [] }]) {
                continue;
            }
            let method = method.to_uppercase();
            let answer = rest.call(&method, path, None, None);
            answer.assert_problem(401, "Unauthorized");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"commucat\""));
            let answer = rest.call(&method, path, Some(&wrong), None);
            answer.assert_problem(401, "Unauthorized");
            assert_eq!(
                answer.header("www-authenticate"),
                Some("Bearer realm=\"commucat\", error=\"invalid_token\"")
            );
        }
    }
    for scheme in ["Basic", "Token"] {
        let header = format!("authorization: {scheme} {}", person.token.expose());
        rest.raw("GET", "/api/devices", &["--header", &header])
            .assert_problem(401, "Unauthorized");
    }
    let log = stage.end();
    assert!(!log.contains(person.token.expose()), "a token stands in the log");
}

#[test]
fn a_token_outlives_its_session_and_the_relay_but_not_its_time() {
    let mut stage = Stage::new("session_ttl = \"4s\"\n");
    let person = Person::new(&stage, "ada", BOTH[1]);
    let token = person.token.clone();
    person.peer.bye();
    let list = |stage: &Stage| Rest::of(stage).call("GET", "/api/devices", Some(&token), None);
    let answer = list(&stage);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let (status, log) = stage.take().terminate();
    assert!(status.success(), "{log}");
    stage.start();
    assert_eq!(list(&stage).status, 200);
    std::thread::sleep(Duration::from_secs(4));
    list(&stage).assert_problem(401, "Unauthorized");
    // The device comes back with a new one.
    let person = Person::of(&stage, person.device, BOTH[0]);
    assert_ne!(person.token, token);
    assert_eq!(person.account().devices().unwrap().len(), 1);
    stage.end();
}
