//! A process that dies at any moment keeps what it acknowledged (decisions § 8): kill -9, reopen, compare.

mod people;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::common::{append, delivered, execute, founding, inbox, options};
use commucat_storage::api::{InboxLimits, Reply, Request, RowId, StoreError};
use commucat_storage::embedded::EmbeddedStore;

const DEVICES: [&str; 3] = ["ada", "bob", "eve"];
const ROUNDS: u64 = 20;

/// What the writing process says once it is durable: a row appended, rows delivered up to and including one, a device
/// paired with a profile, invited into a group, revoked.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Appended { device: String, text: String },
    Delivered { device: String, upto: String },
    Paired { device: String },
    Invited { device: String },
    Revoked { device: String },
}

impl Said {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let (what, device, text) = (words.next()?, words.next()?.to_owned(), words.next()?);
        // A line that was cut off by the kill has no end mark and acknowledges nothing.
        (words.next()? == "end").then_some(())?;
        match what {
            "appended" => Some(Self::Appended {
                device,
                text: text.to_owned(),
            }),
            "delivered" => Some(Self::Delivered {
                device,
                upto: text.to_owned(),
            }),
            "paired" => Some(Self::Paired { device }),
            "invited" => Some(Self::Invited { device }),
            "revoked" => Some(Self::Revoked { device }),
            _ => None,
        }
    }
}

/// Appends batches to every inbox, delivers some of it, and says so only after the store has answered.
fn write(folder: &Path, round: &str, batches: usize, out: &mut impl Write) {
    let store = EmbeddedStore::open(folder, options(InboxLimits::default())).unwrap();
    execute(&store, DEVICES.map(founding).to_vec());
    people::create_group(&store);
    for batch in 0..batches {
        let rows: Vec<(&str, String)> = (0..24)
            .map(|n| (DEVICES[n % DEVICES.len()], format!("{round}-{:06}", batch * 24 + n)))
            .collect();
        let requests = rows
            .iter()
            .map(|(id, text)| append(id, format!("{text}{}", "x".repeat(batch % 400))))
            .collect();
        for ((id, text), answer) in rows.iter().zip(execute(&store, requests)) {
            assert_eq!(answer, Ok(Reply::Done));
            writeln!(out, "appended {id} {text} end").unwrap();
        }
        if batch % 8 == 7 {
            let id = DEVICES[batch / 8 % DEVICES.len()];
            let rows = inbox(&store, id);
            let (row, payload) = &rows[rows.len() / 2];
            let answers = execute(&store, vec![delivered(id, *row)]);
            assert_eq!(answers, [Ok(Reply::Done)]);
            writeln!(out, "delivered {id} {} end", name(payload)).unwrap();
            people::pair(&store, &format!("{round}-{batch}"), batch % 16 == 15, out);
        }
        out.flush().unwrap();
    }
}

/// A row's name without its padding.
fn name(payload: &[u8]) -> String {
    String::from_utf8_lossy(payload).trim_end_matches('x').to_owned()
}

/// The writing half when the environment says so; otherwise a short run of it, read back.
#[test]
fn the_writer_says_what_is_there() {
    if let (Some(folder), Ok(round)) = (std::env::var_os("CRASH_FOLDER"), std::env::var("CRASH_ROUND")) {
        // The harness has begun a line of its own.
        println!();
        return write(Path::new(&folder), &round, usize::MAX, &mut std::io::stdout());
    }
    let folder = tempfile::tempdir().unwrap();
    let mut said = Vec::new();
    write(folder.path(), "r", 17, &mut said);
    let mut expected = Expected::default();
    let lines = String::from_utf8(said).unwrap();
    let spoken: Vec<_> = lines.lines().map(|line| Said::parse(line).unwrap()).collect();
    assert_eq!(spoken.len(), 17 * 24 + 2 + 2 * 2 + 1);
    spoken.into_iter().for_each(|said| expected.note(said));
    expected.check(folder.path(), "after a clean end");
}

#[test]
fn what_was_acknowledged_survives_kill_at_any_moment() {
    let folder = tempfile::tempdir().unwrap();
    let mut expected = Expected::default();
    let mut chance = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..ROUNDS {
        chance = chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888);
        let moment = Duration::from_micros(chance >> 33 & 0x1_ffff);
        for said in killed_after(spawn(folder.path(), &format!("r{round:02}")), moment) {
            expected.note(said);
        }
        expected.check(folder.path(), &format!("round {round}"));
        let id = DEVICES[round as usize % DEVICES.len()];
        expected.check_counters(folder.path(), id, round % 2 == 0);
    }
    assert!(expected.acknowledged > 20 * 24, "the writer hardly ever got to write");
    assert!(expected.people.has_paired(), "the writer never got to pair");
}

fn spawn(folder: &Path, round: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "crash::the_writer_says_what_is_there",
            "--nocapture",
            "--test-threads=1",
        ])
        .env("CRASH_FOLDER", folder)
        .env("CRASH_ROUND", round)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Lets the writer run until it has acknowledged something and `moment` longer, kills it, and tells what it said.
fn killed_after(mut child: Child, moment: Duration) -> Vec<Said> {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = Vec::new();
    while said.is_empty() {
        let line = lines.next().expect("the writer ended by itself").unwrap();
        said.extend(Said::parse(&line));
    }
    // The pipe has to be drained meanwhile, or the writer would wait for us and always die at the same place.
    let drain = std::thread::spawn(move || {
        lines
            .map_while(Result::ok)
            .filter_map(|line| Said::parse(&line))
            .collect::<Vec<_>>()
    });
    std::thread::sleep(moment);
    child.kill().unwrap();
    child.wait().unwrap();
    said.extend(drain.join().unwrap());
    said
}

/// What must be there.
#[derive(Default)]
struct Expected {
    /// Names of the rows of each inbox, acknowledged or found, in order.
    rows: BTreeMap<String, Vec<String>>,
    highest: BTreeMap<String, RowId>,
    people: people::Expected,
    acknowledged: usize,
}

impl Expected {
    fn note(&mut self, said: Said) {
        self.acknowledged += 1;
        match said {
            Said::Appended { device, text } => self.rows.entry(device).or_default().push(text),
            Said::Delivered { device, upto } => {
                let rows = self.rows.entry(device).or_default();
                let at = rows.iter().position(|row| *row == upto).expect("it was appended");
                rows.drain(..=at);
            }
            Said::Paired { device } => self.people.paired(device),
            Said::Invited { device } => self.people.invited(device),
            Said::Revoked { device } => self.people.revoked(device),
        }
    }

    /// Opens the store, compares, and takes what the killed process had written without saying so as expected from now on.
    fn check(&mut self, folder: &Path, when: &str) {
        let store = EmbeddedStore::open(folder, options(InboxLimits::default())).unwrap();
        let (mut all, mut bytes) = self.people.check(&store, when);
        for id in DEVICES {
            let rows = inbox(&store, id);
            all += rows.len() as u64;
            bytes += rows.iter().map(|(_, payload)| payload.len() as u64).sum::<u64>();
            let found: Vec<String> = rows.iter().map(|(_, payload)| name(payload)).collect();
            let expected = self.rows.entry(id.to_owned()).or_default();
            // A delivery that was not acknowledged may have happened: then a prefix is missing, never a part of the rest.
            let gone = expected.iter().position(|row| Some(row) == found.first());
            let kept = &expected[gone.unwrap_or(expected.len())..];
            assert!(gone.is_some() || expected.is_empty(), "{when}: {id} lost its rows");
            assert_eq!(found[..kept.len()], *kept, "{when}: {id} differs");
            let extra = &found[kept.len()..];
            assert!(extra.is_sorted(), "{when}: {id} is out of order: {extra:?}");
            *expected = found;
            let (first, last) = (rows[0].0, rows[rows.len() - 1].0);
            assert_eq!(last.0 - first.0 + 1, rows.len() as u64, "{when}: {id} has a gap");
            let highest = self.highest.entry(id.to_owned()).or_default();
            assert!(last >= *highest, "{when}: {id} used a row id again");
            *highest = last;
        }
        let depth = Reply::Depth { rows: all, bytes };
        assert_eq!(execute(&store, vec![Request::Depth]), [Ok(depth)], "{when}");
    }

    /// The counters agree with the rows: an inbox limited to what it holds takes nothing, and after its first row has
    /// gone exactly as much as that row was.
    fn check_counters(&mut self, folder: &Path, id: &str, by_rows: bool) {
        let store = EmbeddedStore::open(folder, options(InboxLimits::default())).unwrap();
        let rows = inbox(&store, id);
        drop(store);
        let bytes: usize = rows.iter().map(|(_, payload)| payload.len()).sum();
        let (limits, fits, excess) = if by_rows {
            (
                InboxLimits {
                    rows: rows.len() as u64,
                    bytes: u64::MAX,
                },
                "".to_owned(),
                "",
            )
        } else {
            let limits = InboxLimits {
                rows: u64::MAX,
                bytes: bytes as u64,
            };
            (limits, "z".repeat(rows[0].1.len()), "z")
        };
        let store = EmbeddedStore::open(folder, options(limits)).unwrap();
        let batch = vec![
            append(id, excess),
            delivered(id, rows[0].0),
            append(id, fits.clone()),
            append(id, excess),
        ];
        let full = Err(StoreError::InboxFull);
        let expected = [full.clone(), Ok(Reply::Done), Ok(Reply::Done), full];
        assert_eq!(execute(&store, batch), expected, "{id}, by rows: {by_rows}");
        let names = self.rows.get_mut(id).unwrap();
        names.remove(0);
        names.push(fits);
        *self.highest.get_mut(id).unwrap() = RowId(rows[rows.len() - 1].0.0 + 1);
    }
}
