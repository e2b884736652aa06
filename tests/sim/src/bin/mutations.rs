//! Puts one deliberate fault after another into a copy of the relay's sources, and asks the simulator whether it notices.
//!
//! `cargo run --profile sim --bin mutations [-- --only WORDS]`: a table with the checker that saw each fault, the seed, and after
//! how many steps; exit code 1 when one was not seen. The copy and its builds stand in `target/mutations`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;
use commucat_sim::mutation::{self, Mutation};

#[derive(Parser)]
struct Arguments {
    /// Only faults whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// Seeds to try before a fault counts as unseen.
    #[arg(long, default_value_t = 2_000)]
    seeds: u64,
    /// Events of each seed in which things fail.
    #[arg(long, default_value_t = 3_000)]
    steps: u64,
    /// Seconds that these may take; a fault by which the relay never comes to rest is seen by that.
    #[arg(long, default_value_t = 600)]
    seconds: u64,
}

/// Where and by whom a fault was seen.
struct Seen {
    seed: Option<u64>,
    steps: Option<u64>,
    by: String,
}

fn main() -> ExitCode {
    match hunt(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("mutations: {error}");
            ExitCode::from(2)
        }
    }
}

fn hunt(arguments: &Arguments) -> Result<bool, Box<dyn std::error::Error>> {
    let root = mutation::root().canonicalize()?;
    let place = root.join("target/mutations");
    let tree = place.join("tree");
    copy_sources(&root, &tree)?;
    build(&tree, &place)?;
    println!("{:<70} {:>6} {:>6}  by", "fault", "seed", "steps");
    let mut all = true;
    for fault in mutation::list(&root)?
        .iter()
        .filter(|fault| fault.name.contains(&arguments.only))
    {
        let seen = with_fault(fault, &tree, &place, arguments)?;
        match &seen {
            Some(Seen { seed, steps, by }) => {
                let known = |number: &Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
                println!("{:<70} {:>6} {:>6}  {by}", fault.name, known(seed), known(steps));
            }
            None => println!("{:<70} NOT SEEN in {} seeds", fault.name, arguments.seeds),
        }
        all &= seen.is_some();
    }
    Ok(all)
}

/// What git knows of, as it stands now; unchanged files keep their times, so that builds stay warm.
fn copy_sources(root: &Path, tree: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()?;
    for file in String::from_utf8(listed.stdout)?.split_terminator('\0') {
        let (from, to) = (root.join(file), tree.join(file));
        // One that is deleted and still known to git.
        let Ok(wanted) = fs::read(&from) else { continue };
        if fs::read(&to).ok().as_deref() != Some(&wanted) {
            fs::create_dir_all(to.parent().unwrap_or(tree))?;
            fs::write(&to, wanted)?;
        }
    }
    Ok(())
}

fn with_fault(
    fault: &Mutation,
    tree: &Path,
    place: &Path,
    arguments: &Arguments,
) -> Result<Option<Seen>, Box<dyn std::error::Error>> {
    let file = tree.join(&fault.file);
    let sound = fs::read_to_string(&file)?;
    fs::write(&file, fault.apply(tree)?)?;
    let seen = build(tree, place).and_then(|sim| search(&sim, place, arguments));
    fs::write(&file, sound)?;
    seen.map_err(|error| format!("\"{}\": {error}", fault.name).into())
}

/// The simulator of the copied sources.
fn build(tree: &Path, place: &Path) -> Result<PathBuf, Box<dyn std::error::Error>> {
    let target = place.join("build");
    let output = Command::new(env!("CARGO"))
        .args([
            "build",
            "--quiet",
            "--locked",
            "--profile",
            "sim",
            "--package",
            "commucat-sim",
            "--bin",
            "sim",
        ])
        .current_dir(tree)
        .env("CARGO_TARGET_DIR", &target)
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(target.join("sim/sim"))
}

fn search(sim: &Path, place: &Path, arguments: &Arguments) -> Result<Option<Seen>, Box<dyn std::error::Error>> {
    let (reports, errors) = (place.join("reports"), place.join("errors"));
    let mut child = Command::new(sim)
        .args(["--seeds", &arguments.seeds.to_string()])
        .args(["--steps", &arguments.steps.to_string()])
        .stdin(Stdio::null())
        .stdout(fs::File::create(&reports)?)
        .stderr(fs::File::create(&errors)?)
        .spawn()?;
    let ended = wait(&mut child, Duration::from_secs(arguments.seconds))?;
    let (reports, errors) = (fs::read_to_string(&reports)?, fs::read_to_string(&errors)?);
    match ended {
        Some(status) if status.success() => Ok(None),
        Some(_) => Ok(Some(seen(&reports, &errors)?)),
        None => Ok(Some(Seen {
            seed: None,
            steps: None,
            by: format!("it does not end within {} s", arguments.seconds),
        })),
    }
}

/// `None` when it had to be killed.
fn wait(child: &mut Child, patience: Duration) -> std::io::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

/// `FAILED checker: …`, and `seed N … steps M …`.
fn seen(reports: &str, errors: &str) -> Result<Seen, Box<dyn std::error::Error>> {
    let after = |line: &str, word: &str| -> Option<u64> { line.split(word).nth(1)?.split(' ').next()?.parse().ok() };
    let failed = errors.lines().find_map(|line| line.strip_prefix("FAILED "));
    let report = reports.lines().find(|line| line.starts_with("seed "));
    let (Some(failed), Some(report)) = (failed, report) else {
        return Err(format!("the simulator ended in an unknown way: {errors}").into());
    };
    Ok(Seen {
        seed: after(report, "seed "),
        steps: after(report, " steps "),
        by: failed.split(':').next().unwrap_or(failed).to_owned(),
    })
}
