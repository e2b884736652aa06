//! `loadgen chat`: two people, one line at a time.
//!
//! ```text
//!  keyboard ─► Input ──► Conversation ──► blocking::Client ──► relay
//!                        (what waits)                          (keeps lines for whoever is away)
//!  screen  ◄──────────── Notice        ◄─────────────────────
//! ```
//!
//! What the other says goes to standard output, everything else to standard error. A lost connection is opened again, and
//! what was not acknowledged is sent again.

mod conversation;
mod envelope;
mod input;

use std::io::Write;
use std::time::{Duration, Instant};

use commucat_client::blocking::{Client, DriverError};
use commucat_client::keys;
use commucat_client::{Connection, Incoming, OsEntropy, StaticKey};
use commucat_proto::Title;
use commucat_proto::control::Problem;

use crate::cli::{Chat, Offer};
use crate::engine::plan::random;
use crate::error::LoadError;
use crate::limits::{CHAT_RETRY, CHAT_WAITING, RECONNECT, RECONNECT_MAX};
use crate::target::Target;
use conversation::{Conversation, Notice};
use input::Input;

/// Nothing in particular is due: any long time will do, since the keyboard and the relay both end the wait.
const LONG: Duration = Duration::from_secs(3600);

/// Talks until the input ends, enough was received, or the time is up.
pub(crate) fn chat(arguments: &Chat) -> Result<(), LoadError> {
    if arguments.device == arguments.to {
        return Err(LoadError::Argument("--to names the same device as --device".to_owned()));
    }
    let key = keys::load_or_make(&arguments.keys, &arguments.device, &mut OsEntropy)?;
    let target = Target::find(&arguments.reach).map_err(first_contact)?;
    let input = if arguments.message.is_empty() {
        Input::read(std::io::stdin())
    } else {
        Input::of(&arguments.message)
    };
    let now = Instant::now();
    let seconds = |seconds: f64| Duration::from_secs_f64(seconds.clamp(0.0, 1e9));
    let mut talk = Talk {
        arguments,
        key,
        target,
        input,
        conversation: Conversation::new(arguments.device.clone(), arguments.to.clone(), random()),
        received: 0,
        deadline: arguments.timeout.map(|limit| now + seconds(limit)),
        linger: seconds(arguments.linger),
        quiet_since: None,
        retry_at: None,
    };
    talk.run()
}

/// The first failure of all is most often that nobody is there.
fn first_contact(error: LoadError) -> LoadError {
    match error {
        LoadError::Driver(DriverError::Io {
            doing: "connect to", ..
        }) => LoadError::GaveUp(format!(
            "{error}\nIs the relay running? cargo run --release --bin commucat-server starts one."
        )),
        other => other,
    }
}

/// Why a session ended.
enum Outcome {
    /// Everything was said.
    Done,
    /// The connection went; another may do.
    Lost(String),
}

struct Talk<'a> {
    arguments: &'a Chat,
    key: StaticKey,
    target: Target,
    input: Input,
    conversation: Conversation,
    received: u64,
    deadline: Option<Instant>,
    linger: Duration,
    /// Since when there is nothing left to do but to linger.
    quiet_since: Option<Instant>,
    /// When what was rejected is sent again.
    retry_at: Option<Instant>,
}

impl Talk<'_> {
    fn run(&mut self) -> Result<(), LoadError> {
        let mut pause = RECONNECT;
        let mut met = false;
        loop {
            let why = match self.connect() {
                Ok(client) => {
                    (pause, met) = (RECONNECT, true);
                    match self.session(client)? {
                        Outcome::Done => return self.farewell(),
                        Outcome::Lost(why) => why,
                    }
                }
                // Somebody who was never there will hardly come by waiting.
                Err(error) if !met => return Err(first_contact(error)),
                Err(error) => error.to_string(),
            };
            let wait = pause.mul_f64(0.75 + (random() % 512) as f64 / 1024.0);
            tell(&format!(
                "connection lost ({why}); trying again in {:.1} s",
                wait.as_secs_f64()
            ));
            std::thread::sleep(wait);
            self.check_deadline()?;
            pause = (pause * 2).min(RECONNECT_MAX);
        }
    }

    fn connect(&mut self) -> Result<Client, LoadError> {
        let mut config = self.target.config(self.arguments.device.clone(), self.key.clone());
        config.capabilities = Offer::EVERYTHING.capabilities();
        let connected = Client::connect(&self.target.endpoint, &self.target.options, config);
        if let Err(DriverError::Refused { what, .. }) = &connected
            && let Incoming::Problem(problem) = what.as_ref()
            && is_final(problem)
        {
            return Err(self.refused(problem));
        }
        let mut client = connected?;
        self.input.wake(client.waker()?);
        self.conversation.connected(client.connection())?;
        let Self { arguments, target, .. } = self;
        tell(&format!(
            "connected to {} as {}, talking to {}",
            target.endpoint, arguments.device, arguments.to
        ));
        Ok(client)
    }

    /// One session, from its first line to its end.
    fn session(&mut self, mut client: Client) -> Result<Outcome, LoadError> {
        loop {
            while self.conversation.waiting() < CHAT_WAITING
                && let Some(text) = self.input.next()
            {
                self.conversation.say(&text, Some(client.connection()))?;
            }
            if self.is_done() {
                // What we acknowledged to the relay has to reach it, or the line comes again next time.
                let flushed = client.flush(self.target.options.timeout).is_ok();
                let _ = client.close();
                return Ok(if flushed {
                    Outcome::Done
                } else {
                    Outcome::Lost("while taking leave".to_owned())
                });
            }
            self.check_deadline()?;
            self.retry(client.connection())?;
            match client.recv(self.patience()) {
                Ok(Some(Incoming::Problem(problem))) if is_final(&problem) => return Err(self.refused(&problem)),
                Ok(Some(event @ (Incoming::Problem(_) | Incoming::Ended { .. }))) => {
                    return Ok(Outcome::Lost(event.to_string()));
                }
                Ok(Some(event)) => {
                    for notice in self.conversation.event(event, client.connection())? {
                        self.show(notice)?;
                    }
                }
                Ok(None) => {}
                Err(error) => return Ok(Outcome::Lost(error.to_string())),
            }
        }
    }

    fn is_done(&mut self) -> bool {
        if self.conversation.undecided() > 0 {
            self.quiet_since = None;
            return false;
        }
        if let Some(wanted) = self.arguments.receive {
            return self.received >= wanted;
        }
        if !self.input.has_ended() {
            return false;
        }
        self.quiet_since.get_or_insert_with(Instant::now).elapsed() >= self.linger
    }

    /// Sends again, now and then, what the relay could not keep: the reader may have come, his inbox may have room.
    fn retry(&mut self, connection: &mut Connection) -> Result<(), LoadError> {
        if self.conversation.waiting() == self.conversation.undecided() {
            self.retry_at = None;
        } else if *self.retry_at.get_or_insert_with(|| Instant::now() + CHAT_RETRY) <= Instant::now() {
            self.retry_at = None;
            self.conversation.send_waiting(connection)?;
        }
        Ok(())
    }

    /// How long nothing will be due.
    fn patience(&self) -> Duration {
        let now = Instant::now();
        let linger = self.quiet_since.map(|since| since + self.linger);
        [linger, self.deadline, self.retry_at]
            .into_iter()
            .flatten()
            .map(|moment| moment.saturating_duration_since(now))
            .min()
            .unwrap_or(LONG)
    }

    fn check_deadline(&self) -> Result<(), LoadError> {
        if self.deadline.is_none_or(|deadline| Instant::now() < deadline) {
            return Ok(());
        }
        let (waiting, received) = (self.conversation.waiting(), self.received);
        Err(LoadError::GaveUp(format!(
            "time is up: {received} lines received, {waiting} of ours not acknowledged"
        )))
    }

    fn show(&mut self, notice: Notice) -> Result<(), LoadError> {
        match notice {
            Notice::Said { who, text } => {
                self.received += 1;
                let mut screen = std::io::stdout().lock();
                writeln!(screen, "{who}: {text}")
                    .and_then(|()| screen.flush())
                    .map_err(|source| LoadError::Io {
                        doing: "write to standard output",
                        source,
                    })?;
            }
            Notice::Acknowledged { line } => tell(&format!("line {line} acknowledged")),
            Notice::Rejected { line, why } => {
                let peer = &self.arguments.to;
                let meaning = match why.as_str() {
                    "unknown" => format!("the relay has never seen {peer} and keeps nothing for strangers"),
                    _ => format!("the relay could not keep it for {peer}"),
                };
                tell(&format!(
                    "line {line} rejected: {why} ({meaning}); it is sent again while this chat is open"
                ));
            }
            Notice::Presence { who, state } => tell(&format!("{who} is {state}")),
        }
        Ok(())
    }

    /// The end, with what was left unsaid.
    fn farewell(&self) -> Result<(), LoadError> {
        match self.conversation.waiting() {
            0 => Ok(()),
            count => Err(LoadError::GaveUp(format!("{count} lines were rejected by the relay"))),
        }
    }

    fn refused(&self, problem: &Problem) -> LoadError {
        let mut why = format!("{} ({}): {}", problem.title, problem.status, problem.detail);
        match problem.known() {
            Some(Title::HandshakeFailed) => why.push_str(&format!(
                "\nThe relay knows this device by another key. Use the --keys directory it was first used with \
                 (now {}), or another --device name.",
                self.arguments.keys.display()
            )),
            Some(Title::SessionReplaced) => why.push_str("\nThe same device connected from somewhere else."),
            _ => {}
        }
        LoadError::Refused {
            device: self.arguments.device.to_string(),
            why,
        }
    }
}

/// Whether connecting again could only meet the same answer.
fn is_final(problem: &Problem) -> bool {
    matches!(
        problem.known(),
        Some(
            Title::HandshakeFailed
                | Title::PairingRequired
                | Title::UnknownUser
                | Title::HandleTaken
                | Title::ProtocolVersionMismatch
                | Title::SessionReplaced
                | Title::DeviceRevoked
                | Title::NotJoined
        )
    )
}

/// Says something that is not part of the conversation.
fn tell(text: &str) {
    eprintln!("· {text}");
}
