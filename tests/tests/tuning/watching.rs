//! Alerts and dashboard: every series they ask for is one that a relay serves, with the labels they choose by.

use std::collections::BTreeMap;
use std::process::Command;

use commucat_tests::openmetrics::Sample;
use commucat_tests::operator::{metrics, start};
use commucat_tests::relay::Home;
use commucat_tests::repository::{read, root};
use serde_json::Value;

/// A series that an expression asks for: its name, and label=value pairs that it chooses by; a variable is no value.
type Asked = (String, Vec<(String, String)>);

fn asked(expression: &str) -> Vec<Asked> {
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(start) = rest.find("commucat_") {
        let end = rest[start..]
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .map_or(rest.len(), |length| start + length);
        let name = rest[start..end].to_owned();
        rest = &rest[end..];
        let braces = rest.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        found.push((name, braces.map_or_else(Vec::new, |(inner, _)| chosen(inner))));
    }
    found
}

fn chosen(inner: &str) -> Vec<(String, String)> {
    inner
        .split(", ")
        .filter_map(|pair| pair.split_once('='))
        .flat_map(|(label, values)| {
            let values = values.trim_start_matches('~').trim_matches('"');
            values.split('|').map(move |value| (label.to_owned(), value.to_owned()))
        })
        .filter(|(_, value)| !value.starts_with('$'))
        .collect()
}

/// All strings of the dashboard in which there may be an expression.
fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    Value::String(text) if ["expr", "query", "definition"].contains(&name.as_str()) => {
                        found.push(text.clone());
                    }
                    _ => expressions(field, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        _ => {}
    }
}

fn dashboard() -> Value {
    serde_json::from_str(&read("tuning/grafana-dashboard.json")).unwrap()
}

#[test]
fn every_series_of_alerts_and_dashboard_is_served_by_a_relay() {
    let home = Home::new();
    let relay = start(&home, "");
    let served: BTreeMap<String, Vec<Sample>> =
        metrics(&relay)
            .0
            .into_values()
            .flat_map(|family| family.samples)
            .fold(BTreeMap::new(), |mut all, sample| {
                all.entry(sample.name.clone()).or_insert_with(Vec::new).push(sample);
                all
            });
    let mut texts = vec![
        read("tuning/prometheus-rules.yml"),
        read("tuning/prometheus-rules.test.yml"),
    ];
    expressions(&dashboard(), &mut texts);
    let all: Vec<Asked> = texts.iter().flat_map(|text| asked(text)).collect();
    assert!(all.len() > 100, "the expressions were not read");
    for (name, labels) in all {
        let samples = served.get(&name).unwrap_or_else(|| panic!("a relay has no {name}"));
        for (label, value) in labels {
            // Prometheus' own, and buckets of which the tests of the rules have fewer.
            if ["instance", "job", "le", "shard"].contains(&label.as_str()) {
                continue;
            }
            let has = samples.iter().any(|sample| sample.labels.get(&label) == Some(&value));
            assert!(has, "{name} never has {label}=\"{value}\"");
        }
    }
}

fn promtool(arguments: &[&str]) {
    let output = Command::new("promtool")
        .args(arguments)
        .current_dir(root().join("tuning"))
        .output()
        .expect("these tests need promtool: tests/run installs it");
    assert!(output.status.success(), "promtool {arguments:?}: {output:?}");
}

#[test]
fn prometheus_takes_the_rules_and_each_fires_on_what_it_is_for() {
    promtool(&["check", "rules", "prometheus-rules.yml"]);
    promtool(&["test", "rules", "prometheus-rules.test.yml"]);
    let rules = read("tuning/prometheus-rules.yml");
    let tests = read("tuning/prometheus-rules.test.yml");
    let alerts: Vec<_> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    assert!(alerts.len() > 10);
    for alert in alerts {
        let fires = format!("alertname: {alert}\n        exp_alerts:");
        let silent = format!("alertname: {alert} }}");
        assert!(
            tests.contains(&fires) && tests.contains(&silent),
            "{alert} has no test of both kinds"
        );
    }
}

#[test]
fn prometheus_takes_every_expression_of_the_dashboard() {
    let mut found = Vec::new();
    expressions(&dashboard(), &mut found);
    let rules: Vec<Value> = found
        .iter()
        .filter(|text| !text.starts_with("label_values(") && *text != "prometheus")
        .enumerate()
        .map(|(number, text)| {
            let text = text.replace("$__rate_interval", "1m");
            serde_json::json!({ "record": format!("panel:{number}"), "expr": text })
        })
        .collect();
    assert!(rules.len() > 50);
    // JSON is YAML.
    let groups = serde_json::json!({ "groups": [{ "name": "dashboard", "rules": rules }] });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.yml");
    std::fs::write(&path, groups.to_string()).unwrap();
    promtool(&["check", "rules", path.to_str().unwrap()]);
}

#[test]
fn panels_have_ids_of_their_own_and_do_not_lie_on_each_other() {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids = std::collections::BTreeSet::new();
    let mut cells = std::collections::BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()));
        let at = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24, "{panel}");
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(cells.insert((x, y)), "{panel}");
            }
        }
    }
    assert!(ids.len() > 20);
}
