//! The page at `/admin` in a real Chromium: signing in, numbers that move, nothing in the console, light and dark.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use commucat_client::HttpVersion;
use commucat_tests::browser::Browser;
use commucat_tests::operator::{TOKEN, start};
use commucat_tests::people::Device;
use commucat_tests::relay::{Home, Relay};

/// A chart is more than a point after this long.
const WATCH: Duration = Duration::from_secs(12);

/// Some devices talk, now more, now less, until they are told to stop.
fn talk(relay: &Relay, stop: &AtomicBool) {
    let (alice, bob, away) = (Device::new("alice"), Device::new("bob"), Device::new("away"));
    away.connect(relay, HttpVersion::Http1).bye();
    let mut from = alice.connect(relay, HttpVersion::Http1);
    let mut to = bob.connect(relay, HttpVersion::Http2);
    from.join(1, [&bob]);
    from.join(2, [&away]);
    let started = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        from.say(1, "hello");
        to.hears("hello");
        from.say(2, "for later");
        let wave = (started.elapsed().as_secs_f64() * 0.9).sin() + 1.2;
        std::thread::sleep(Duration::from_secs_f64(0.01 * wave));
    }
}

/// Whoever watches has seen enough, or has failed: the scope waits for those who talk either way.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn sign_in(browser: &Browser, token: &str) {
    browser.type_into("#token", token);
    browser.click("button[type=submit]");
}

#[test]
fn an_operator_signs_in_and_sees_the_relay_at_work() {
    let home = Home::new();
    let relay = start(&home, "");
    let browser = Browser::start();
    browser.look("light", 1280, 900);
    browser.open(&format!("{}/admin", relay.url()));
    assert!(browser.url().ends_with("/admin/login"), "{}", browser.url());
    assert_eq!(browser.console(), Vec::<String>::new());
    sign_in(&browser, "certainly-not-the-token");
    browser.until("document.querySelector('[role=alert]')");
    browser.picture("sign-in");
    // The refusal's status is told in the console, and nothing else.
    let told = browser.console();
    assert!(told.iter().all(|line| line.contains("401")), "{told:?}");
    sign_in(&browser, TOKEN);
    browser.until("document.body.dataset.state === 'live'");
    assert!(browser.url().ends_with("/admin"), "{}", browser.url());

    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| talk(&relay, &stop));
        let watched = StopOnDrop(&stop);
        browser.until("parseFloat(document.getElementById('frames-in').textContent) > 0");
        browser.until("parseFloat(document.getElementById('frames-out').textContent) > 0");
        let total = "Number(document.getElementById('frames-in-total').textContent.replaceAll(',', ''))";
        let before = browser.run(&format!("return {total}")).as_f64().unwrap();
        browser.until(&format!("{total} > {}", before + 20.0));
        browser.until("document.getElementById('devices').textContent === '2'");
        browser.until("document.getElementById('turn-p99').textContent.endsWith('s')");
        browser.until("document.getElementById('store-p99').textContent.endsWith('s')");
        assert_eq!(browser.run("return document.querySelectorAll('.core').length"), 2);
        // The kernel may have given all connections to one core.
        let busy = "meter => meter.getAttribute('aria-valuenow') > 0";
        browser.until(&format!("[...document.querySelectorAll('[role=meter]')].some({busy})"));
        std::thread::sleep(WATCH);
        for chart in ["connections", "frames_in", "frames_out", "turn", "store"] {
            let points = format!("document.querySelector('[data-chart={chart}] .line').getAttribute('d').split('L')");
            assert!(
                browser.run(&format!("return {points}.length")).as_u64() > Some(5),
                "{chart}"
            );
        }
        let wide = "document.documentElement.scrollWidth <= window.innerWidth";
        for (name, scheme, width) in [
            ("light", "light", 1280),
            ("dark", "dark", 1280),
            ("narrow", "light", 390),
            ("narrow-dark", "dark", 390),
        ] {
            browser.look(scheme, width, 900);
            browser.until(&format!("{wide} && document.body.dataset.state === 'live'"));
            let picture = browser.picture(name);
            assert!(
                fs::metadata(picture).unwrap().len() > 10_000,
                "{name} is a picture of something"
            );
        }
        browser.look("light", 1280, 900);
        drop(watched);
    });
    assert_eq!(browser.console(), Vec::<String>::new());

    browser.click("header button");
    browser.until("location.pathname === '/admin/login'");
    browser.open(&format!("{}/admin", relay.url()));
    assert!(browser.url().ends_with("/admin/login"), "signed out");
    assert_eq!(browser.console(), Vec::<String>::new());
}

#[test]
fn the_page_says_so_when_the_relay_is_gone() {
    let home = Home::new();
    let relay = start(&home, "");
    let browser = Browser::start();
    browser.look("light", 1280, 900);
    browser.open(&format!("{}/admin", relay.url()));
    sign_in(&browser, TOKEN);
    browser.until("document.body.dataset.state === 'live'");
    assert_eq!(browser.text("#status"), "Live");
    let (status, log) = relay.terminate();
    assert!(status.success(), "{log}");
    browser.until("document.body.dataset.state === 'lost'");
    assert!(browser.text("#status").contains("lost"), "{}", browser.text("#status"));
    browser.picture("lost");
}
