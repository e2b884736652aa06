//! Deliberate faults in the relay's own code: the list `tests/mutations/mutations.toml`, and how one is put into a source
//! file.
//!
//! Invariant: a fault fits exactly one place of its file, so a list that the code has grown away from is an error and not a
//! fault that was never there. Called by the binary `mutations` and by the test that keeps the list true.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// One fault.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mutation {
    /// What the relay then does wrong.
    pub name: String,
    /// Which file, from the root of the repository.
    pub file: PathBuf,
    /// What stands there once.
    pub find: String,
    /// What stands there instead.
    pub replace: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    mutation: Vec<Mutation>,
}

/// Why a fault cannot be put in.
#[derive(Debug, thiserror::Error)]
pub enum MutationError {
    /// A file.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The list is none.
    #[error("{path}: {source}")]
    List {
        /// Where it was looked for.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<toml::de::Error>,
    },
    /// The code has changed.
    #[error("\"{name}\": what is to be replaced stands {count} times in {file}, not once")]
    Place {
        /// Of the fault.
        name: String,
        /// Where.
        file: PathBuf,
        /// How often.
        count: usize,
    },
}

/// The root of the repository this was built from.
#[must_use]
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// The faults of the list under `root`.
///
/// # Errors
/// There is no list, or it is none.
pub fn list(root: &Path) -> Result<Vec<Mutation>, MutationError> {
    let path = root.join("tests/mutations/mutations.toml");
    let text = read(&path)?;
    match toml::from_str::<List>(&text) {
        Ok(list) => Ok(list.mutation),
        Err(source) => Err(MutationError::List {
            path,
            source: Box::new(source),
        }),
    }
}

impl Mutation {
    /// Its file under `root`, with the fault.
    ///
    /// # Errors
    /// The file cannot be read, or the fault does not fit exactly one place.
    pub fn apply(&self, root: &Path) -> Result<String, MutationError> {
        let text = read(&root.join(&self.file))?;
        match text.matches(&self.find).count() {
            1 => Ok(text.replacen(&self.find, &self.replace, 1)),
            count => Err(MutationError::Place {
                name: self.name.clone(),
                file: self.file.clone(),
                count,
            }),
        }
    }
}

fn read(path: &Path) -> Result<String, MutationError> {
    std::fs::read_to_string(path).map_err(|source| MutationError::Io {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_of_the_list_fits_one_place_of_the_code() {
        let list = list(root()).unwrap();
        assert!(list.len() >= 15, "{} faults", list.len());
        for mutation in &list {
            let changed = mutation.apply(root()).unwrap_or_else(|error| panic!("{error}"));
            assert!(changed.contains(&mutation.replace), "{}", mutation.name);
            assert_ne!(mutation.find, mutation.replace, "{}", mutation.name);
        }
    }
}
