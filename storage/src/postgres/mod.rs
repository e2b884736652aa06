//! The store of two servers: PostgreSQL for what must survive, Redis for presence.
//!
//! | table | holds |
//! |---|---|
//! | `user_profile`, `device`, `device_key_event` | who there is, and the audit of keys |
//! | `session`, `pairing_code`, `friend` | bearer sessions (hashes), pairing codes, lists of friends |
//! | `chat_group`, `group_member` | groups |
//! | `relay_queue`, `inbox`, `inbox_offset` | frames for absent devices, the counters of their inboxes, what was delivered |
//! | `federation_peer`, `idempotency` | federation |
//! | `schema_version`, `probe` | this server's own |
//!
//! A batch becomes at most one transaction on `people`'s connection and one per lane of inboxes, each lane being all the
//! requests of some devices; lanes run side by side. An answer is given after the COMMIT of what it is about. A request
//! that the database will not have (a value, a race between two relays) fails alone: the others of its transaction are
//! carried out without it.
//!
//! While PostgreSQL is gone every answer is [`StoreError::Unavailable`], at once; a server that stopped answering is
//! noticed after [`Options::timeout`]. Connections come back by themselves.
//!
//! Read in this order: `schema`, `session` (one connection), `batch` (who runs where), `inbox`, `people`, `accounts`,
//! `groups`, `upkeep`.

mod accounts;
mod batch;
mod error;
mod groups;
mod inbox;
mod people;
mod pipeline;
mod schema;
mod session;
mod upkeep;
mod values;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::timeout;

pub use crate::remote::Address;
pub use error::OpenError;
pub use schema::Migrated;

use crate::api::{InboxLimits, Reply, Request, StoreError, Wall};
use crate::limits::{DEPTH_STEPS, SWEEP_STEPS};
use crate::redis::Presence;
use crate::remote::Link;
use crate::store::Store;
use batch::Plan;
use error::{Remedy, describe, remedy};
use session::{Dialer, Session};

type Answer = Result<Reply, StoreError>;
/// Answers with their requests' places in the batch.
type Answers = Vec<(usize, Answer)>;

/// What an operator can set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// `postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=require`. Without `sslmode`, TLS is required unless the host is
    /// this one. A certificate that is shown is always verified.
    pub postgres: Address,
    /// Vouches for PostgreSQL's certificate; the system's authorities when absent.
    pub postgres_ca: Option<PathBuf>,
    /// `rediss://USER:PASSWORD@HOST:PORT/NUMBER`, or `redis://` without TLS.
    pub redis: Address,
    /// Vouches for Redis' certificate; the system's authorities when absent.
    pub redis_ca: Option<PathBuf>,
    /// Connections to PostgreSQL, at least 2.
    pub connections: usize,
    /// How long PostgreSQL may take for a batch.
    pub timeout: Duration,
    /// How long a connection may take to be ready.
    pub connect_timeout: Duration,
    /// What one inbox may hold.
    pub inbox: InboxLimits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            postgres: Address::default(),
            postgres_ca: None,
            redis: Address::default(),
            redis_ca: None,
            connections: 4,
            timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(2),
            inbox: InboxLimits::default(),
        }
    }
}

/// PostgreSQL and Redis as one store.
pub struct PostgresStore {
    people: Link<Dialer>,
    inboxes: Vec<Link<Dialer>>,
    presence: Presence,
    options: Options,
    /// One batch at a time: a connection carries one transaction.
    turn: tokio::sync::Mutex<()>,
    kept: Mutex<Kept>,
}

/// What upkeep knows from one step to the next.
#[derive(Default)]
struct Kept {
    /// Steps so far.
    step: u64,
    /// The next step that looks for what has expired.
    sweep_at: u64,
    /// The depth of all inboxes, until this step.
    depth: Option<(u64, Reply)>,
}

/// Brings the schema to this server's version. Several servers may do so at once.
///
/// # Errors
/// [`OpenError`]; then nothing was changed.
pub async fn migrate(options: &Options) -> Result<Migrated, OpenError> {
    let dialer = Dialer::of(options)?;
    // A migration takes as long as it takes: no time limit but that of the connection.
    let (client, _driver) = dialer.open().await?;
    schema::migrate(&client).await
}

/// Whether PostgreSQL answers and its schema is this server's.
///
/// # Errors
/// [`OpenError`] says what is not.
pub async fn check(options: &Options) -> Result<(), OpenError> {
    let dialer = Dialer::of(options)?;
    let (client, _driver) = dialer.open().await?;
    schema::check(&client).await
}

impl PostgresStore {
    /// The store; it connects when it is first asked, on the runtime of who asks.
    ///
    /// # Errors
    /// An address or an authority cannot be used.
    pub fn new(options: Options) -> Result<Self, OpenError> {
        let dialer = Arc::new(Dialer::of(&options)?);
        // A dial that succeeds may be followed by preparing statements.
        let patience = options.connect_timeout;
        let link = |loud| Link::new(Arc::clone(&dialer), patience, loud);
        let presence = Presence::new(&options.redis, options.redis_ca.as_ref()).map_err(OpenError::Configuration)?;
        Ok(Self {
            people: link(true),
            inboxes: (1..options.connections.max(2)).map(|_| link(false)).collect(),
            presence,
            options,
            turn: tokio::sync::Mutex::new(()),
            kept: Mutex::default(),
        })
    }

    /// Connections for inboxes that are up; waits for one when none is.
    async fn lanes(&self) -> Result<Vec<Lane<'_>>, String> {
        let lane = |link| move |session| Lane { link, session };
        let up: Vec<Lane<'_>> = self
            .inboxes
            .iter()
            .filter_map(|link| link.up().map(lane(link)))
            .collect();
        if !up.is_empty() {
            return Ok(up);
        }
        let Some(first) = self.inboxes.first() else {
            return Err("no connections".to_owned());
        };
        first.session().await.map(|session| vec![lane(first)(session)])
    }

    async fn carry_out(&self, batch: &[Request], plan: &Plan) -> Answers {
        let mut answers = Answers::new();
        for part in &plan.parts {
            let people = self.people_of(batch, &part.people);
            let inboxes = self.inboxes_of(batch, &part.inboxes);
            // An inbox is there, or gone, before anything is asked of it.
            let (some, others) = if part.people_first {
                (people.await, inboxes.await)
            } else {
                tokio::join!(people, inboxes)
            };
            answers.extend(some);
            answers.extend(others);
        }
        answers.extend(self.depth_of(&plan.depth).await);
        answers
    }

    async fn people_of(&self, batch: &[Request], places: &[usize]) -> Answers {
        if places.is_empty() {
            return Answers::new();
        }
        match self.people.session().await {
            Ok(session) => {
                let lane = Lane {
                    link: &self.people,
                    session,
                };
                let work = |some: &[usize]| {
                    let places = some.to_vec();
                    let session = Arc::clone(&lane.session);
                    async move { people::carry_out(&session, batch, &places).await }
                };
                lane.work_through(places, self.options.timeout, work).await
            }
            Err(why) => refuse(places, &why),
        }
    }

    async fn inboxes_of(&self, batch: &[Request], places: &[usize]) -> Answers {
        if places.is_empty() {
            return Answers::new();
        }
        let lanes = match self.lanes().await {
            Ok(lanes) => lanes,
            Err(why) => return refuse(places, &why),
        };
        let shares = batch::shares(batch, places, lanes.len());
        let limits = &self.options.inbox;
        let timeout = self.options.timeout;
        let works = lanes.iter().zip(&shares).map(|(lane, share)| {
            let work = move |some: &[usize]| {
                let places = some.to_vec();
                let session = Arc::clone(&lane.session);
                async move { inbox::carry_out(&session, batch, &places, limits).await }
            };
            lane.work_through(share, timeout, work)
        });
        pipeline::all(works.collect()).await.into_iter().flatten().collect()
    }

    async fn depth_of(&self, places: &[usize]) -> Answers {
        if places.is_empty() {
            return Answers::new();
        }
        let answer = self.depth().await;
        places.iter().map(|place| (*place, answer.clone())).collect()
    }

    /// Repeats its last answer for a while: the whole of it has to be added up.
    async fn depth(&self) -> Answer {
        let kept = lock(&self.kept).depth.clone();
        if let Some((_, reply)) = kept {
            return Ok(reply);
        }
        let session = self.people.session().await.map_err(StoreError::Unavailable)?;
        let asked = timeout(self.options.timeout, session.client.query_one(&session.sql.depth, &[]));
        let row = match asked.await {
            Ok(Ok(row)) => row,
            Ok(Err(error)) => return Err(StoreError::Unavailable(describe(&error))),
            Err(_) => {
                self.people.give_up(&session);
                return Err(StoreError::Unavailable("PostgreSQL does not answer".to_owned()));
            }
        };
        let reply = Reply::Depth {
            rows: values::unsigned(row.get(0)),
            bytes: values::unsigned(row.get(1)),
        };
        let mut kept = lock(&self.kept);
        kept.depth = Some((kept.step + DEPTH_STEPS, reply.clone()));
        Ok(reply)
    }

    async fn presence_of(&self, batch: &[Request], places: &[usize]) -> Answers {
        let requests: Vec<_> = places
            .iter()
            .filter_map(|place| match &batch[*place] {
                Request::Presence(request) => Some(request),
                _ => None,
            })
            .collect();
        let answers = self.presence.execute(&requests).await;
        places.iter().copied().zip(answers).collect()
    }

    /// Whether this step looks for what has expired.
    fn next_step(&self) -> bool {
        let mut kept = lock(&self.kept);
        kept.step += 1;
        let step = kept.step;
        kept.depth.take_if(|(until, _)| *until <= step);
        kept.sweep_at <= step
    }

    async fn sweep(&self, now: Wall) {
        // Nobody waits for this: with no connection up there is nothing to do.
        let Some(session) = self.people.up() else { return };
        match timeout(self.options.timeout, upkeep::step(&session, now)).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => {
                let mut kept = lock(&self.kept);
                kept.sweep_at = kept.step + SWEEP_STEPS;
            }
            Ok(Err(error)) => tracing::warn!(why = describe(&error), "upkeep of PostgreSQL failed"),
            Err(_) => self.people.give_up(&session),
        }
    }
}

impl Store for PostgresStore {
    async fn execute(&self, batch: Vec<Request>) -> Vec<Answer> {
        let _turn = self.turn.lock().await;
        let plan = Plan::of(&batch);
        let (durable, presence) = tokio::join!(self.carry_out(&batch, &plan), self.presence_of(&batch, &plan.presence));
        let mut answers: Vec<Option<Answer>> = batch.iter().map(|_| None).collect();
        for (place, answer) in durable.into_iter().chain(presence) {
            answers[place] = Some(answer);
        }
        let unanswered = || Err(StoreError::Unavailable("left unanswered".to_owned()));
        answers
            .into_iter()
            .map(|answer| answer.unwrap_or_else(unanswered))
            .collect()
    }

    async fn upkeep(&self, now: Wall) {
        let _turn = self.turn.lock().await;
        if self.next_step() {
            self.sweep(now).await;
        }
        self.presence.report();
    }
}

/// A session in use, and the link that gave it.
struct Lane<'a> {
    link: &'a Link<Dialer>,
    session: Arc<Session>,
}

/// How often a transaction that was in somebody's way is tried.
const ATTEMPTS: u32 = 4;

impl Lane<'_> {
    /// Carries out the requests at `places` by `work`, one transaction, within `limit`. Requests that the database will
    /// not have are found by halving, so that each fails alone.
    async fn work_through<W, F>(&self, places: &[usize], limit: Duration, work: W) -> Answers
    where
        W: Fn(&[usize]) -> F,
        F: Future<Output = Result<Answers, tokio_postgres::Error>>,
    {
        let deadline = tokio::time::Instant::now() + limit;
        let mut answers = Answers::new();
        let mut open: Vec<(&[usize], u32)> = vec![(places, 1)];
        while let Some((some, attempt)) = open.pop() {
            if some.is_empty() {
                continue;
            }
            let error = match tokio::time::timeout_at(deadline, work(some)).await {
                Ok(Ok(done)) => {
                    answers.extend(done);
                    continue;
                }
                Ok(Err(error)) => error,
                Err(_) => {
                    self.link.give_up(&self.session);
                    answers.extend(refuse(some, "PostgreSQL does not answer"));
                    open.drain(..)
                        .for_each(|(some, _)| answers.extend(refuse(some, "PostgreSQL does not answer")));
                    break;
                }
            };
            let why = describe(&error);
            let remedy = remedy(&error);
            let usable = remedy != Remedy::Reconnect && self.roll_back(deadline).await;
            match remedy {
                _ if !usable => {
                    self.link.give_up(&self.session);
                    answers.extend(refuse(some, &why));
                    open.drain(..).for_each(|(some, _)| answers.extend(refuse(some, &why)));
                }
                Remedy::Again if attempt < ATTEMPTS => open.push((some, attempt + 1)),
                Remedy::Split if some.len() > 1 => {
                    let (first, second) = some.split_at(some.len() / 2);
                    // The first half first: requests of one device keep their order.
                    open.push((second, 1));
                    open.push((first, 1));
                }
                // Two relays founded the same at once: the second look sees what the other has written.
                Remedy::Split if attempt < 2 => open.push((some, attempt + 1)),
                Remedy::Again | Remedy::Split | Remedy::Refuse | Remedy::Reconnect => {
                    tracing::warn!(why, requests = some.len(), "PostgreSQL refuses");
                    answers.extend(refuse(some, &why));
                }
            }
        }
        answers
    }

    /// Whether the session is ready for the next transaction.
    async fn roll_back(&self, deadline: tokio::time::Instant) -> bool {
        let rolled_back = self.session.client.batch_execute("ROLLBACK");
        matches!(tokio::time::timeout_at(deadline, rolled_back).await, Ok(Ok(())))
    }
}

fn refuse(places: &[usize], why: &str) -> Answers {
    let refused = |place: &usize| (*place, Err(StoreError::Unavailable(why.to_owned())));
    places.iter().map(refused).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
