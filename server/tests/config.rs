//! Configuration, from outside: sources and their order, what is refused and how that is said.

use std::ffi::OsString;
use std::io::Write;
use std::time::Duration;

use commucat_server::config::table::{self, keys};
use commucat_server::config::{Config, ConfigError, Loaded, LogFormat, load};

fn load_from(file: Option<&str>, environment: &[(&str, &str)], flags: &[&str]) -> Result<Loaded, ConfigError> {
    let mut arguments: Vec<OsString> = vec!["commucat-server".into()];
    let mut kept = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    if let Some(text) = file {
        kept.write_all(text.as_bytes()).unwrap();
        arguments.extend(["--config".into(), kept.path().into()]);
    }
    arguments.extend(flags.iter().map(OsString::from));
    load(
        arguments,
        environment.iter().map(|(name, text)| (name.into(), text.into())),
    )
}

fn config(file: &str, environment: &[(&str, &str)], flags: &[&str]) -> Config {
    load_from(Some(file), environment, flags).unwrap().config
}

fn refusal(file: Option<&str>, environment: &[(&str, &str)], flags: &[&str]) -> String {
    load_from(file, environment, flags).unwrap_err().to_string()
}

#[test]
fn without_any_configuration_the_defaults_stand() {
    let config = load_from(None, &[("PATH", "/bin"), ("HOME", "/")], &[]).unwrap().config;
    assert_eq!(config.listen.port(), 8443);
    assert_eq!(config.shards, 0);
    assert_eq!(config.plain_listen, None);
    assert_eq!(config.log, LogFormat::Text);
    assert!(config.validate().is_empty());
}

#[test]
fn flags_override_the_environment_and_that_overrides_the_file() {
    let file = "shards = 1\ndomain = \"file.example\"\n[limits]\nroster = 10\n";
    let environment = [("COMMUCAT_SHARDS", "2"), ("COMMUCAT_DOMAIN", "environment.example")];
    let config = config(file, &environment, &["--shards", "3"]);
    assert_eq!(config.shards, 3);
    assert_eq!(config.domain, "environment.example");
    assert_eq!(config.limits.roster, 10);
}

#[test]
fn every_kind_of_value_is_read_from_a_file() {
    let config = config(
        "listen = \"127.0.0.1:1\"\nplain_listen = \"[::1]:2\"\ndata = \"/tmp/x\"\nlog = \"json\"\n\
         auto_approve_devices = false\n[limits]\nframe_timeout = \"5s\"\noutbox_bytes = \"2 MiB\"\nmedia_bytes = 4096\n",
        &[],
        &[],
    );
    assert_eq!(config.listen.to_string(), "127.0.0.1:1");
    assert_eq!(config.plain_listen.unwrap().to_string(), "[::1]:2");
    assert_eq!(config.data.to_str(), Some("/tmp/x"));
    assert_eq!(config.log, LogFormat::Json);
    assert!(!config.policy.auto_approve_devices);
    assert_eq!(config.limits.frame_timeout, Duration::from_secs(5));
    assert_eq!(config.limits.outbox_bytes, 2 << 20);
    assert_eq!(config.limits.media_bytes, 4096);
}

#[test]
fn an_unknown_key_is_refused_with_its_place_and_the_nearest_name() {
    let message = refusal(Some("[limits]\nrooster = 1\n"), &[], &[]);
    assert!(message.contains(".toml: `limits.rooster`"), "{message}");
    assert!(message.contains("did you mean `limits.roster`?"), "{message}");
    let message = refusal(None, &[("COMMUCAT_LIMITS_ROOSTER", "1")], &[]);
    assert!(
        message.contains("environment variable COMMUCAT_LIMITS_ROOSTER"),
        "{message}"
    );
    assert!(message.contains("did you mean `limits.roster`?"), "{message}");
    let message = refusal(Some("[nonsense]\nx = 1\n"), &[], &[]);
    assert!(
        message.contains("`nonsense`") && message.contains("there is no such key"),
        "{message}"
    );
}

#[test]
fn a_wrong_value_is_refused_with_what_is_allowed() {
    for (file, key, allowed) in [
        ("shards = 1000", "`shards`: 1000", "a whole number from 0 to 128"),
        ("shards = \"two\"", "`shards`: \"two\"", "a whole number"),
        ("listen = 8443", "`listen`: 8443", "ADDRESS:PORT"),
        ("log = \"yaml\"", "`log`: \"yaml\"", "text or json"),
        (
            "domain = \"No Domain\"",
            "`domain`: \"No Domain\"",
            "a host name in lower case",
        ),
        ("auto_approve_devices = 1", "`auto_approve_devices`: 1", "true or false"),
        (
            "[limits]\nframe_timeout = 30",
            "`limits.frame_timeout`: 30",
            "a duration with ms, s, m, h or d",
        ),
        (
            "[limits]\nframe_len = \"1 GiB\"",
            "`limits.frame_len`: \"1 GiB\"",
            "to 16 MiB",
        ),
        ("limits = 3", "`limits`", "there is no such key"),
    ] {
        let message = refusal(Some(file), &[], &[]);
        assert!(message.contains(key) && message.contains(allowed), "{file}: {message}");
    }
    let message = refusal(None, &[], &["--shards", "many"]);
    assert!(
        message.contains("flag --shards") && message.contains("from 0 to 128"),
        "{message}"
    );
}

#[test]
fn all_wrong_settings_are_told_at_once() {
    let message = refusal(
        Some("shards = -1\nlog = \"x\"\n"),
        &[("COMMUCAT_LISTEN", "here")],
        &["--domain", ""],
    );
    assert_eq!(message.lines().count(), 4, "{message}");
}

#[test]
fn a_file_that_is_no_toml_or_not_there_is_named() {
    let message = refusal(Some("shards = \n"), &[], &[]);
    assert!(
        message.contains(".toml: is not TOML") && message.contains("line 1"),
        "{message}"
    );
    let message = refusal(None, &[], &["--config", "/nowhere/commucat.toml"]);
    assert!(message.contains("/nowhere/commucat.toml: cannot be read"), "{message}");
}

#[test]
fn settings_that_do_not_fit_together_are_refused() {
    let message = refusal(Some("plain_listen = \"0.0.0.0:80\""), &[], &[]);
    assert!(
        message.contains("`plain_listen`") && message.contains("plain_anywhere = true"),
        "{message}"
    );
    let config = config("plain_listen = \"0.0.0.0:80\"\nplain_anywhere = true", &[], &[]);
    assert_eq!(config.plain_listen.unwrap().port(), 80);
    for (file, key) in [
        ("[tls]\ncertificate = \"a.pem\"", "`tls.certificate`"),
        ("[limits]\nunparsed_bytes = \"1 MiB\"", "`limits.unparsed_bytes`"),
        (
            "[limits]\nframe_len = \"64 KiB\"\ncontrol_payload = \"128 KiB\"",
            "`limits.control_payload`",
        ),
    ] {
        let message = refusal(Some(file), &[], &[]);
        assert!(message.contains(key), "{file}: {message}");
    }
}

#[test]
fn the_complete_file_that_check_prints_is_read_back_as_the_same() {
    let first = config("shards = 3\n[limits]\nframe_timeout = \"90s\"\nroster = 17\n", &[], &[]);
    let file = table::write_file(&first);
    let second = config(&file, &[], &[]);
    for key in keys() {
        assert_eq!(key.get(&first), key.get(&second), "{}", key.name);
    }
    assert_eq!(file, table::write_file(&second));
}

#[test]
fn a_password_in_a_url_is_never_shown() {
    let servers = "[store]\nkind = \"postgres\"\npostgres_url = \"postgres://ada:geheim@db/relay\"\n";
    let complete = format!("{servers}redis_url = \"rediss://:geheim@cache/0\"\n");
    let config = config(&complete, &[], &[]);
    assert_eq!(config.servers.postgres.expose(), "postgres://ada:geheim@db/relay");
    for shown in [table::write_file(&config), format!("{config:?}")] {
        assert!(shown.contains("ada:***@db") && !shown.contains("geheim"), "{shown}");
    }
    let message = refusal(Some(servers), &[], &[]);
    assert!(
        message.contains("`store.redis_url`") && !message.contains("geheim"),
        "{message}"
    );
    for (file, variables) in [
        (Some("store.postgres_url = \"mysql://ada:geheim@db/relay\"\n"), &[][..]),
        (
            Some("store.postgres_url = \"postgres://ada:geheim@db/relay\" geheim\n"),
            &[][..],
        ),
        (None, &[("COMMUCAT_STORE_REDIS_URL", "//:geheim@cache")][..]),
    ] {
        let message = refusal(file, variables, &[]);
        assert!(!message.contains("geheim"), "{message}");
    }
}

#[test]
fn every_default_is_within_its_own_range() {
    let defaults = Config::default();
    for key in keys() {
        let written = key.kind.write(&key.get(&defaults));
        assert_eq!(
            key.kind.parse(&written),
            Some(key.get(&defaults)),
            "{}: {written}",
            key.name
        );
    }
}

#[test]
fn every_key_sets_its_own_field_and_has_its_own_variable() {
    let mut variables = std::collections::BTreeSet::new();
    for key in keys() {
        assert!(variables.insert(key.name.replace('.', "_")), "{}", key.name);
        let mut config = Config::default();
        let before: Vec<_> = keys().iter().map(|key| key.get(&config)).collect();
        let Some(other) = [
            "true",
            "false",
            "7",
            "77",
            "64 KiB",
            "1 MiB",
            "3 MiB",
            "7s",
            "127.0.0.1:7",
            "json",
            "postgres",
            "postgres://ada@db/relay",
            "rediss://cache/0",
            "other",
        ]
        .iter()
        .filter_map(|text| key.kind.parse(text))
        .find(|value| *value != key.get(&config)) else {
            panic!("{}: the test knows no other value for it", key.name);
        };
        key.set(&mut config, other.clone());
        for (index, each) in keys().iter().enumerate() {
            let expected = if each.name == key.name { &other } else { &before[index] };
            assert_eq!(&each.get(&config), expected, "{} after {} was set", each.name, key.name);
        }
    }
}
