//! A code from one device, used by another.

use std::time::Duration;

use commucat_client::blocking::{DriverError, PairedDevice, claim};
use commucat_client::{OsEntropy, Pattern, StaticKey};
use commucat_crypto::certificate::verify;
use commucat_crypto::zkp::device_keys;
use commucat_proto::control::DeviceCertificate;
use commucat_tests::account::{Person, Rest, spoilt};
use commucat_tests::people::{BOTH, Device, endpoint, options};
use commucat_tests::stage::Stage;
use commucat_tests::tunnel::Tunnel;
use serde_json::{Value, json};

/// The device that a claim without a key of its own has made.
fn device(paired: &PairedDevice) -> Device {
    let mut seed = [0; 32];
    hex::decode_to_slice(paired.seed.as_ref().unwrap().as_str(), &mut seed).unwrap();
    Device {
        id: paired.device_id.clone(),
        key: StaticKey::from_bytes(seed),
    }
}

fn status(outcome: Result<PairedDevice, DriverError>) -> u16 {
    match outcome {
        Ok(_) => 200,
        Err(DriverError::Problem { status, .. }) => status,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_device_that_claims_a_code_connects_by_xk_with_the_key_it_was_given_and_belongs_to_the_profile() {
    let stage = Stage::new("");
    for http in BOTH {
        let owner = Person::new(&stage, &format!("owner-{http:?}"), http);
        let offer = owner.account().pair(None).unwrap();
        assert_eq!((offer.ttl, &offer.issuer_device_id), (300, &owner.device.id));
        // As a person would type it.
        let typed = offer.pair_code.to_lowercase().replace('-', " ");
        let paired = claim(&endpoint(&stage), &options(), &typed, Some("Ada's phone"), None).unwrap();
        assert_eq!(
            (&paired.issuer_device_id, &paired.user),
            (&owner.device.id, &owner.user)
        );
        let new = device(&paired);
        let seed: [u8; 32] = *new.key.expose();
        assert_eq!(paired.seed, Some(offer.device_seed));
        assert_eq!(paired.private_key, paired.seed);
        assert_eq!(paired.public_key.0, device_keys(&seed).1);
        assert_eq!(paired.device_ca_public, offer.device_ca_public);

        // XK, with the key that was pinned for it; and what the owner says reaches it.
        let mut phone = Person::of(&stage, new, http);
        assert_eq!(phone.user, owner.user);
        let mut owner = owner;
        owner.peer.join(1, [&phone.device]);
        owner.peer.say(1, "welcome");
        assert_eq!(phone.peer.hear().text(), "welcome");

        let listed = phone.account().devices().unwrap();
        let mut names: Vec<_> = listed.iter().map(|entry| (&entry.device_id, entry.current)).collect();
        names.sort_unstable();
        let mut expected = vec![(&owner.device.id, false), (&phone.device.id, true)];
        expected.sort_unstable();
        assert_eq!(names, expected);
        for entry in &listed {
            let of = if entry.current { &phone } else { &owner };
            assert_eq!(entry.public_key.0, *of.device.key.public().as_bytes());
            assert_eq!(entry.status, "active");
        }
    }
    stage.end();
}

#[test]
fn a_device_that_brings_its_own_key_is_given_no_secret() {
    let stage = Stage::new("");
    let rest = Rest::of(&stage);
    let owner = Person::new(&stage, "owner", BOTH[0]);
    let key = StaticKey::generate(&mut OsEntropy);
    let offer = rest.call("POST", "/api/pair", Some(&owner.token), Some(&json!({ "ttl": 60 })));
    let offer = offer.json();
    assert_eq!(offer["ttl"], 60);
    let body = json!({
        "pair_code": offer["pair_code"], "client_static": key.public().to_string(), "device_name": null,
    });
    let paired = rest.call("POST", "/api/pair/claim", None, Some(&body)).json();
    assert!(
        paired.get("private_key").is_none() && paired.get("seed").is_none(),
        "{paired}"
    );
    assert_eq!(paired["public_key"], key.public().to_string());
    assert_eq!(paired["user"]["id"], owner.user.id.as_str());
    let certificate: DeviceCertificate = serde_json::from_value(paired["device_certificate"].clone()).unwrap();
    assert_eq!(certificate.public_key.0, *key.public().as_bytes());
    let device = Device {
        id: paired["device_id"].as_str().unwrap().parse().unwrap(),
        key,
    };
    assert_eq!(Person::of(&stage, device, BOTH[1]).user, owner.user);
    stage.end();
}

#[test]
fn the_certificate_of_a_paired_device_holds_in_hello_and_no_other_does() {
    let stage = Stage::new("");
    let owner = Person::new(&stage, "owner", BOTH[0]);
    let pair = || {
        let offer = owner.account().pair(None).unwrap();
        claim(&endpoint(&stage), &options(), &offer.pair_code, None, None).unwrap()
    };
    let (paired, other) = (pair(), pair());
    let certificate = &paired.device_certificate;
    assert_eq!(
        (&certificate.user_id, &certificate.device_id),
        (&owner.user.id, &paired.device_id)
    );
    assert_eq!(certificate.public_key, paired.public_key);
    assert_eq!(certificate.issuer.as_str(), "localhost");
    let ca = paired.device_ca_public.0;
    assert_eq!(verify(certificate, &ca, certificate.issued_at), Ok(()));
    let info = commucat_tests::curl::curl(&[&format!("{}/api/server-info", stage.url())]).unwrap();
    assert_eq!(info.json()["device_ca_public"], hex::encode(ca));
    assert_ne!(certificate.serial, other.device_certificate.serial);

    let phone = device(&paired);
    let with = |hello: &mut Value, certificate: Value| {
        hello["device_public"] = json!(hex::encode(paired.public_key.0));
        hello["device_certificate"] = certificate;
        // What existing clients send beside it.
        hello["certificate"] = json!("anything");
        hello["device_ca_public"] = json!(hex::encode(ca));
    };
    let own = serde_json::to_value(certificate).unwrap();
    for http in BOTH {
        let mut tunnel = Tunnel::open(&stage, http);
        let hello = tunnel.hello(&stage, &phone, Pattern::Xk, |hello| with(hello, own.clone()));
        let (ready, ..) = tunnel.auth(hello);
        tunnel.prove(ready);
        let ack: Value = serde_json::from_slice(&tunnel.hear().payload).unwrap();
        assert_eq!(ack["handshake"], "ok");
    }
    let mut forged = own.clone();
    forged["expires_at"] = json!(u64::MAX >> 11);
    let foreign = serde_json::to_value(&other.device_certificate).unwrap();
    for wrong in [forged, foreign] {
        let mut tunnel = Tunnel::open(&stage, BOTH[0]);
        let _ = tunnel.hello(&stage, &phone, Pattern::Xk, |hello| with(hello, wrong));
        assert_eq!(tunnel.refusal(), ("Handshake Failed".to_owned(), 403));
    }
    // Its own, and neither of the keys that HELLO names is the certified one.
    let mut tunnel = Tunnel::open(&stage, BOTH[1]);
    let _ = tunnel.hello(&stage, &phone, Pattern::Xk, |hello| {
        with(hello, own.clone());
        hello["device_public"] = json!(hex::encode(other.public_key.0));
    });
    assert_eq!(tunnel.refusal(), ("Handshake Failed".to_owned(), 403));
    let mut tunnel = Tunnel::open(&stage, BOTH[1]);
    let _ = tunnel.hello(&stage, &phone, Pattern::Xk, |hello| with(hello, json!("no object")));
    assert_eq!(tunnel.refusal(), ("Invalid Control Payload".to_owned(), 400));
    stage.end();
}

#[test]
fn an_expired_certificate_is_refused_and_the_device_comes_in_without_it() {
    let stage = Stage::new("certificate_ttl = \"1s\"\n");
    let owner = Person::new(&stage, "owner", BOTH[0]);
    let offer = owner.account().pair(None).unwrap();
    let paired = claim(&endpoint(&stage), &options(), &offer.pair_code, None, None).unwrap();
    let certificate = &paired.device_certificate;
    assert_eq!(certificate.expires_at - certificate.issued_at, 1);
    std::thread::sleep(Duration::from_millis(1100));
    let phone = device(&paired);
    let mut tunnel = Tunnel::open(&stage, BOTH[0]);
    let _ = tunnel.hello(&stage, &phone, Pattern::Xk, |hello| {
        hello["device_public"] = json!(hex::encode(paired.public_key.0));
        hello["device_certificate"] = serde_json::to_value(certificate).unwrap();
    });
    let (_, problem) = tunnel.error();
    assert_eq!(problem["status"], 403, "{problem}");
    assert_eq!(problem["detail"], "device_certificate has expired");
    assert_eq!(Person::of(&stage, phone, BOTH[1]).user, owner.user);
    stage.end();
}

#[test]
fn five_wrong_secrets_end_a_code_and_four_do_not() {
    let stage = Stage::new("[rest]\nwrong_codes = 100\n");
    let rest = Rest::of(&stage);
    let owner = Person::new(&stage, "owner", BOTH[0]);
    let try_code = |code: &str| rest.call("POST", "/api/pair/claim", None, Some(&json!({ "pair_code": code })));
    for wrong in [4, 5] {
        let code = owner.account().pair(None).unwrap().pair_code;
        let mut answers = Vec::new();
        for _ in 0..wrong {
            let answer = try_code(&spoilt(&code));
            answer.assert_problem(403, "Forbidden");
            answers.push(answer.body);
        }
        let answer = try_code(&code);
        assert_eq!(answer.status, if wrong == 4 { 200 } else { 403 }, "{answer:?}");
        // Whatever is wrong with a code, the answer is the same.
        let unknown = try_code(&["00000"; 8].join("-"));
        let nonsense = try_code("nonsense");
        for body in answers {
            assert_eq!((&unknown.body, &nonsense.body), (&body, &body));
        }
    }
    stage.end();
}

#[test]
fn a_code_is_used_once_and_has_its_time() {
    let stage = Stage::new("pairing_ttl_max = \"400s\"\n");
    let owner = Person::new(&stage, "owner", BOTH[1]);
    let use_code = |code: &str| status(claim(&endpoint(&stage), &options(), code, None, None));
    let twice = owner.account().pair(None).unwrap();
    assert_eq!(use_code(&twice.pair_code), 200);
    assert_eq!(use_code(&twice.pair_code), 403);
    let short = owner.account().pair(Some(1)).unwrap();
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(use_code(&short.pair_code), 403);
    let long = owner.account().pair(Some(1_000_000)).unwrap();
    assert_eq!(long.ttl, 400, "nobody gets more than the server allows");
    assert!(long.issued_at < long.expires_at);
    stage.end();
}

#[test]
fn a_code_outlives_a_crash_and_leads_to_the_same_key() {
    let mut stage = Stage::new("");
    let owner = Person::new(&stage, "owner", BOTH[0]);
    let offer = owner.account().pair(None).unwrap();
    stage.take().kill();
    stage.start();
    let paired = claim(&endpoint(&stage), &options(), &offer.pair_code, None, None).unwrap();
    assert_eq!(paired.seed, Some(offer.device_seed.clone()));
    let phone = device(&paired);
    stage.take().kill();
    // Neither the code nor the seed was ever written down.
    let secrets = [
        offer.pair_code.as_bytes(),
        offer.device_seed.as_bytes(),
        &*phone.key.expose(),
    ]
    .map(<[u8]>::to_vec);
    for file in files(&stage.home().data()) {
        let bytes = std::fs::read(&file).unwrap();
        for secret in &secrets {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_slice());
            assert!(!found, "a secret stands in {}", file.display());
        }
    }
    stage.start();
    assert_eq!(Person::of(&stage, phone, BOTH[1]).user, owner.user);
    stage.end();
}

fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        match entry.path() {
            path if path.is_dir() => all.extend(files(&path)),
            path => all.push(path),
        }
    }
    all
}

#[test]
fn a_code_of_a_device_that_was_revoked_since_is_worth_nothing() {
    let stage = Stage::new("");
    let owner = Person::new(&stage, "owner", BOTH[0]);
    let offer = owner.account().pair(None).unwrap();
    let paired = claim(&endpoint(&stage), &options(), &offer.pair_code, None, None).unwrap();
    let phone = Person::of(&stage, device(&paired), BOTH[1]);
    let stolen = phone.account().pair(None).unwrap();
    owner.account().revoke(&phone.device.id).unwrap();
    let outcome = claim(&endpoint(&stage), &options(), &stolen.pair_code, None, None);
    assert_eq!(status(outcome), 403);
    stage.end();
}

#[test]
fn codes_and_devices_of_one_profile_have_an_end() {
    let stage = Stage::new("max_devices_per_user = 2\n");
    let rest = Rest::of(&stage);
    let owner = Person::new(&stage, "owner", BOTH[0]);
    let ask = || rest.call("POST", "/api/pair", Some(&owner.token), None);
    let codes: Vec<_> = (0..16).map(|_| ask().json()["pair_code"].clone()).collect();
    ask().assert_problem(409, "Conflict");
    let used = rest.call("POST", "/api/pair/claim", None, Some(&json!({ "pair_code": codes[0] })));
    assert_eq!(used.status, 200);
    let full = ask();
    full.assert_problem(409, "Conflict");
    assert!(full.body.contains("devices"), "{full:?}");
    stage.end();
}

#[test]
fn what_is_no_claim_is_told_so() {
    let stage = Stage::new("[limits]\nrest_body = \"1KiB\"\n");
    let rest = Rest::of(&stage);
    let json = ["--header", "content-type: application/json"];
    let claim = |headers: &[&str], body: &str| {
        let arguments = [headers, &["--data-binary", body]].concat();
        rest.raw("POST", "/api/pair/claim", &arguments)
    };
    for (body, code, title) in [
        ("{\"pair_code\": ", 400, "Bad Request"),
        ("[\"00000\"]", 400, "Bad Request"),
        ("{}", 422, "Unprocessable Entity"),
        ("{\"pair_code\": 7}", 422, "Unprocessable Entity"),
        (
            "{\"pair_code\": \"x\", \"client_static\": \"00\"}",
            422,
            "Unprocessable Entity",
        ),
    ] {
        claim(&json, body).assert_problem(code, title);
    }
    let long_name = json!({ "pair_code": "x", "device_name": "n".repeat(257) }).to_string();
    claim(&json, &long_name).assert_problem(422, "Unprocessable Entity");
    claim(&["--header", "content-type: text/plain"], "{}").assert_problem(415, "Unsupported Media Type");
    // curl's own media type for data is that of forms.
    claim(&[], "{}").assert_problem(415, "Unsupported Media Type");
    let large = format!("{{\"pair_code\": \"{}\"}}", "x".repeat(2000));
    claim(&json, &large).assert_problem(413, "Content Too Large");
    rest.raw("POST", "/api/pair/claim", &[])
        .assert_problem(422, "Unprocessable Entity");
    stage.end();
}
