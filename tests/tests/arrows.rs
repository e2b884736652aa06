//! The design's arrows: who may depend on whom, and where `unsafe` may stand. So "pure" and "unsafe" are properties of
//! packages, not of good intentions.

use std::collections::BTreeMap;

use commucat_tests::repository::{closure, metadata, read};

/// Our own packages each package may use, tests and benchmarks left out: those may use everything.
const ARROWS: [(&str, &[&str]); 7] = [
    ("commucat-proto", &[]),
    ("commucat-crypto", &["commucat-proto"]),
    ("commucat-storage", &["commucat-proto"]),
    (
        "commucat-shard",
        &["commucat-proto", "commucat-crypto", "commucat-storage"],
    ),
    ("commucat-ring", &[]),
    ("commucat-client", &["commucat-proto", "commucat-crypto"]),
    (
        "commucat-server",
        &[
            "commucat-proto",
            "commucat-crypto",
            "commucat-storage",
            "commucat-shard",
            "commucat-ring",
            "commucat-client",
        ],
    ),
];

/// Packages that stand on all others and that nothing stands on.
const LEAVES: [&str; 5] = [
    "loadgen",
    "commucat-bench",
    "commucat-tests",
    "commucat-sim",
    "commucat-fuzz",
];

/// What the pure engine must not be able to reach.
const IMPURE: [&str; 8] = [
    "tokio",
    "postgres",
    "tokio-postgres",
    "redis",
    "io-uring",
    "mio",
    "socket2",
    "getrandom",
];

/// Where `unsafe` may stand.
const UNSAFE: &str = "commucat-ring";

struct Package {
    dependencies: Vec<String>,
    manifest: String,
}

fn packages() -> BTreeMap<String, Package> {
    let metadata = metadata();
    let root = format!("{}/", metadata["workspace_root"].as_str().unwrap());
    let package = |package: &serde_json::Value| {
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        let normal = dependencies.filter(|dependency| dependency["kind"].is_null());
        let manifest = package["manifest_path"]
            .as_str()
            .unwrap()
            .strip_prefix(&root)
            .unwrap()
            .to_owned();
        (
            package["name"].as_str().unwrap().to_owned(),
            Package {
                dependencies: normal
                    .map(|dependency| dependency["name"].as_str().unwrap().to_owned())
                    .collect(),
                manifest,
            },
        )
    };
    metadata["packages"].as_array().unwrap().iter().map(package).collect()
}

#[test]
fn every_package_uses_only_those_below_it() {
    let packages = packages();
    for (name, package) in &packages {
        let Some((_, allowed)) = ARROWS.iter().find(|(known, _)| known == name) else {
            assert!(LEAVES.contains(&name.as_str()), "{name} has no place among the arrows");
            continue;
        };
        for dependency in &package.dependencies {
            let ours = packages.contains_key(dependency);
            assert!(
                !ours || allowed.contains(&dependency.as_str()),
                "{name} must not use {dependency}"
            );
        }
    }
    for (name, _) in ARROWS {
        assert!(packages.contains_key(name), "{name} is gone: take it out of the arrows");
    }
}

#[test]
fn the_pure_engine_cannot_reach_the_world() {
    let shard = closure("commucat-shard");
    assert!(
        shard.contains(&"rustls".to_owned()),
        "the closure was not read: {shard:?}"
    );
    for impure in IMPURE {
        assert!(!shard.contains(&impure.to_owned()), "commucat-shard reaches {impure}");
    }
}

#[test]
fn the_ring_knows_nothing_of_ours_and_no_runtime() {
    let ring = closure("commucat-ring");
    let unwanted = |name: &&String| (name.starts_with("commucat") && *name != "commucat-ring") || *name == "tokio";
    assert_eq!(ring.iter().find(unwanted), None);
}

#[test]
fn every_package_but_the_ring_forbids_unsafe_code() {
    let workspace = read("Cargo.toml");
    assert!(workspace.contains("\nunsafe_code = \"forbid\"\n"));
    for (name, package) in packages() {
        let manifest = read(&package.manifest);
        let inherits = manifest.contains("[lints]\nworkspace = true");
        assert_eq!(inherits, name != UNSAFE, "{}", package.manifest);
    }
    assert!(read("shard/ring/Cargo.toml").contains("undocumented_unsafe_blocks = \"deny\""));
}
