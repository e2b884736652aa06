//! How many instructions a frame takes in the pure shard, counted by callgrind and compared with `baseline.toml`.
//!
//! `cargo bench -p commucat-bench --bench instructions [-- [--save] [NAME]]`: exit code 1 when a figure has grown by more
//! than 3 %. The program runs itself under valgrind once per case.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Parser;
use commucat_bench::baseline::{self, Baseline, Figure, Figures};
use commucat_bench::callgrind;
use commucat_bench::pair::{Acks, Measured, Pair};
use commucat_bench::regions::region_parse;
use commucat_client::HttpVersion;
use commucat_proto::{ChannelId, Frame, FrameLimits, FrameType, Sequence, frame};

/// Of each message.
const PAYLOAD: usize = 64;
/// Frames per case, in as many turns as that makes.
const FRAMES: usize = 6_400;
/// Of a fan, whose figures are for each delivered frame.
const RECIPIENTS: u32 = 100;
/// A fan says one frame where others say so many.
const FAN_SHARE: usize = 8;
/// Before anything is counted: queues and buffers have their size by then.
const WARM_UP_TURNS: usize = 200;

#[derive(Clone, Copy, Debug)]
enum Work {
    Parse,
    Route {
        http: HttpVersion,
        acks: Acks,
        batch: usize,
    },
    Fan {
        batch: usize,
    },
}

impl Work {
    /// What its figures are divided by.
    fn frames(self) -> usize {
        match self {
            Self::Parse | Self::Route { .. } => FRAMES,
            Self::Fan { .. } => FRAMES * RECIPIENTS as usize / FAN_SHARE,
        }
    }
}

const CASES: [(&str, Work); 11] = [
    ("codec", Work::Parse),
    ("h1/1", route(HttpVersion::Http1, Acks::Each, 1)),
    ("h1/8", route(HttpVersion::Http1, Acks::Each, 8)),
    ("h1/32", route(HttpVersion::Http1, Acks::Each, 32)),
    ("h2/1", route(HttpVersion::Http2, Acks::Each, 1)),
    ("h2/8", route(HttpVersion::Http2, Acks::Each, 8)),
    ("h2/32", route(HttpVersion::Http2, Acks::Each, 32)),
    ("ack-range/1", route(HttpVersion::Http2, Acks::Ranges, 1)),
    ("ack-range/32", route(HttpVersion::Http2, Acks::Ranges, 32)),
    ("fan/1", Work::Fan { batch: 1 }),
    ("fan/8", Work::Fan { batch: 8 }),
];

const fn route(http: HttpVersion, acks: Acks, batch: usize) -> Work {
    Work::Route { http, acks, batch }
}

#[derive(Debug, Parser)]
struct Arguments {
    /// Write the baseline instead of comparing with it.
    #[arg(long)]
    save: bool,
    /// Keep callgrind's profiles in this folder, for `callgrind_annotate`.
    #[arg(long, value_name = "DIR")]
    profiles: Option<PathBuf>,
    /// Print so many of the most expensive functions of each case.
    #[arg(long, value_name = "N", default_value_t = 0)]
    top: usize,
    /// Only cases whose name begins like this.
    #[arg(default_value = "")]
    name: String,
    /// Do one case, without counting: what runs under valgrind.
    #[arg(long, hide = true)]
    case: Option<String>,
    /// What `cargo bench` says.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(name) = &arguments.case {
        let (_, work) = CASES.iter().find(|(case, _)| case == name).expect("a case");
        perform(*work);
        return ExitCode::SUCCESS;
    }
    match measure(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("instructions: {error}");
            ExitCode::from(2)
        }
    }
}

fn perform(work: Work) {
    match work {
        Work::Parse => {
            let mut bytes = Vec::new();
            let message = Frame {
                kind: FrameType::Msg,
                channel: ChannelId::new(1),
                sequence: Sequence::new(1_000),
                payload: &[0x5a; PAYLOAD],
            };
            frame::encode(&message, &mut bytes);
            let sum = region_parse(&bytes, &FrameLimits::default(), FRAMES);
            assert_eq!(sum, bytes.len() * FRAMES, "every frame was parsed");
        }
        Work::Route { http, acks, batch } => {
            let mut pair = Pair::new(http, acks, PAYLOAD);
            for _ in 0..WARM_UP_TURNS {
                pair.turn(batch, Measured::No);
            }
            for _ in 0..FRAMES / batch {
                pair.turn(batch, Measured::Yes);
            }
            pair.check();
        }
        Work::Fan { batch } => {
            let mut fan = Pair::fan(HttpVersion::Http2, Acks::Ranges, PAYLOAD, RECIPIENTS);
            for _ in 0..WARM_UP_TURNS / FAN_SHARE {
                fan.turn(batch, Measured::No);
            }
            for _ in 0..FRAMES / FAN_SHARE / batch {
                fan.turn(batch, Measured::Yes);
            }
            fan.check();
        }
    }
}

fn measure(arguments: &Arguments) -> Result<bool, Box<dyn std::error::Error>> {
    let program = std::env::current_exe()?;
    let temporary = tempfile::tempdir()?;
    let folder = arguments.profiles.as_deref().unwrap_or(temporary.path());
    std::fs::create_dir_all(folder)?;
    let mut figures = Figures::new();
    for (case, work) in CASES.iter().filter(|(case, _)| case.starts_with(&arguments.name)) {
        eprintln!("callgrind: {case}");
        let profile = folder.join(format!("callgrind.{}", case.replace('/', "-")));
        let counts = callgrind::run(&program, &["--case", case], &profile)?;
        let frames = work.frames() as u64;
        show_shares(&profile, arguments.top, frames)?;
        for (region, instructions) in &counts {
            let figure = Figure {
                instructions: *instructions,
                frames,
            };
            figures.insert(format!("{case}/{}", region.name()), figure);
        }
        if counts.len() > 1 {
            let instructions = counts.values().sum();
            figures.insert(format!("{case}/all"), Figure { instructions, frames });
        }
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("baseline.toml");
    let before = match std::fs::read_to_string(&file) {
        Ok(text) => toml::from_str(&text)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Baseline::default(),
        Err(error) => return Err(error.into()),
    };
    let (table, regressed) = baseline::compare(&figures, &before);
    println!(
        "instructions per frame of {PAYLOAD} bytes, next to {}\n{table}",
        before.toolchain
    );
    if arguments.save {
        let mut kept = before.figures;
        kept.retain(|name, _| !name.starts_with(&arguments.name));
        kept.extend(figures);
        let baseline = Baseline {
            toolchain: toolchain(),
            figures: kept,
        };
        std::fs::write(&file, baseline::write(&baseline)?)?;
        println!("saved: {}", file.display());
        return Ok(true);
    }
    if regressed {
        println!(
            "a figure has grown by more than {} %: `-- --profiles DIR` shows where",
            baseline::TOLERANCE_PERCENT
        );
    }
    Ok(!regressed)
}

/// The most expensive functions, in instructions per frame.
fn show_shares(profile: &Path, top: usize, frames: u64) -> std::io::Result<()> {
    let text = std::fs::read_to_string(profile)?;
    for share in callgrind::shares(&text).iter().take(top) {
        let each = |instructions: u64| instructions as f64 / frames as f64;
        println!(
            "{:>8.1} own {:>8.1} inclusive  {:.100}",
            each(share.own),
            each(share.inclusive),
            share.function
        );
    }
    Ok(())
}

fn toolchain() -> String {
    let output = Command::new("rustc").arg("--version").output();
    output.map_or_else(
        |_| "unknown".to_owned(),
        |out| String::from_utf8_lossy(&out.stdout).trim().to_owned(),
    )
}
