//! A connection that comes back: a task dials, keeps the session until it ends, and dials again, with growing pauses and
//! jitter.
//!
//! Invariant: nobody waits longer than the link's patience for a session. While the server is known to be gone the
//! answer comes at once; only a dial whose outcome is open is waited for.

use std::collections::hash_map::RandomState;
use std::future::Future;
use std::hash::{BuildHasher, Hasher};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::limits::{RECONNECT_MAX_MS, RECONNECT_MIN_MS};

/// Makes sessions with one server.
pub(crate) trait Dial: Send + Sync + 'static {
    /// What a connection is used by.
    type Session: Send + Sync + 'static;

    /// Who is dialed, for the log.
    fn name(&self) -> &'static str;

    /// Connects; has a time limit of its own.
    fn dial(&self) -> impl Future<Output = Result<Dialed<Self::Session>, String>> + Send;
}

/// A new session, and what ends when its connection does.
pub(crate) struct Dialed<S> {
    pub(crate) session: S,
    pub(crate) ended: Pin<Box<dyn Future<Output = ()> + Send>>,
}

enum State<S> {
    /// The outcome is open.
    Dialing,
    Up(Arc<S>),
    /// Why; the link goes on trying.
    Down(Arc<str>),
}

/// One connection to a server.
pub(crate) struct Link<D: Dial> {
    dial: Arc<D>,
    state: watch::Sender<State<D::Session>>,
    /// Started by the first who asks: there is no runtime before.
    task: Mutex<Option<JoinHandle<()>>>,
    patience: Duration,
    /// Of several links to one server, one speaks for all.
    loud: bool,
}

impl<D: Dial> Link<D> {
    pub(crate) fn new(dial: Arc<D>, patience: Duration, loud: bool) -> Self {
        Self {
            dial,
            state: watch::Sender::new(State::Dialing),
            task: Mutex::new(None),
            patience,
            loud,
        }
    }

    /// A session, or why there is none.
    pub(crate) async fn session(&self) -> Result<Arc<D::Session>, String> {
        self.start();
        let mut state = self.state.subscribe();
        let settled = state.wait_for(|state| !matches!(state, State::Dialing));
        match tokio::time::timeout(self.patience, settled).await {
            Ok(Ok(settled)) => match &*settled {
                State::Up(session) => Ok(Arc::clone(session)),
                State::Down(why) => Err(why.to_string()),
                State::Dialing => Err(self.silent()),
            },
            Ok(Err(_)) | Err(_) => Err(self.silent()),
        }
    }

    /// The session, when there is one right now.
    pub(crate) fn up(&self) -> Option<Arc<D::Session>> {
        self.start();
        match &*self.state.borrow() {
            State::Up(session) => Some(Arc::clone(session)),
            State::Dialing | State::Down(_) => None,
        }
    }

    /// `session` is of no use any more: its connection is closed and another one dialed.
    pub(crate) fn give_up(&self, session: &Arc<D::Session>) {
        self.state.send_if_modified(|state| {
            let same = matches!(state, State::Up(current) if Arc::ptr_eq(current, session));
            if same {
                *state = State::Dialing;
            }
            same
        });
    }

    fn silent(&self) -> String {
        format!("{} does not answer", self.dial.name())
    }

    fn start(&self) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if task.is_none() {
            let keeper = Keeper {
                dial: Arc::clone(&self.dial),
                state: self.state.clone(),
                loud: self.loud,
            };
            *task = Some(tokio::spawn(keeper.run()));
        }
    }
}

impl<D: Dial> Drop for Link<D> {
    fn drop(&mut self) {
        let task = self.task.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = task.take() {
            task.abort();
        }
    }
}

struct Keeper<D: Dial> {
    dial: Arc<D>,
    state: watch::Sender<State<D::Session>>,
    loud: bool,
}

impl<D: Dial> Keeper<D> {
    async fn run(self) {
        let (mut failures, mut gone_since) = (0_u32, None);
        loop {
            match self.dial.dial().await {
                Ok(Dialed { session, ended }) => {
                    self.came_back(failures, gone_since.take());
                    let since = Instant::now();
                    self.keep(Arc::new(session), ended).await;
                    gone_since = Some(Instant::now());
                    // A server that takes connections and drops them at once is not to be hammered either.
                    if since.elapsed() > Duration::from_millis(RECONNECT_MAX_MS) {
                        failures = 0;
                        continue;
                    }
                    failures += 1;
                    if failures == 1 {
                        continue;
                    }
                }
                Err(why) => {
                    failures = failures.saturating_add(1);
                    let since = *gone_since.get_or_insert_with(Instant::now);
                    self.failed(&why, failures, since);
                    self.state.send_replace(State::Down(why.into()));
                }
            }
            tokio::time::sleep(pause(failures)).await;
        }
    }

    async fn keep(&self, session: Arc<D::Session>, ended: Pin<Box<dyn Future<Output = ()> + Send>>) {
        let mut state = self.state.subscribe();
        self.state.send_replace(State::Up(session));
        tokio::select! {
            () = ended => {}
            _ = state.wait_for(|state| !matches!(state, State::Up(_))) => {}
        }
        self.state.send_replace(State::Dialing);
        if self.loud {
            tracing::warn!(server = self.dial.name(), "the connection is lost");
        }
    }

    fn came_back(&self, failures: u32, gone_since: Option<Instant>) {
        if self.loud
            && let Some(since) = gone_since
        {
            let seconds = since.elapsed().as_secs_f32();
            tracing::info!(server = self.dial.name(), failures, seconds, "connected again");
        }
    }

    fn failed(&self, why: &str, failures: u32, since: Instant) {
        // The first, and then ever more rarely: an outage of hours is a few dozen lines.
        if self.loud && failures.is_power_of_two() {
            let seconds = since.elapsed().as_secs_f32();
            tracing::warn!(
                server = self.dial.name(),
                why,
                failures,
                seconds,
                "cannot connect, trying again"
            );
        }
    }
}

/// Doubles with each failure up to a bound; a random half of it is left out, so that many relays do not come back in step.
fn pause(failures: u32) -> Duration {
    let full = RECONNECT_MIN_MS
        .saturating_mul(1 << failures.saturating_sub(1).min(16))
        .min(RECONNECT_MAX_MS);
    let chance = RandomState::new().build_hasher().finish();
    Duration::from_millis(full - chance % (full / 2 + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_bound_and_differ() {
        for failures in 1..40 {
            let longest = RECONNECT_MAX_MS.min(RECONNECT_MIN_MS << (failures - 1).min(16));
            for _ in 0..20 {
                let millis = u64::try_from(pause(failures).as_millis()).unwrap();
                assert!((longest / 2..=longest).contains(&millis), "{failures}: {millis}");
            }
        }
        let some: std::collections::HashSet<_> = (0..20).map(|_| pause(12)).collect();
        assert!(some.len() > 1, "no jitter");
    }
}
