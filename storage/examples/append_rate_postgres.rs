//! How many appends a second PostgreSQL makes durable, by the size of the batch.
//!
//! `cargo run --release -p commucat-storage --features postgres --example append_rate_postgres -- POSTGRES_URL REDIS_URL [CA]`
//!
//! The database is migrated and keeps what was appended: give an empty one, with `fsync` as it is to be measured.

use std::error::Error;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use commucat_proto::{ChannelId, DeviceId, FrameType, Handle, UserId};
use commucat_storage::Store;
use commucat_storage::api::{Envelope, Profile, Request, Wall};
use commucat_storage::postgres::{Address, Options, PostgresStore, migrate};

type Outcome<T> = Result<T, Box<dyn Error>>;

const RUN: Duration = Duration::from_secs(5);
const DEVICES: usize = 10_000;
const PAYLOAD: usize = 256;

fn main() -> Outcome<()> {
    let mut args = std::env::args().skip(1);
    let (Some(postgres), Some(redis)) = (args.next(), args.next()) else {
        return Err("usage: append_rate_postgres POSTGRES_URL REDIS_URL [CA]".into());
    };
    let authority = args.next().map(Into::into);
    let options = Options {
        postgres: Address::new(&postgres),
        postgres_ca: authority.clone(),
        redis: Address::new(&redis),
        redis_ca: authority,
        ..Options::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(measure(options))
}

async fn measure(options: Options) -> Outcome<()> {
    migrate(&options).await?;
    let store = PostgresStore::new(options)?;
    let devices = founded(&store).await?;
    for batch in [1, 64, 1_024, 4_096] {
        let (mut done, mut slowest) = (0, Duration::ZERO);
        let start = Instant::now();
        while start.elapsed() < RUN {
            let requests = (done..done + batch).map(|n| append(&devices[n % DEVICES])).collect();
            let began = Instant::now();
            let answers = store.execute(requests).await;
            slowest = slowest.max(began.elapsed());
            done += answers.into_iter().collect::<Result<Vec<_>, _>>()?.len();
        }
        let rate = done as f64 / start.elapsed().as_secs_f64();
        println!("batches of {batch:>5}: {rate:>9.0} durable appends/s, longest wait {slowest:?}");
    }
    Ok(())
}

async fn founded(store: &PostgresStore) -> Outcome<Vec<DeviceId>> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis();
    let names = (0..DEVICES).map(|n| DeviceId::parse(&format!("device-{since}-{n}")));
    let devices = names.collect::<Result<Vec<_>, _>>()?;
    for some in devices.chunks(1_000) {
        let mut batch = Vec::new();
        for device in some {
            batch.push(Request::Found {
                device: device.clone(),
                static_key: [7; 32],
                profile: Profile {
                    id: UserId::parse(&format!("user-{device}"))?,
                    handle: Handle::parse(device.as_str())?,
                    display_name: None,
                    avatar_url: None,
                },
                at: Wall(0),
            });
        }
        store.execute(batch).await.into_iter().collect::<Result<Vec<_>, _>>()?;
    }
    Ok(devices)
}

fn append(device: &DeviceId) -> Request {
    Request::Append {
        device: device.clone(),
        envelope: Envelope {
            kind: FrameType::Msg,
            channel: ChannelId::new(1),
            payload: Bytes::from_static(&[0xa5; PAYLOAD]),
            expires_at: Wall(u64::MAX),
        },
    }
}
