//! Beside the fuzzer: writes each target's first inputs, and runs an input again.
//!
//! ```text
//! fuzz list                    the names of all targets
//! fuzz seeds FOLDER            FOLDER/TARGET/seed-N, for every target
//! fuzz reproduce TARGET FILE…  panics where a property is broken
//! ```

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use commucat_fuzz::{TARGETS, Target};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["list"] => {
            TARGETS.iter().for_each(|target| println!("{}", target.name));
            Ok(())
        }
        ["seeds", folder] => TARGETS
            .iter()
            .try_for_each(|target| write_seeds(target, Path::new(folder))),
        ["reproduce", name, ref files @ ..] => match TARGETS.iter().find(|target| target.name == name) {
            Some(target) => files
                .iter()
                .try_for_each(|file| fs::read(file).map(|input| (target.check)(&input))),
            None => Err(std::io::Error::other(format!("no target `{name}`"))),
        },
        _ => Err(std::io::Error::other(
            "usage: fuzz list | seeds FOLDER | reproduce TARGET FILE…",
        )),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fuzz: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write_seeds(target: &Target, folder: &Path) -> std::io::Result<()> {
    let folder = folder.join(target.name);
    fs::create_dir_all(&folder)?;
    for (index, seed) in (target.seeds)().iter().enumerate() {
        fs::write(folder.join(format!("seed-{index:03}")), seed)?;
    }
    Ok(())
}
