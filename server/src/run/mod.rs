//! The life of the process: boot, one thread per shard, serve, drain, end.
//!
//! Invariant: whatever ends it in order, the store is shut down last, after every shard has let go of it; so nothing
//! that was acknowledged is still on its way.

mod banner;
mod limits;
mod signals;
mod threads;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use commucat_crypto::DeviceCa;
use commucat_ring::{ListenError, RingConfig};
use commucat_shard::config::ShardConfig;
use commucat_shard::input::{Command, Listener};
use commucat_shard::mesh::lanes::{LANE_BATCHES, Watch, lanes};
use commucat_shard::mesh::message::ShardId;
use commucat_storage::pool::Pool;
use commucat_storage::port::{PortLimits, port};
use tokio::runtime::Runtime;
use tracing::{info, warn};

use crate::boot::{BootError, Booted, boot, noise};
use crate::config::{Config, LogFormat, SHARDS};
use crate::core_loop::control::{Control, Phase};
use crate::core_loop::cores::cores;
use crate::core_loop::{Clock, CoreError, Go, Seed};
use crate::rest::commands::Commands;
use crate::rest::desk::{Desk, DeskLimits, Wake};
use crate::rest::limit::Limiter;
use crate::rest::noise::NoiseInfo;
use crate::rest::operator::Operator;
use crate::rest::pairing::Authority;
use crate::rest::store::StoreClient;
use crate::rest::{Pairing, ServerInfo, Site, router};
use crate::telemetry::board::Board;
use threads::Threads;

/// How often the end of a drain is looked for. Nobody waits for it but the process's own end.
const DRAIN_LOOK: Duration = Duration::from_millis(5);
/// After shards have given up on slow readers: for what they then store, and for closing sockets.
const DRAIN_GRACE: Duration = Duration::from_secs(5);
/// Threads for REST handlers: they mostly wait for the store.
const REST_THREADS: usize = 1;
/// Threads for the store's own tasks: TLS and the protocol of several connections, where it has any.
const STORE_THREADS: usize = 2;

/// Why the process ended otherwise than it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Before anything ran.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// An address cannot be had.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A shard could not start or broke.
    #[error("shard {shard}: {error}", shard = .shard.0)]
    Core {
        /// Which.
        shard: ShardId,
        /// Why.
        error: CoreError,
    },
    /// The system refused something.
    #[error("cannot {action}: {source}")]
    System {
        /// What was tried.
        action: &'static str,
        /// Its answer.
        source: io::Error,
    },
    /// The drain took too long; what clients were not told is theirs to send again.
    #[error("not everything owed could be delivered or stored within {}s", .0.as_secs())]
    DrainTimeout(Duration),
}

impl RunError {
    fn system(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { action, source }
    }
}

/// What the main thread waits for.
#[derive(Debug)]
enum Event {
    /// The operator asks the process to end.
    Terminate(&'static str),
    /// The operator has changed the keys on disk.
    Reload,
    /// A shard's thread has ended without being asked.
    Broken(ShardId, CoreError),
}

/// Runs the relay until it is asked to end.
///
/// # Errors
/// When it cannot start, a shard breaks, or the drain takes too long.
pub fn run(config: &Config) -> Result<(), RunError> {
    let (events, happened) = channel();
    // Before anything is made, so that a signal during the start is a drain too.
    signals::listen(events.clone())?;
    let booted = boot(config)?;
    let server = start(config, booted, events)?;
    let banner = banner::Banner {
        config,
        address: server.address,
        info: &server.info,
        shards: server.shards,
    };
    banner.log();
    match config.log {
        LogFormat::Text => banner.print(),
        LogFormat::Json => banner.print_json(),
    }
    let outcome = server.serve(config, &happened);
    server.end(outcome, config, &happened)
}

/// Everything that runs.
struct Server {
    address: SocketAddr,
    shards: u16,
    info: Arc<ServerInfo>,
    threads: Threads,
    commands: Commands,
    control: Arc<Control>,
    mesh: Watch,
    pool: Pool,
    rest: Runtime,
}

fn start(config: &Config, booted: Booted, events: Sender<Event>) -> Result<Server, RunError> {
    let cores = cores();
    let shards = if config.shards == 0 {
        u16::try_from(cores.len()).unwrap_or(u16::MAX).min(SHARDS)
    } else {
        config.shards
    };
    let ring = RingConfig {
        connections: limits::connections(config.limits.connections, shards),
        ..RingConfig::default()
    };
    let (address, mut listeners) = bind(config, shards)?;
    let endpoints = lanes(shards, LANE_BATCHES);
    let mesh = endpoints[0].watch();
    let control = Arc::new(Control::new(shards));
    let clock = Clock::start();
    let mut template = shard_config(config, &booted, shards)?;
    template.limits.connections = ring.connections;
    let seeds = endpoints
        .into_iter()
        .map(|endpoint| Seed {
            config: ShardConfig {
                id: endpoint.id(),
                ..template.clone()
            },
            core: cores[usize::from(endpoint.id().0) % cores.len()],
            ring: ring.clone(),
            listeners: std::mem::take(&mut listeners[usize::from(endpoint.id().0)]),
            endpoint,
            control: Arc::clone(&control),
            clock,
        })
        .collect();
    let mut threads = threads::spawn(seeds, events)?;

    let (store, rest_end) = StoreClient::new();
    let authority = Authority::new(&booted.device_ca, &config.domain, config.pairing);
    let info = Arc::new(server_info(config, &booted, &authority));
    let wakes: Vec<Wake> = (0..shards)
        .map(|shard| threads.wake(ShardId(shard), mesh.clone()))
        .collect();
    let mut commands = Commands::default();
    let orders: Vec<_> = wakes.iter().map(|wake| commands.shard(wake.clone())).collect();
    let rest = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(REST_THREADS)
        .thread_name("rest")
        .enable_time()
        .build()
        .map_err(RunError::system("start the threads of the REST router"))?;
    let board = Arc::new(Board::new(shards));
    board.wake_by(wakes.clone());
    let router = router(Site {
        info: Arc::clone(&info),
        operator: Operator::new(Arc::clone(&board), booted.admin, store.clone()),
        store,
        commands: commands.clone(),
        authority,
        limits: Arc::new(Limiter::new(&config.rest)),
    });
    let desk_limits = DeskLimits {
        calls: config.rest_calls,
        streams: config.rest_streams,
    };
    let mut ends = vec![rest_end];
    let mut doors = Vec::new();
    for (shard, (wake, orders)) in (0..shards).zip(wakes.into_iter().zip(orders)) {
        let (port, end) = port(PortLimits::default(), wake.clone());
        ends.push(end);
        let desk = Desk::new(rest.handle().clone(), router.clone(), wake, desk_limits);
        doors.push((port, desk, orders, board.publisher(usize::from(shard))));
    }
    let pool = Pool::start(Arc::new(booted.store), ends, STORE_THREADS)
        .map_err(RunError::system("start the threads of the store"))?;
    threads.go(doors
        .into_iter()
        .map(|(port, desk, orders, publisher)| Go {
            rings: threads.rings(),
            port,
            desk,
            orders,
            publisher,
        })
        .collect());
    Ok(Server {
        address,
        shards,
        info,
        threads,
        commands,
        control,
        mesh,
        pool,
        rest,
    })
}

/// One set of listeners per shard, all on the same addresses: the kernel spreads connections over them.
type Listeners = Vec<Vec<(TcpListener, Listener)>>;

fn bind(config: &Config, shards: u16) -> Result<(SocketAddr, Listeners), RunError> {
    let mut sets: Listeners = (0..shards).map(|_| Vec::new()).collect();
    let address = bind_all(config.listen, Listener::Tls, &mut sets)?;
    if let Some(plain) = config.plain_listen {
        let address = bind_all(plain, Listener::Plain, &mut sets)?;
        info!(%address, "plain listener, for a TLS-terminating proxy");
    }
    Ok((address, sets))
}

fn bind_all(address: SocketAddr, kind: Listener, sets: &mut Listeners) -> Result<SocketAddr, RunError> {
    // Alone first: with SO_REUSEPORT a second server would silently get half of the first one's connections.
    let alone = commucat_ring::listener(address, false)?;
    let address = alone
        .local_addr()
        .map_err(RunError::system("ask for a listener's address"))?;
    drop(alone);
    for set in sets {
        set.push((commucat_ring::listener(address, true)?, kind));
    }
    Ok(address)
}

fn shard_config(config: &Config, booted: &Booted, shards: u16) -> Result<ShardConfig, RunError> {
    let mut hash_key = [0; 32];
    getrandom::fill(&mut hash_key).map_err(BootError::Entropy)?;
    Ok(ShardConfig {
        id: ShardId(0),
        shards,
        tls: Some(Arc::clone(&booted.tls)),
        noise: booted.noise.clone(),
        prologue: config.noise_prologue.as_bytes().into(),
        domain: config.domain.as_str().into(),
        device_ca: Some(DeviceCa::new(&booted.device_ca, &config.domain).public()),
        hash_key,
        policy: config.policy,
        limits: config.limits.clone(),
    })
}

fn server_info(config: &Config, booted: &Booted, authority: &Authority) -> ServerInfo {
    ServerInfo {
        domain: config.domain.clone(),
        noise: NoiseInfo::new(booted.noise.clone()),
        device_ca_public: authority.public(),
        supported_patterns: &["XK", "IK"],
        supported_versions: commucat_shard::VERSIONS,
        capabilities: commucat_shard::CAPABILITIES,
        pairing: Pairing {
            auto_approve: config.policy.auto_approve_devices,
            pairing_ttl: config.pairing.ttl.as_secs(),
            max_auto_devices: config.policy.max_auto_devices_per_user,
        },
    }
}

impl Server {
    /// Until the end. What it returns is why.
    fn serve(&self, config: &Config, happened: &Receiver<Event>) -> Result<(), RunError> {
        loop {
            match happened.recv() {
                Ok(Event::Reload) => self.reload(config),
                Ok(Event::Terminate(signal)) => {
                    info!(
                        signal,
                        "draining: no new connections, what is owed is flushed or stored"
                    );
                    return Ok(());
                }
                Ok(Event::Broken(shard, error)) => return Err(RunError::Core { shard, error }),
                // The signal thread holds a sender for as long as the process lives.
                Err(_) => return Ok(()),
            }
        }
    }

    /// Reads the Noise keys again. Those that cannot be read leave everything as it is.
    fn reload(&self, config: &Config) {
        match noise::rotated(&config.data) {
            Ok(keys) => {
                info!(noise_public = %keys.current.public(), grace = keys.previous.is_some(), "the Noise keys were read again");
                self.info.noise.set(keys.clone());
                self.rest.block_on(self.commands.tell(&Command::Keys(keys)));
            }
            Err(error) => warn!(%error, "the Noise keys stay as they are"),
        }
    }

    /// Drains, stops the shards, then the store.
    fn end(self, outcome: Result<(), RunError>, config: &Config, happened: &Receiver<Event>) -> Result<(), RunError> {
        let outcome = outcome.and_then(|()| self.drain(config.limits.drain_timeout + DRAIN_GRACE, happened));
        self.control.enter(Phase::Stopping);
        self.threads.wake_all();
        let reports = self.threads.join();
        self.rest.shutdown_background();
        self.pool.shutdown();
        for (shard, report) in reports {
            info!(
                shard = shard.0,
                turns = report.turns,
                enters = report.ring.enters,
                accepted = report.shard.accepted,
                sessions = report.shard.ready,
                delivered = report.shard.delivered,
                stored = report.shard.appended,
                sends = report.ring.sends,
                "shard ended"
            );
        }
        outcome
    }

    fn drain(&self, limit: Duration, happened: &Receiver<Event>) -> Result<(), RunError> {
        self.control.enter(Phase::Draining);
        self.threads.wake_all();
        let started = Instant::now();
        while !self.control.is_over(&self.mesh) {
            if started.elapsed() >= limit {
                warn!("the drain is given up");
                return Err(RunError::DrainTimeout(limit));
            }
            match happened.recv_timeout(DRAIN_LOOK) {
                Ok(Event::Broken(shard, error)) => return Err(RunError::Core { shard, error }),
                Ok(Event::Terminate(_) | Event::Reload)
                | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
        }
        info!(millis = started.elapsed().as_millis(), "drained");
        Ok(())
    }
}
