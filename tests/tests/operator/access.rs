//! Who may see the numbers and the page, and what becomes of the token.

use commucat_tests::curl::{Answer, curl};
use commucat_tests::operator::{TOKEN, bearer, start, token_file};
use commucat_tests::relay::{Home, Relay};

const CLOSED: [&str; 4] = ["/metrics", "/api/security-stats", "/admin/events", "/admin/app.js"];

fn ask(relay: &Relay, arguments: &[&str], path: &str) -> Answer {
    curl(&[arguments, &[format!("{}{path}", relay.url()).as_str()]].concat()).unwrap()
}

#[test]
fn without_a_token_the_numbers_are_open_and_the_page_is_off_and_says_how_to_have_it() {
    let home = Home::new();
    let relay = home.start(&[]);
    for path in ["/metrics", "/api/security-stats"] {
        assert_eq!(ask(&relay, &[], path).status, 200);
    }
    for path in [
        "/admin",
        "/admin/login",
        "/admin/events",
        "/admin/app.js",
        "/admin/style.css",
    ] {
        let answer = ask(&relay, &["--header", &bearer()], path);
        answer.assert_problem(404, "Not Found");
        assert!(answer.body.contains("admin_token_file"), "{answer:?}");
    }
    ask(&relay, &["--data", "token=x"], "/admin/login").assert_problem(404, "Not Found");
}

#[test]
fn with_a_token_nobody_else_sees_a_number_whatever_they_present() {
    let home = Home::new();
    let relay = start(&home, "");
    let wrong = [
        vec![],
        vec!["--header".to_owned(), format!("authorization: Bearer {}", &TOKEN[1..])],
        vec!["--header".to_owned(), format!("authorization: Bearer {TOKEN}x")],
        vec!["--header".to_owned(), "authorization: Bearer".to_owned()],
        vec!["--header".to_owned(), format!("authorization: Basic {TOKEN}")],
        vec!["--header".to_owned(), format!("cookie: __Host-commucat-admin={TOKEN}")],
        vec![
            "--header".to_owned(),
            "cookie: __Host-commucat-admin=99999999999.00".to_owned(),
        ],
    ];
    let mut bodies = std::collections::BTreeSet::new();
    for path in CLOSED {
        for presented in &wrong {
            let presented: Vec<&str> = presented.iter().map(String::as_str).collect();
            let answer = ask(&relay, &presented, path);
            answer.assert_problem(401, "Unauthorized");
            assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer"));
            bodies.insert(answer.body);
        }
    }
    assert_eq!(bodies.len(), 1, "nothing tells one refusal from another");
    for path in &CLOSED[..2] {
        assert_eq!(ask(&relay, &["--header", &bearer()], path).status, 200);
    }
}

#[test]
fn the_form_gives_a_cookie_that_stands_for_the_token_and_a_sign_out_takes_it_back() {
    let home = Home::new();
    let relay = start(&home, "");
    let page = ask(&relay, &[], "/admin");
    assert_eq!((page.status, page.header("location")), (303, Some("/admin/login")));
    let login = ask(&relay, &[], "/admin/login");
    assert_eq!(login.status, 200);
    assert!(login.body.contains("action=\"/admin/login\""), "{login:?}");

    let refused = ask(
        &relay,
        &["--data-urlencode", "token=not-the-token-at-all"],
        "/admin/login",
    );
    assert_eq!((refused.status, refused.header("set-cookie")), (401, None));
    assert!(refused.body.contains("role=\"alert\""), "{refused:?}");

    let token = format!("token={TOKEN}");
    let welcome = ask(&relay, &["--data-urlencode", &token], "/admin/login");
    assert_eq!((welcome.status, welcome.header("location")), (303, Some("/admin")));
    let set = welcome.header("set-cookie").unwrap();
    for attribute in ["Secure", "HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(set.contains(attribute), "{set}");
    }
    let cookie = format!("cookie: {}", set.split(';').next().unwrap());
    let page = ask(&relay, &["--header", &cookie], "/admin");
    assert_eq!(
        (page.status, page.header("content-type")),
        (200, Some("text/html; charset=utf-8"))
    );
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none'") && !policy.contains("unsafe"),
        "{policy}"
    );
    assert_eq!(page.header("cache-control"), Some("no-store"));
    for path in [
        "/metrics",
        "/api/security-stats",
        "/admin/app.js",
        "/admin/style.css",
        "/admin/icon.svg",
    ] {
        assert_eq!(ask(&relay, &["--header", &cookie], path).status, 200, "{path}");
    }

    let out = ask(&relay, &["--header", &cookie, "--request", "POST"], "/admin/logout");
    assert_eq!(out.status, 303);
    assert!(out.header("set-cookie").unwrap().contains("Max-Age=0"), "{out:?}");
    ask(&relay, &[], "/admin/logout").assert_problem(405, "Method Not Allowed");

    // The cookie is good for this process alone.
    let (status, log) = relay.terminate();
    assert!(status.success(), "{log}");
    let relay = start(&home, "");
    assert_eq!(ask(&relay, &["--header", &cookie], "/admin").status, 303);
    ask(&relay, &["--header", &cookie], "/metrics").assert_problem(401, "Unauthorized");
}

#[test]
fn the_token_stands_in_no_log_and_in_no_check_and_a_file_that_is_none_is_refused_with_a_reason() {
    let home = Home::new();
    let relay = start(&home, "log_filter = \"trace\"\n");
    let _ = ask(&relay, &["--header", &bearer()], "/metrics");
    let _ = ask(&relay, &["--data-urlencode", &format!("token={TOKEN}")], "/admin/login");
    let _ = ask(
        &relay,
        &["--data-urlencode", &format!("token={TOKEN}-not")],
        "/admin/login",
    );
    let (_, log) = relay.terminate();
    assert!(log.contains("a wrong token") && !log.contains(TOKEN), "{log}");

    let path = token_file(&home, TOKEN, 0o600);
    let environment = [("COMMUCAT_ADMIN_TOKEN_FILE", path.to_str().unwrap())];
    let check = home.run(&["--check"], &environment);
    assert!(
        check.status.success() && check.stdout.contains("admin_token_file = "),
        "{check:?}"
    );
    assert!(!check.stdout.contains(TOKEN) && !check.stderr.contains(TOKEN));

    for (token, mode, reason) in [
        ("short", 0o600, "16 to 512"),
        ("with a space in it, long enough", 0o600, "one word"),
        (TOKEN, 0o644, "chmod 0600"),
    ] {
        token_file(&home, token, mode);
        for flags in [&["--check"][..], &["--listen", "127.0.0.1:0"]] {
            let ended = home.run(flags, &environment);
            assert!(!ended.status.success() && ended.stderr.contains(reason), "{ended:?}");
            assert!(!ended.stderr.contains(token), "{ended:?}");
        }
    }
    std::fs::remove_file(&path).unwrap();
    let ended = home.run(&["--check"], &environment);
    assert!(
        !ended.status.success() && ended.stderr.contains("no such file"),
        "{ended:?}"
    );
}
