//! How often anybody may call.

use std::time::Duration;

use commucat_tests::account::{Person, Rest};
use commucat_tests::curl::{Answer, curl};
use commucat_tests::people::BOTH;
use commucat_tests::stage::Stage;
use serde_json::json;

/// Waits as long as the answer says.
fn wait(answer: &Answer) {
    answer.assert_problem(429, "Too Many Requests");
    let seconds = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{answer:?}");
    std::thread::sleep(Duration::from_secs(seconds));
}

#[test]
fn an_address_that_calls_too_often_is_told_when_to_come_back() {
    let stage = Stage::new("[rest]\naddress_rate = 1\naddress_burst = 6\n");
    // The document is one call.
    let rest = Rest::of(&stage);
    let mut answers = (0..20).map(|_| rest.raw("GET", "/api/server-info", &[]));
    let refused = answers.find(|answer| answer.status != 200).unwrap();
    // What is not there is limited like everything else.
    let missing = curl(&[&format!("{}/no/such/path", stage.url())]).unwrap();
    missing.assert_problem(429, "Too Many Requests");
    wait(&refused);
    assert_eq!(rest.raw("GET", "/healthz", &[]).status, 200);
    stage.end();
}

#[test]
fn a_session_that_calls_too_often_costs_nobody_else_a_call() {
    let stage = Stage::new("[rest]\nsession_rate = 1\nsession_burst = 3\n");
    let rest = Rest::of(&stage);
    let [ada, bob] = ["ada", "bob"].map(|name| Person::new(&stage, name, BOTH[0]));
    let ask = |person: &Person| rest.call("GET", "/api/friends", Some(&person.token), None);
    let refused = (0..20).map(|_| ask(&ada)).find(|answer| answer.status != 200).unwrap();
    assert_eq!(ask(&bob).status, 200);
    wait(&refused);
    assert_eq!(ask(&ada).status, 200);
    stage.end();
}

#[test]
fn wrong_pairing_codes_are_limited_by_themselves_and_right_ones_are_not() {
    let stage = Stage::new("[rest]\nwrong_codes = 3\n");
    let rest = Rest::of(&stage);
    let ada = Person::new(&stage, "ada", BOTH[0]);
    let offer = || ada.account().pair(None).unwrap().pair_code.to_string();
    let claim = |code: &str| rest.call("POST", "/api/pair/claim", None, Some(&json!({ "pair_code": code })));
    for _ in 0..6 {
        assert_eq!(claim(&offer()).status, 200);
    }
    let code = offer();
    for _ in 0..3 {
        claim("wrong").assert_problem(403, "Forbidden");
    }
    // From here on not even the right one is looked at.
    let refused = claim(&code);
    assert_eq!(rest.raw("GET", "/healthz", &[]).status, 200);
    wait(&refused);
    assert_eq!(claim(&code).status, 200);
    stage.end();
}

#[test]
fn behind_a_proxy_addresses_count_as_the_proxy_tells_them_where_the_operator_believes_it() {
    let believed =
        "plain_listen = \"127.0.0.1:0\"\n[rest]\naddress_rate = 1\naddress_burst = 3\ntrust_forwarded = true\n";
    let unknown = "plain_listen = \"127.0.0.1:0\"\n[rest]\naddress_rate = 1\naddress_burst = 3\n";
    for (settings, limited) in [(believed, true), (unknown, false)] {
        let stage = Stage::new(settings);
        let url = format!("http://{}/healthz", stage.plain_address());
        // What a client puts before the proxy's own word does not help it.
        let ask = |spoof: usize, from: &str| {
            let header = format!("x-forwarded-for: 198.51.100.{spoof}, {from}");
            curl(&["--http1.1", "--header", &header, &url]).unwrap().status
        };
        let statuses: Vec<_> = (0..8).map(|spoof| ask(spoof, "192.0.2.1")).collect();
        assert_eq!(statuses.contains(&429), limited, "{statuses:?}");
        assert_eq!(ask(0, "192.0.2.2"), 200, "another address has its own bucket");
        stage.end();
    }
}
