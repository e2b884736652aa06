//! How many appends a second become durable: by batch, straight into the store, and through the pool as the relay does it.
//!
//! `cargo run --release -p commucat-storage --example append_rate -- [folder] [payload bytes] [devices]`
//!
//! The folder is used for one store per line and emptied afterwards; give one on the disk that is to be measured.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use commucat_proto::{ChannelId, DeviceId, FrameType, Handle, UserId};
use commucat_storage::Store;
use commucat_storage::api::{Envelope, Profile, Request, Submission, Ticket, Wall};
use commucat_storage::embedded::{EmbeddedStore, Options};
use commucat_storage::pool::Pool;
use commucat_storage::port::{Port, PortLimits, port};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const RUN: Duration = Duration::from_secs(5);

struct Load {
    folder: PathBuf,
    payload: Bytes,
    devices: Vec<DeviceId>,
}

impl Load {
    fn from_args() -> Outcome<Self> {
        let mut args = std::env::args().skip(1);
        let folder = args
            .next()
            .map_or_else(|| std::env::temp_dir().join("append-rate"), PathBuf::from);
        let payload = args.next().map_or(Ok(256), |arg| arg.parse())?;
        let devices: usize = args.next().map_or(Ok(10_000), |arg| arg.parse())?;
        let devices = (0..devices).map(|n| DeviceId::parse(&format!("device-{n:08}")));
        let devices = devices.collect::<Result<_, _>>()?;
        Ok(Self {
            folder,
            payload: vec![0xa5; payload].into(),
            devices,
        })
    }

    /// The `n`th append: devices in turn, so that every row goes to another inbox than the one before.
    fn append(&self, n: usize) -> Request {
        Request::Append {
            device: self.devices[n % self.devices.len()].clone(),
            envelope: Envelope {
                kind: FrameType::Msg,
                channel: ChannelId::new(1),
                payload: self.payload.clone(),
                expires_at: Wall(u64::MAX),
            },
        }
    }

    async fn store(&self) -> Outcome<EmbeddedStore> {
        remove(&self.folder)?;
        let store = EmbeddedStore::open(&self.folder, Options::default())?;
        let mut founding = Vec::new();
        for device in &self.devices {
            let profile = Profile {
                id: UserId::parse(&format!("user-{device}"))?,
                handle: Handle::parse(device.as_str())?,
                display_name: None,
                avatar_url: None,
            };
            let (device, static_key, at) = (device.clone(), [7; 32], Wall(0));
            founding.push(Request::Found {
                device,
                static_key,
                profile,
                at,
            });
        }
        store
            .execute(founding)
            .await
            .into_iter()
            .collect::<Result<Vec<_>, _>>()?;
        Ok(store)
    }
}

fn remove(folder: &Path) -> std::io::Result<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder)
    } else {
        Ok(())
    }
}

fn main() -> Outcome<()> {
    let load = Arc::new(Load::from_args()?);
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    for batch in [1, 64, 1_024, 4_096] {
        runtime.block_on(straight(&load, batch))?;
    }
    for held in [64, 1_024, 8_192] {
        through_the_pool(&load, &runtime, held)?;
    }
    remove(&load.folder)?;
    Ok(())
}

/// CPU time of this process, all threads: what remains comparable when the machine is busy with something else.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    Duration::from_millis(ticks * 10)
}

async fn straight(load: &Load, batch: usize) -> Outcome<()> {
    let store = load.store().await?;
    let (mut done, mut slowest) = (0, Duration::ZERO);
    let (start, spent) = (Instant::now(), cpu());
    while start.elapsed() < RUN {
        let requests = (done..done + batch).map(|n| load.append(n)).collect();
        let began = Instant::now();
        let answers = store.execute(requests).await;
        slowest = slowest.max(began.elapsed());
        done += answers.into_iter().collect::<Result<Vec<_>, _>>()?.len();
    }
    report(
        &format!("batches of {batch}"),
        done,
        start.elapsed(),
        cpu() - spent,
        slowest,
    );
    Ok(())
}

/// Two shards that keep `held` requests each on their way.
fn through_the_pool(load: &Arc<Load>, runtime: &tokio::runtime::Runtime, held: usize) -> Outcome<()> {
    let store = Arc::new(runtime.block_on(load.store())?);
    let (mut ends, mut shards) = (Vec::new(), Vec::new());
    for shard in 0..2 {
        let (waker, sleeper) = std::sync::mpsc::sync_channel(1);
        let wake = Arc::new(move || {
            let _ = waker.try_send(());
        });
        let (port, end) = port(
            PortLimits {
                requests: held,
                ..PortLimits::default()
            },
            wake,
        );
        ends.push(end);
        let load = Arc::clone(load);
        shards.push(thread::spawn(move || drive(&load, port, shard, &sleeper)));
    }
    let pool = Pool::start(store, ends, 1)?;
    let (start, spent) = (Instant::now(), cpu());
    let (mut done, mut slowest) = (0, Duration::ZERO);
    for shard in shards {
        let (appends, pause) = shard.join().map_err(|_| "a shard died")??;
        done += appends;
        slowest = slowest.max(pause);
    }
    report(
        &format!("pool, 2 ports of {held}"),
        done,
        start.elapsed(),
        cpu() - spent,
        slowest,
    );
    pool.shutdown();
    Ok(())
}

fn drive(
    load: &Load,
    mut port: Port,
    shard: usize,
    sleeper: &std::sync::mpsc::Receiver<()>,
) -> Outcome<(usize, Duration)> {
    let (mut next, mut done, mut slowest) = (0, 0, Duration::ZERO);
    let start = Instant::now();
    let mut heard = start;
    while start.elapsed() < RUN || port.held() > 0 {
        while start.elapsed() < RUN {
            let request = load.append(next * 2 + shard);
            if port
                .submit(Submission {
                    ticket: Ticket(next as u64),
                    request,
                })
                .is_err()
            {
                break;
            }
            next += 1;
        }
        while let Some(completion) = port.try_next() {
            completion.outcome?;
            done += 1;
        }
        slowest = slowest.max(heard.elapsed());
        heard = Instant::now();
        if port.held() > 0 {
            sleeper.recv_timeout(Duration::from_secs(10))?;
        }
    }
    Ok((done, slowest))
}

fn report(what: &str, done: usize, took: Duration, cpu: Duration, slowest: Duration) {
    let rate = done as f64 / took.as_secs_f64();
    let cost = cpu.as_secs_f64() * 1e6 / done as f64;
    println!("{what:>24}: {rate:>9.0} durable appends/s, {cost:>7.2} us CPU each, longest wait {slowest:?}");
}
