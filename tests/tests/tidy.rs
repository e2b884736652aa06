//! The code checks itself: length of files, marks of unfinished work, modules nobody declares, limits nobody can set, a
//! configuration reference that tells the truth.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use commucat_server::config::table::{key, reference};
use commucat_tests::repository::{read, root, rust_files};

/// Past this a file is most likely two ideas.
const LINES: usize = 600;

#[test]
fn no_file_is_longer_than_one_idea() {
    let long: Vec<_> = rust_files()
        .into_iter()
        .map(|file| (read(&file).lines().count(), file))
        .filter(|(lines, _)| *lines > LINES)
        .collect();
    assert!(long.is_empty(), "{long:?}");
}

#[test]
fn nothing_unfinished_is_left_standing() {
    // In pieces, so that this file does not find itself.
    let marks = [
        ["to", "do!("],
        ["unimple", "mented!("],
        ["db", "g!("],
        ["TO", "DO"],
        ["FIX", "ME"],
        ["XX", "X"],
        ["#[ign", "ore"],
        ["allow(dead", "_code"],
        ["allow(unu", "sed"],
    ]
    .map(|halves| halves.concat());
    let mut found = Vec::new();
    for file in rust_files() {
        for (number, line) in read(&file).lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark.as_str())) {
                found.push(format!("{}:{}: {}", file.display(), number + 1, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_file_is_a_module_of_something() {
    let files: BTreeSet<PathBuf> = rust_files().into_iter().collect();
    let mut declared: BTreeSet<PathBuf> = BTreeSet::new();
    for file in &files {
        declared.extend(submodules(file, &files));
    }
    let orphans: Vec<_> = files
        .iter()
        .filter(|file| !declared.contains(*file) && !is_root(file))
        .collect();
    assert!(orphans.is_empty(), "nobody declares {orphans:?}");
}

/// What cargo finds by itself.
fn is_root(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default();
    let folder = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let parent = file.parent().unwrap_or(Path::new(""));
    let automatic = ["tests", "examples", "benches", "bin"];
    let is_package = |path: &Path| root().join(path).join("Cargo.toml").exists();
    (folder(parent) == "src" && (name == "lib.rs" || name == "main.rs"))
        || automatic.contains(&folder(parent).as_str())
        // tests/NAME/main.rs
        || (name == "main.rs" && parent.parent().is_some_and(|above| automatic.contains(&folder(above).as_str())))
        || (is_package(parent) && name == "build.rs")
        // bench/src and fuzz targets name their files in the manifest.
        || manifest_names(file)
}

fn manifest_names(file: &Path) -> bool {
    file.ancestors().skip(1).any(|folder| {
        let manifest = root().join(folder).join("Cargo.toml");
        let Ok(text) = std::fs::read_to_string(manifest) else {
            return false;
        };
        let relative = file.strip_prefix(folder).unwrap_or(file);
        text.contains(&format!("path = \"{}\"", relative.display()))
    })
}

/// The files that the `mod` declarations of a file mean.
fn submodules(file: &Path, files: &BTreeSet<PathBuf>) -> Vec<PathBuf> {
    let parent = file.parent().unwrap_or(Path::new(""));
    let stem = file.file_stem().unwrap_or_default();
    let nested = parent.join(stem);
    let text = read(file);
    let mut found = Vec::new();
    let mut path_attribute: Option<String> = None;
    for line in text.lines().map(str::trim) {
        if let Some(path) = line.strip_prefix("#[path = \"").and_then(|rest| rest.split('"').next()) {
            path_attribute = Some(path.to_owned());
            continue;
        }
        let declaration = line
            .strip_suffix(';')
            .map(|line| line.rsplit_once("mod ").unwrap_or(("", line)));
        let Some((before, name)) = declaration else { continue };
        let is_declaration =
            before.is_empty() || before == "pub " || before.starts_with("pub(") || before.ends_with("] ");
        if !line.contains("mod ") || !is_declaration || !name.chars().all(|c| c.is_alphanumeric() || c == '_') {
            continue;
        }
        if let Some(path) = path_attribute.take() {
            found.push(parent.join(path));
            continue;
        }
        let candidates = [
            parent.join(format!("{name}.rs")),
            parent.join(name).join("mod.rs"),
            nested.join(format!("{name}.rs")),
            nested.join(name).join("mod.rs"),
        ];
        found.extend(
            candidates
                .into_iter()
                .filter(|candidate| candidate != file && files.contains(candidate)),
        );
    }
    found
}

/// The public fields of a struct, by its source.
fn fields(source: &str, name: &str) -> Vec<String> {
    let start = source
        .find(&format!("pub struct {name} {{"))
        .unwrap_or_else(|| panic!("no struct {name}"));
    source[start..]
        .lines()
        .skip(1)
        .take_while(|line| *line != "}")
        .filter_map(|line| line.trim().strip_prefix("pub ")?.split_once(':'))
        .map(|(field, _)| field.to_owned())
        .collect()
}

#[test]
fn every_limit_can_be_configured() {
    let shard = read("shard/src/limits.rs");
    let frame = read("codec/src/limits.rs");
    let inbox = read("storage/src/api/mod.rs");
    let mut keys: Vec<String> = fields(&shard, "Limits")
        .into_iter()
        .filter(|field| field != "frame")
        .map(|f| format!("limits.{f}"))
        .collect();
    assert!(keys.len() > 20, "the limits were not read: {keys:?}");
    keys.extend(
        fields(&frame, "FrameLimits")
            .into_iter()
            .map(|field| format!("limits.{field}")),
    );
    keys.extend(
        fields(&inbox, "InboxLimits")
            .into_iter()
            .map(|field| format!("limits.inbox_{field}")),
    );
    for name in keys {
        assert!(key(&name).is_some(), "`{name}` has no configuration key");
    }
}

#[test]
fn the_readmes_reference_is_what_the_server_takes() {
    let readme = read("README.md");
    let (_, rest) = readme
        .split_once("<!-- configuration reference -->\n")
        .expect("the README has its reference");
    let (table, _) = rest
        .split_once("<!-- end of reference -->")
        .expect("the reference ends");
    assert_eq!(
        table.trim(),
        reference().trim(),
        "put the output of `commucat-server --config-reference` between the README's markers"
    );
}
