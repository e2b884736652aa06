//! Well-behaved pairs that talk while others misbehave, and must notice nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::people::{Device, PATIENCE, Peer, WAYS};
use crate::relay::Relay;

/// So many that both shards carry some of them, and some cross from one to the other.
const PAIRS: usize = 6;
const CHANNEL: u32 = 1;

/// They talk until they are told to stop: one asks, the other answers, every word is checked on arrival.
#[derive(Debug)]
pub struct Bystanders {
    stop: Arc<AtomicBool>,
    rounds: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Bystanders {
    /// Brings them in, and lets them begin.
    #[must_use]
    pub fn start(relay: &Relay) -> Self {
        let mut pairs: Vec<_> = (0..PAIRS).map(|index| Pair::connect(relay, index)).collect();
        let (stop, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (told, done) = (Arc::clone(&stop), Arc::clone(&rounds));
        let thread = std::thread::spawn(move || {
            while !told.load(Ordering::Acquire) {
                let round = done.load(Ordering::Acquire);
                pairs.iter_mut().for_each(|pair| pair.exchange(round));
                done.store(round + 1, Ordering::Release);
                // They are witnesses, not load.
                std::thread::sleep(Duration::from_millis(2));
            }
            for Pair { asks, answers } in pairs {
                assert!(asks.bye().is_empty() && answers.bye().is_empty(), "a word too many");
            }
        });
        let mut bystanders = Self {
            stop,
            rounds,
            thread: Some(thread),
        };
        bystanders.go_on();
        bystanders
    }

    /// Waits until every pair has talked on from here.
    ///
    /// # Panics
    /// When one of them has noticed something.
    pub fn go_on(&mut self) {
        let (from, started) = (self.rounds.load(Ordering::Acquire), Instant::now());
        while self.rounds.load(Ordering::Acquire) < from + 3 {
            if self.thread.as_ref().is_none_or(JoinHandle::is_finished) {
                self.join();
            }
            assert!(started.elapsed() < PATIENCE, "bystanders are not served any more");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Says goodbye: all that was said has been heard, once and in order.
    pub fn stop(mut self) {
        self.go_on();
        self.stop.store(true, Ordering::Release);
        self.join();
    }

    fn join(&mut self) {
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
    }
}

impl Drop for Bystanders {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

struct Pair {
    asks: Peer,
    answers: Peer,
}

impl Pair {
    fn connect(relay: &Relay, index: usize) -> Self {
        let [asks, answers] = ["asks", "answers"].map(|role| Device::new(&format!("bystander-{role}-{index}")));
        let mut pair = Self {
            asks: asks.connect(relay, WAYS[index % 4]),
            answers: answers.connect(relay, WAYS[index / 2 % 4]),
        };
        pair.asks.join(CHANNEL, [&answers]);
        pair.answers.join(CHANNEL, [&asks]);
        pair
    }

    fn exchange(&mut self, round: u64) {
        let Self { asks, answers } = self;
        tell(asks, answers, &format!("question {round}"));
        tell(answers, asks, &format!("answer {round}"));
    }
}

fn tell(from: &mut Peer, to: &mut Peer, word: &str) {
    from.say(CHANNEL, word);
    to.hears(word);
}
