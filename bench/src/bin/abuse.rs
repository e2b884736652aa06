//! What a well-behaved crowd notices while somebody attacks the relay: p99 in calm and under each attack, in turns.
//!
//! `cargo run --release -p commucat-bench --bin abuse`. Needs the relay and `loadgen` built beside it, and util-linux
//! (`taskset`, `chrt`). The relay has one shard on a core of its own; crowd and attacker share the other one, the attacker
//! behind the crowd (see `commucat_bench::abuse`).

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitCode, Stdio};

use clap::Parser;
use commucat_bench::abuse::{ATTACKS, Attack, Tally, Target, attack};
use commucat_bench::latency::{Crowd, Pace, Run, pairs};
use commucat_bench::relay::{Relay, RelayError, Start, median};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;

#[derive(Clone, Debug, Parser)]
struct Arguments {
    /// Attacks, by name; all of them without it.
    #[arg(long)]
    only: Vec<String>,
    /// Rounds of calm and attack.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How long each is measured.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Pairs of the crowd; both of each speak.
    #[arg(long, default_value_t = 8)]
    pairs: u32,
    /// Messages a second of the whole crowd.
    #[arg(long, default_value_t = 1000.0)]
    rate: f64,
    /// The relay's core.
    #[arg(long, default_value_t = 0)]
    server_core: usize,
    /// The crowd's and the attacker's core.
    #[arg(long, default_value_t = 1)]
    load_core: usize,
    /// On a machine that others use, too: run this with `nice -n -20`, and the attacker stands between the crowd and all
    /// others, instead of behind everybody.
    #[arg(long)]
    shared: bool,
    /// The report in JSON.
    #[arg(long)]
    json: bool,
    /// Attacks this address until standard input ends: what the measuring program starts.
    #[arg(long, hide = true, requires = "attack")]
    target: Option<SocketAddr>,
    #[arg(long, hide = true)]
    attack: Option<String>,
}

/// One attack's figures: medians over the rounds, times in microseconds.
#[derive(Clone, Debug, Serialize)]
struct Figures {
    attack: &'static str,
    what: &'static str,
    limit: &'static str,
    blows_per_second: f64,
    got: Tally,
    calm_p99_us: f64,
    attack_p99_us: f64,
    ratio: f64,
    calm_p50_us: f64,
    attack_p50_us: f64,
    calm_relay_busy: f64,
    attack_relay_busy: f64,
    calm_own_p99_us: f64,
    attack_own_p99_us: f64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match (&arguments.target, &arguments.attack) {
        (Some(target), Some(name)) => strike(*target, name),
        _ => measure(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("abuse: {error}");
            ExitCode::FAILURE
        }
    }
}

fn named(name: &str) -> Result<&'static Attack, RelayError> {
    let found = ATTACKS.iter().find(|attack| attack.name == name);
    found.ok_or_else(|| RelayError::io("find this attack")(std::io::Error::other(name.to_owned())))
}

/// The attacker: a line when it has begun, and its tally when it has been told to stop.
fn strike(target: SocketAddr, name: &str) -> Result<(), RelayError> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised).map_err(|error| RelayError::io("open more files")(error.into()))?;
    let target = Target::at(target).map_err(RelayError::io("ask the relay who it is"))?;
    let tally = attack(named(name)?, &target, || println!("begun")).map_err(RelayError::io("attack"))?;
    println!("{}", serde_json::to_string(&tally).unwrap_or_default());
    Ok(())
}

/// An attacker at work; it ends with its standard input.
struct Attacker {
    child: Child,
    says: BufReader<std::process::ChildStdout>,
}

impl Attacker {
    fn start(arguments: &Arguments, relay: &Relay, attack: &Attack) -> Result<Self, RelayError> {
        let own = std::env::current_exe().map_err(RelayError::io("find this program"))?;
        // SCHED_IDLE: whoever else wants the core has it at once. Or a ninth of the crowd's weight.
        let behind: &[&str] = if arguments.shared {
            &["nice", "-n", "10"]
        } else {
            &["chrt", "--idle", "0"]
        };
        let mut child = Command::new("taskset")
            .args(["--cpu-list", &arguments.load_core.to_string()])
            .args(behind)
            .arg(own)
            .args([
                "--target",
                &format!("127.0.0.1:{}", relay.ports().0),
                "--attack",
                attack.name,
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(RelayError::io("start the attacker"))?;
        let stdout = child.stdout.take().ok_or_else(|| failed(attack, "says nothing"))?;
        let mut says = BufReader::new(stdout);
        let mut line = String::new();
        says.read_line(&mut line).map_err(RelayError::io("hear the attacker"))?;
        match line.trim() {
            "begun" => Ok(Self { child, says }),
            _ => Err(failed(attack, "did not begin")),
        }
    }

    fn stop(mut self, attack: &Attack) -> Result<Tally, RelayError> {
        drop(self.child.stdin.take());
        let mut text = String::new();
        self.says
            .read_to_string(&mut text)
            .map_err(RelayError::io("hear the attacker"))?;
        self.child.wait().map_err(RelayError::io("wait for the attacker"))?;
        serde_json::from_str(&text).map_err(|_| failed(attack, "gave no tally"))
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn failed(attack: &Attack, what: &str) -> RelayError {
    RelayError::io("attack")(std::io::Error::other(format!("{} {what}", attack.name)))
}

fn measure(arguments: &Arguments) -> Result<(), RelayError> {
    let chosen = match arguments.only.as_slice() {
        [] => ATTACKS.iter().collect(),
        names => names.iter().map(|name| named(name)).collect::<Result<Vec<_>, _>>()?,
    };
    let mut all = Vec::new();
    for attack in chosen {
        let figures = rounds(arguments, attack)?;
        if !arguments.json {
            if all.is_empty() {
                println!("{HEAD}");
            }
            println!("{}", row(&figures));
        }
        all.push(figures);
    }
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&all).unwrap_or_default());
    }
    Ok(())
}

/// Calm and attack in turn, on a relay that has seen no other attack.
fn rounds(arguments: &Arguments, attack: &Attack) -> Result<Figures, RelayError> {
    let relay = Relay::start(&Start {
        shards: 1,
        core: Some(arguments.server_core),
        log_filter: Some("error"),
        ..Start::default()
    })?;
    let crowd = Crowd {
        pairs: arguments.pairs,
        payload: 64,
        seconds: arguments.seconds,
        warm_up: 0.5,
        core: arguments.load_core,
    };
    let (mut calm, mut attacked, mut got) = (Vec::new(), Vec::new(), Tally::default());
    for _ in 0..arguments.rounds {
        calm.push(pairs(&relay, &crowd, Pace::Rate(arguments.rate))?);
        let attacker = Attacker::start(arguments, &relay, attack)?;
        attacked.push(pairs(&relay, &crowd, Pace::Rate(arguments.rate))?);
        got.add(attacker.stop(attack)?);
    }
    relay.stop()?;
    let of = |runs: &[Run], what: fn(&Run) -> f64| median(&runs.iter().map(what).collect::<Vec<_>>());
    let own = |run: &Run| run.own_p99_us.unwrap_or_default();
    let (calm_p99_us, attack_p99_us) = (of(&calm, |run| run.p99_us), of(&attacked, |run| run.p99_us));
    Ok(Figures {
        attack: attack.name,
        what: attack.what,
        limit: attack.limit,
        blows_per_second: got.rate(),
        got,
        calm_p99_us,
        attack_p99_us,
        ratio: attack_p99_us / calm_p99_us,
        calm_p50_us: of(&calm, |run| run.p50_us),
        attack_p50_us: of(&attacked, |run| run.p50_us),
        calm_relay_busy: of(&calm, |run| run.relay_busy),
        attack_relay_busy: of(&attacked, |run| run.relay_busy),
        calm_own_p99_us: of(&calm, own),
        attack_own_p99_us: of(&attacked, own),
    })
}

const HEAD: &str = "| attack | limit, key | a second | what the attacker gets | relay busy | crowd late, p99 µs | p99 µs | ratio |\n\
    |---|---|---|---|---|---|---|---|";

fn row(figures: &Figures) -> String {
    format!(
        "| {} | {} | {:.0} | {} | {:.0} % → {:.0} % | {:.0} → {:.0} | {:.0} → {:.0} | {:.2} |",
        figures.what,
        figures.limit,
        figures.blows_per_second,
        figures.got.words(),
        figures.calm_relay_busy * 100.0,
        figures.attack_relay_busy * 100.0,
        figures.calm_own_p99_us,
        figures.attack_own_p99_us,
        figures.calm_p99_us,
        figures.attack_p99_us,
        figures.ratio,
    )
}
