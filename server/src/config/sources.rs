//! Where settings come from: the file, then the environment, then the flags, each overriding the one before.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::error::{ConfigError, Place, Problem};
use super::table::{Key, key, keys};
use super::{Config, value::Kind};

/// Every environment variable of ours begins so.
const PREFIX: &str = "COMMUCAT_";

/// A configuration and what else the command line asked for.
#[derive(Debug)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// `--check`: say whether the configuration is valid, and end.
    pub check: bool,
    /// `--config-reference`: print the table of keys, and end.
    pub reference: bool,
}

/// The command line, made from the table's keys that have a flag.
#[must_use]
pub fn command() -> Command {
    let defaults = Config::default();
    let mut command = Command::new("commucat-server")
        .version(env!("CARGO_PKG_VERSION"))
        .about("The CommuCat relay. Starts without any configuration.")
        .after_help(
            "Every key of the configuration file is also an environment variable: `limits.roster` is \
             COMMUCAT_LIMITS_ROSTER. The file is overridden by the environment, the environment by flags.",
        )
        .arg(
            Arg::new("config")
                .long("config")
                .value_name("FILE")
                .value_parser(clap::value_parser!(PathBuf))
                .help("Configuration file (TOML)"),
        );
    for key in keys() {
        let Some(flag) = key.flag else { continue };
        let default = key.kind.write(&key.get(&defaults));
        let default = if default.is_empty() { "none" } else { &default };
        command = command.arg(
            Arg::new(flag)
                .long(flag)
                .value_name(key.kind.placeholder())
                .help(format!("{} [default: {default}]", key.doc)),
        );
    }
    let switch =
        |name: &'static str, help: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    command
        .arg(switch(
            "check",
            "Check the configuration, print it as a complete file, and exit",
        ))
        .arg(switch(
            "config-reference",
            "Print every key, what it takes and its default, and exit",
        ))
}

/// Reads all three sources. Bad usage of the command line ends the process, as clap does it.
///
/// # Errors
/// When the file cannot be read, or any setting is wrong; all wrong settings are listed.
pub fn load(
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Loaded, ConfigError> {
    let matches = command().get_matches_from(arguments);
    let mut config = Config::default();
    let mut problems = Vec::new();
    if let Some(path) = matches.get_one::<PathBuf>("config") {
        read_file(path, &mut config, &mut problems)?;
    }
    read_environment(environment, &mut config, &mut problems);
    read_flags(&matches, &mut config, &mut problems);
    // What goes together is judged only when each part is right: else it would be judged by a default.
    if problems.is_empty() {
        problems = config.validate();
    }
    if !problems.is_empty() {
        return Err(ConfigError::Problems(problems));
    }
    Ok(Loaded {
        config,
        check: matches.get_flag("check"),
        reference: matches.get_flag("config-reference"),
    })
}

fn read_file(path: &Path, config: &mut Config, problems: &mut Vec<Problem>) -> Result<(), ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
        path: path.to_owned(),
        source,
    })?;
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| ConfigError::Syntax {
        path: path.to_owned(),
        message: place_in(&text, &error),
    })?;
    let place = Place::File(path.to_owned());
    read_table(&place, "", &table, config, problems);
    Ok(())
}

/// What is wrong and in which line, without the line itself: it may hold a password.
fn place_in(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    let line = before.map_or(0, |before| before.matches('\n').count()) + 1;
    format!("line {line}: {}", error.message())
}

fn read_table(place: &Place, section: &str, table: &toml::Table, config: &mut Config, problems: &mut Vec<Problem>) {
    for (name, value) in table {
        let full = if section.is_empty() {
            name.clone()
        } else {
            format!("{section}.{name}")
        };
        match (value, key(&full)) {
            (toml::Value::Table(inner), None) if is_section(&full) => read_table(place, &full, inner, config, problems),
            (_, None) => problems.push(unknown(place, &full)),
            (value, Some(key)) if key.kind.takes(value) => {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                set(place, key, &text, &value.to_string(), config, problems);
            }
            (value, Some(key)) => problems.push(wrong(place, key, &value.to_string())),
        }
    }
}

fn read_environment(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    config: &mut Config,
    problems: &mut Vec<Problem>,
) {
    let mut ours: Vec<(String, OsString)> = environment
        .into_iter()
        .filter_map(|(name, text)| Some((name.into_string().ok()?, text)))
        .filter(|(name, _)| name.starts_with(PREFIX))
        .collect();
    ours.sort();
    for (name, text) in ours {
        let place = Place::Variable(name.clone());
        let text = text.to_string_lossy();
        match keys().iter().find(|key| variable(key) == name) {
            Some(key) => set(&place, key, &text, &format!("{text:?}"), config, problems),
            None => problems.push(unknown(&place, &name[PREFIX.len()..].to_lowercase())),
        }
    }
}

fn read_flags(matches: &ArgMatches, config: &mut Config, problems: &mut Vec<Problem>) {
    for key in keys() {
        let Some(flag) = key.flag else { continue };
        if let Some(text) = matches.get_one::<String>(flag) {
            set(
                &Place::Flag(flag.to_owned()),
                key,
                text,
                &format!("{text:?}"),
                config,
                problems,
            );
        }
    }
}

/// `found` is the text as it stands in its place, for the message.
fn set(place: &Place, key: &Key, text: &str, found: &str, config: &mut Config, problems: &mut Vec<Problem>) {
    match key.kind.parse(text) {
        Some(value) => key.set(config, value),
        None => problems.push(wrong(place, key, found)),
    }
}

/// The environment variable of a key.
pub(super) fn variable(key: &Key) -> String {
    format!("{PREFIX}{}", key.name.replace('.', "_").to_uppercase())
}

fn wrong(place: &Place, key: &Key, found: &str) -> Problem {
    let hint = match key.kind {
        Kind::Time { .. } => " (as text in quotation marks)",
        _ => "",
    };
    let hint = if matches!(place, Place::File(_)) { hint } else { "" };
    Problem {
        place: place.clone(),
        key: key.name.to_owned(),
        message: match key.kind {
            // A password may be among what is wrong.
            Kind::Url(_) => "what stands there is not allowed".to_owned(),
            _ => format!("{found} is not allowed"),
        },
        allowed: format!("{}{hint}", key.kind.allowed()),
    }
}

fn unknown(place: &Place, name: &str) -> Problem {
    let section = name.rsplit_once('.').map_or("", |(section, _)| section);
    let mut names: Vec<&str> = keys()
        .iter()
        .filter(|key| key.name.rsplit_once('.').map_or("", |(section, _)| section) == section)
        .map(|key| key.name)
        .collect();
    if names.is_empty() || matches!(place, Place::Variable(_)) {
        names = keys().iter().map(|key| key.name).collect();
    }
    let near = names.iter().copied().min_by_key(|candidate| distance(candidate, name));
    let near = near.filter(|candidate| distance(candidate, name) <= 3);
    let message = match near {
        Some(candidate) => format!("there is no such key; did you mean `{candidate}`?"),
        None => "there is no such key".to_owned(),
    };
    Problem {
        place: place.clone(),
        key: name.to_owned(),
        message,
        allowed: names.join(", "),
    }
}

fn is_section(name: &str) -> bool {
    keys()
        .iter()
        .any(|key| key.name.starts_with(name) && key.name[name.len()..].starts_with('.'))
}

/// Edits between two names, `.` and `_` being the same letter, as they are in a variable.
fn distance(a: &str, b: &str) -> usize {
    let fold = |byte: u8| if byte == b'.' { b'_' } else { byte.to_ascii_lowercase() };
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(fold(x) != fold(y));
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
