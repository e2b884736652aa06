//! What a ring says when it cannot be had, and what the probe says when it can.

use commucat_ring::probe::{self, Verdict};
use commucat_ring::{Ring, RingConfig, SetupError, limits};

#[test]
fn a_table_beyond_the_descriptor_limit_names_the_limit_and_the_way_out() {
    let config = RingConfig {
        connections: limits::CONNECTIONS,
        ..RingConfig::default()
    };
    let error = Ring::new(config.clone()).unwrap_err();
    assert!(matches!(error, SetupError::Descriptors { .. }), "{error:?}");
    assert!(error.to_string().contains("RLIMIT_NOFILE"));
    assert!(error.to_string().contains("LimitNOFILE"));
    let findings = probe::check(&config);
    assert!(
        findings
            .iter()
            .any(|found| found.verdict == Verdict::Missing && found.text == error.to_string())
    );
}

#[test]
fn a_setting_out_of_range_is_named() {
    let broken = [
        RingConfig {
            connections: 0,
            ..RingConfig::default()
        },
        RingConfig {
            entries: 0,
            ..RingConfig::default()
        },
        RingConfig {
            buffers: 0,
            ..RingConfig::default()
        },
        RingConfig {
            buffer_size: 1,
            ..RingConfig::default()
        },
        RingConfig {
            accepts: limits::ACCEPTS + 1,
            ..RingConfig::default()
        },
    ];
    for config in broken {
        assert!(matches!(Ring::new(config.clone()), Err(SetupError::OutOfRange { .. })));
        assert!(
            probe::check(&config)
                .iter()
                .any(|found| found.verdict == Verdict::Missing)
        );
    }
}

#[test]
fn the_probe_finds_nothing_missing_where_a_ring_can_be_made() {
    let config = RingConfig::default();
    Ring::new(config.clone()).unwrap();
    let findings = probe::check(&config);
    assert!(
        findings.iter().all(|found| found.verdict != Verdict::Missing),
        "{findings:?}"
    );
    assert!(findings.iter().all(|found| !found.text.is_empty()));
}

#[test]
fn every_error_says_what_to_do() {
    let errors = [
        SetupError::Disabled { value: 2 },
        SetupError::Forbidden,
        SetupError::Absent,
        SetupError::TooOld {
            release: "5.4".into(),
            feature: "x",
            since: "6.1",
        },
        SetupError::Memory { limit: 1 },
        SetupError::Pool { bytes: 1 },
    ];
    let ways = [
        "set it to 0",
        "allow io_uring_setup",
        "CONFIG_IO_URING",
        "boot a newer kernel",
        "LimitMEMLOCK",
        "lower",
    ];
    for (error, way) in errors.iter().zip(ways) {
        assert!(error.to_string().contains(way), "{error}");
    }
}
