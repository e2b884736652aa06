//! `doctor`: everything a relay needs of its host, a line each: ok, or what to do. It changes nothing.

use std::ffi::OsString;
use std::net::TcpListener;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use commucat_ring::RingConfig;
use commucat_ring::probe::{Finding, Verdict, check};
use commucat_shard::config::NoiseKeys;
use rustix::process::{Resource, getrlimit};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::output::{Failure, Output};
use super::{Relay, host};
use crate::boot::{self, federation, noise, tls};
use crate::config::{Config, StoreKind};
use crate::core_loop::cores::cores;

/// A certificate that ends sooner than that is worth a word.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);
/// Descriptors a relay has open beside its connections: rings, the store's files, listeners.
const OTHER_DESCRIPTORS: u64 = 256;

pub(super) fn run(relay: &Relay, environment: &[(OsString, OsString)], output: Output) -> Result<ExitCode, Failure> {
    let config = match relay.load(environment) {
        Ok(config) => config,
        Err(error) => {
            let finding = finding("configuration", Verdict::Missing, error.to_string());
            return Ok(output.findings(&[finding]));
        }
    };
    Ok(output.findings(&examine(&config)))
}

fn examine(config: &Config) -> Vec<Finding> {
    let shards = if config.shards == 0 {
        cores().len()
    } else {
        usize::from(config.shards)
    };
    let mut findings = vec![finding(
        "configuration",
        Verdict::Good,
        format!("valid; {shards} shard(s)"),
    )];
    findings.push(descriptors(config, shards as u64));
    findings.extend(check(&RingConfig {
        connections: config.limits.connections.min(soft_descriptors()),
        ..RingConfig::default()
    }));
    findings.push(host::locked_memory(shards as u64));
    findings.extend(host::settings());
    findings.push(clock());
    findings.push(listener(config));
    findings.push(certificate(config));
    findings.push(noise_keys(config));
    findings.push(federation_key(config));
    match config.store_kind {
        StoreKind::Embedded => findings.push(store(config)),
        StoreKind::Postgres => findings.extend(servers(config)),
    }
    findings
}

fn finding(subject: &'static str, verdict: Verdict, text: impl Into<String>) -> Finding {
    Finding {
        subject,
        verdict,
        text: text.into(),
    }
}

fn soft_descriptors() -> u32 {
    u32::try_from(getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)).unwrap_or(u32::MAX)
}

/// The relay raises its soft limit to the hard one by itself. Each ring's table is measured against it on its own.
fn descriptors(config: &Config, shards: u64) -> Finding {
    let hard = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    let wanted = u64::from(config.limits.connections);
    let text = format!("RLIMIT_NOFILE allows {hard}, {shards} shard(s) of {wanted} connections are configured");
    if hard < wanted.max(OTHER_DESCRIPTORS) {
        let way_out = "set LimitNOFILE in the unit, or lower `limits.connections`";
        return finding("open files", Verdict::Weak, format!("{text}: {way_out}"));
    }
    finding("open files", Verdict::Good, text)
}

/// Expiry of frames, tokens and calls is in wall time.
fn clock() -> Finding {
    const BUILT: u64 = 1_700_000_000;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    if now < BUILT {
        return finding(
            "clock",
            Verdict::Missing,
            "the clock is years behind: start a time service",
        );
    }
    finding("clock", Verdict::Good, format!("{now} (Unix time)"))
}

fn listener(config: &Config) -> Finding {
    match TcpListener::bind(config.listen) {
        Ok(_) => finding("address", Verdict::Good, format!("{} is free", config.listen)),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => finding(
            "address",
            Verdict::Weak,
            format!("{} is in use: by a running relay, or by something else", config.listen),
        ),
        Err(error) => finding(
            "address",
            Verdict::Missing,
            format!(
                "{} cannot be had: {error}; ports below 1024 take CAP_NET_BIND_SERVICE",
                config.listen
            ),
        ),
    }
}

fn certificate(config: &Config) -> Finding {
    const SUBJECT: &str = "certificate";
    if let Err(error) = tls::check(config) {
        return finding(SUBJECT, Verdict::Missing, error.to_string());
    }
    let (path, ours) = match &config.tls_certificate {
        Some(path) => (path.clone(), false),
        None => (config.data.join("tls/cert.pem"), true),
    };
    match read_certificate(&path) {
        Ok(der) => judge(&path, &der, ours),
        Err(_) if ours && !path.exists() => finding(
            SUBJECT,
            Verdict::Weak,
            "none is configured: the first start makes one for development, which clients have to be told to trust",
        ),
        Err(error) => finding(SUBJECT, Verdict::Missing, format!("{}: {error}", path.display())),
    }
}

fn read_certificate(path: &Path) -> Result<CertificateDer<'static>, String> {
    let text = std::fs::read(path).map_err(|error| error.to_string())?;
    CertificateDer::from_pem_slice(&text).map_err(|_| "holds no certificate in PEM form".to_owned())
}

fn judge(path: &Path, der: &CertificateDer<'_>, development: bool) -> Finding {
    const SUBJECT: &str = "certificate";
    let Ok((_, certificate)) = X509Certificate::from_der(der) else {
        return finding(SUBJECT, Verdict::Missing, format!("{}: not X.509", path.display()));
    };
    let until = certificate.validity().not_after;
    let text = format!("{} is valid until {until}", path.display());
    match certificate.validity().time_to_expiration() {
        None => finding(
            SUBJECT,
            Verdict::Missing,
            format!("{}: not valid now, only until {until}; renew it", path.display()),
        ),
        Some(left) if left.unsigned_abs() < SOON => finding(SUBJECT, Verdict::Weak, format!("{text}: renew it soon")),
        Some(_) if development => finding(
            SUBJECT,
            Verdict::Weak,
            format!("{text}, but is for development: set `tls.certificate` and `tls.private_key`"),
        ),
        Some(_) => finding(SUBJECT, Verdict::Good, text),
    }
}

fn noise_keys(config: &Config) -> Finding {
    const SUBJECT: &str = "noise key";
    if !config.data.join("noise.key").exists() {
        return finding(SUBJECT, Verdict::Good, "none yet: the first start makes it");
    }
    match noise::rotated(&config.data) {
        Ok(keys) => finding(SUBJECT, Verdict::Good, described(&keys)),
        Err(error) => finding(SUBJECT, Verdict::Missing, error.to_string()),
    }
}

fn described(keys: &NoiseKeys) -> String {
    let current = keys.current.public();
    match &keys.previous {
        Some((key, until)) => format!("{current}; {} works until {} (Unix time)", key.public(), until.0 / 1000),
        None => current.to_string(),
    }
}

fn federation_key(config: &Config) -> Finding {
    const SUBJECT: &str = "federation key";
    match federation::known(&config.data) {
        Ok(Some(public)) => finding(SUBJECT, Verdict::Good, public),
        Ok(None) => finding(SUBJECT, Verdict::Good, "none yet: the first start makes it"),
        Err(error) => finding(SUBJECT, Verdict::Missing, error.to_string()),
    }
}

fn store(config: &Config) -> Finding {
    const SUBJECT: &str = "store";
    let folder = existing(&config.data);
    let free = match rustix::fs::statvfs(folder) {
        Ok(stat) => stat.f_bavail.saturating_mul(stat.f_frsize),
        Err(error) => return finding(SUBJECT, Verdict::Missing, format!("{}: {error}", folder.display())),
    };
    let (mib, reserve) = (free >> 20, config.store.disk_reserve >> 20);
    let text = format!("embedded, in {}; the disk has {mib} MiB left", config.data.display());
    if free < config.store.disk_reserve {
        return finding(
            SUBJECT,
            Verdict::Missing,
            format!("{text}, less than `store.disk_reserve` ({reserve} MiB): free some space"),
        );
    }
    finding(SUBJECT, Verdict::Good, text)
}

fn servers(config: &Config) -> Vec<Finding> {
    let redis = match boot::store::reach(config) {
        Ok(redis) => redis,
        Err(error) => return vec![finding("store", Verdict::Missing, error.to_string())],
    };
    let (postgres, address) = (&config.servers.postgres, &config.servers.redis);
    vec![
        finding("store", Verdict::Good, format!("PostgreSQL at {postgres} answers")),
        match redis {
            Ok(()) => finding("presence", Verdict::Good, format!("Redis at {address} answers")),
            Err(why) => finding(
                "presence",
                Verdict::Weak,
                format!("Redis at {address}: {why}; nobody's presence is known until it answers"),
            ),
        },
    ]
}

/// The nearest folder above that is there.
fn existing(path: &Path) -> &Path {
    path.ancestors()
        .find(|folder| folder.is_dir())
        .unwrap_or_else(|| Path::new("."))
}
