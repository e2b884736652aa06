//! What a key is, and everything that is made from the one list of them (`keys`).
//!
//! Invariant: each key names one field of [`Config`], and its default is that field of `Config::default()`: no number
//! stands twice.

use super::Config;
use super::keys::KEYS;
use super::value::{Kind, Value};

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name in the file, sections joined by a dot.
    pub name: &'static str,
    /// Its flag, for the daily ones.
    pub flag: Option<&'static str>,
    /// What it takes.
    pub kind: Kind,
    /// What it does, in one sentence.
    pub doc: &'static str,
    pub(super) get: fn(&Config) -> Value,
    pub(super) set: fn(&mut Config, Value),
}

impl Key {
    /// The value in a configuration.
    #[must_use]
    pub fn get(&self, config: &Config) -> Value {
        (self.get)(config)
    }

    /// Puts a value that `kind` has parsed.
    pub fn set(&self, config: &mut Config, value: Value) {
        (self.set)(config, value);
    }

    pub(super) const fn flag(mut self, flag: &'static str) -> Self {
        self.flag = Some(flag);
        self
    }
}

/// All keys, in the order in which a person reads them.
#[must_use]
pub fn keys() -> &'static [Key] {
    &KEYS
}

/// The key of that name.
#[must_use]
pub fn key(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The reference in the README: a Markdown table of every key.
#[must_use]
pub fn reference() -> String {
    let defaults = Config::default();
    let mut table = String::from("| key | default | takes | what it does |\n|---|---|---|---|\n");
    for key in keys() {
        let default = key.kind.write(&key.get(&defaults));
        let default = if default.is_empty() {
            "–".to_owned()
        } else {
            format!("`{default}`")
        };
        let flag = key.flag.map_or(String::new(), |flag| format!(", `--{flag}`"));
        table.push_str(&format!(
            "| `{}`{flag} | {default} | {} | {} |\n",
            key.name,
            key.kind.allowed(),
            key.doc
        ));
    }
    table
}

/// A configuration as a complete file.
#[must_use]
pub fn write_file(config: &Config) -> String {
    let mut file = String::new();
    let mut section = "";
    for key in keys() {
        let (in_section, name) = key.name.rsplit_once('.').unwrap_or(("", key.name));
        if in_section != section {
            section = in_section;
            file.push_str(&format!("\n[{section}]\n"));
        }
        file.push_str(&format!(
            "# {}\n{name} = {}\n",
            key.doc,
            key.kind.write_toml(&key.get(config))
        ));
    }
    file
}
