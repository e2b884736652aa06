//! OpenMetrics 1.0 text, read by whoever does not forgive: every line has to be one that the format knows, in its place.

use std::collections::BTreeMap;

/// One sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Its whole name, suffix included.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

/// A metric family.
#[derive(Clone, Debug, Default)]
pub struct Family {
    /// `counter`, `gauge`, `histogram` or `info`.
    pub kind: String,
    /// Its unit, when it has one.
    pub unit: String,
    /// What it means.
    pub help: String,
    /// In order.
    pub samples: Vec<Sample>,
}

/// A page of metrics.
#[derive(Clone, Debug)]
pub struct Metrics(pub BTreeMap<String, Family>);

impl Metrics {
    /// Reads a page.
    ///
    /// # Panics
    /// At the first line that is not as it should be.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let body = text
            .strip_suffix("# EOF\n")
            .expect("it ends with # EOF, and nothing comes after");
        let mut families: BTreeMap<String, Family> = BTreeMap::new();
        let mut current = String::new();
        for line in body.lines() {
            if let Some(rest) = line.strip_prefix("# ") {
                let [what, name, said] = rest.splitn(3, ' ').collect::<Vec<_>>()[..] else {
                    panic!("{line}")
                };
                if what == "TYPE" {
                    assert!(
                        ["counter", "gauge", "histogram", "info"].contains(&said),
                        "{line}: a type of ours"
                    );
                    let family = Family {
                        kind: said.to_owned(),
                        ..Family::default()
                    };
                    assert!(families.insert(name.to_owned(), family).is_none(), "{name} comes twice");
                    name.clone_into(&mut current);
                    continue;
                }
                assert_eq!(name, current, "{line}: metadata stands with its family");
                let family = families.get_mut(name).unwrap();
                assert!(family.samples.is_empty(), "{line}: metadata comes first");
                let place = match what {
                    "UNIT" => &mut family.unit,
                    "HELP" => &mut family.help,
                    _ => panic!("{line}"),
                };
                assert!(place.is_empty() && !said.is_empty(), "{line}");
                said.clone_into(place);
                continue;
            }
            let sample = sample(line);
            let family = families
                .get_mut(&current)
                .unwrap_or_else(|| panic!("{line}: no family"));
            check(&current, family, &sample);
            assert!(
                !family
                    .samples
                    .iter()
                    .any(|other| (&other.name, &other.labels) == (&sample.name, &sample.labels)),
                "{line}: twice"
            );
            family.samples.push(sample);
        }
        for (name, family) in &families {
            assert!(!family.help.is_empty(), "{name} has no help");
            assert!(
                family.unit.is_empty() || name.ends_with(&format!("_{}", family.unit)),
                "{name}"
            );
            if family.kind == "histogram" {
                histograms(name, family);
            }
        }
        Self(families)
    }

    /// The sum over all shards of the samples of this name whose labels include these.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let samples: Vec<f64> = self
            .0
            .values()
            .flat_map(|family| &family.samples)
            .filter(|sample| sample.name == name)
            .filter(|sample| {
                labels
                    .iter()
                    .all(|(label, value)| sample.labels.get(*label).is_some_and(|got| got == value))
            })
            .map(|sample| sample.value)
            .collect();
        assert!(!samples.is_empty(), "there is no {name}{labels:?}");
        samples.iter().sum()
    }
}

/// `name{label="value",…} value`
fn sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
    let (name, labels) = match series.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}').unwrap_or_else(|| panic!("{line}"))),
        None => (series, ""),
    };
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    assert!(!name.is_empty() && name.bytes().all(legal), "{line}");
    let mut all = BTreeMap::new();
    for pair in labels.split(',').filter(|pair| !pair.is_empty()) {
        let (label, value) = pair.split_once('=').unwrap_or_else(|| panic!("{line}"));
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        let value = value.unwrap_or_else(|| panic!("{line}: quoted"));
        assert!(
            !value.contains(['"', '\\', '\n']),
            "{line}: nothing of ours needs escapes"
        );
        assert!(all.insert(label.to_owned(), value.to_owned()).is_none(), "{line}");
    }
    let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}: a number"));
    assert!(value.is_finite(), "{line}");
    Sample {
        name: name.to_owned(),
        labels: all,
        value,
    }
}

fn check(name: &str, family: &Family, sample: &Sample) {
    let suffixes: &[&str] = match family.kind.as_str() {
        "counter" => &["_total"],
        "histogram" => &["_bucket", "_sum", "_count"],
        "info" => &["_info"],
        _ => &[""],
    };
    let suffix = sample.name.strip_prefix(name);
    assert!(
        suffix.is_some_and(|suffix| suffixes.contains(&suffix)),
        "{sample:?} in the {} {name}",
        family.kind
    );
    assert!(family.kind == "gauge" || sample.value >= 0.0, "{sample:?}");
    if suffix == Some("_bucket") {
        assert!(sample.labels.contains_key("le"), "{sample:?}");
    } else {
        assert!(!sample.labels.contains_key("le"), "{sample:?}");
    }
}

/// Buckets rise to `+Inf`, whose count is `_count`.
fn histograms(name: &str, family: &Family) {
    let mut by_series: BTreeMap<BTreeMap<String, String>, Vec<(f64, f64)>> = BTreeMap::new();
    let mut counts = BTreeMap::new();
    for sample in &family.samples {
        let mut labels = sample.labels.clone();
        if let Some(bound) = labels.remove("le") {
            let bound = if bound == "+Inf" {
                f64::INFINITY
            } else {
                bound.parse().unwrap()
            };
            by_series.entry(labels).or_default().push((bound, sample.value));
        } else if sample.name.ends_with("_count") {
            counts.insert(labels, sample.value);
        }
    }
    assert_eq!(by_series.len(), counts.len(), "{name}");
    for (labels, buckets) in by_series {
        assert!(
            buckets
                .windows(2)
                .all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1),
            "{name}{labels:?}: {buckets:?}"
        );
        let last = buckets.last().copied();
        assert_eq!(last, Some((f64::INFINITY, counts[&labels])), "{name}{labels:?}");
    }
}
