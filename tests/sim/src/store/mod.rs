//! The fake store behind `storage::api`: every shard has a bounded port, every device a queue in it, and each queue
//! commits and answers at its own pace. So requests about one device keep their order, and nothing else does.
//!
//! Invariant: an effect is in the model before its answer is planned; a crash keeps the model but for what nobody waits
//! for the disk with, some of what was waiting (a prefix of each queue), and no answer.

mod model;

use std::collections::{BTreeMap, VecDeque};

use commucat_proto::{DeviceId, UserId};
use commucat_storage::api::{
    AccountRequest, Completion, GroupRequest, Invitation, PairingClaim, Request, StoreError, Submission,
};

pub(crate) use model::Change;
use model::Model;

use crate::agenda::{Agenda, Event};
use crate::dice::Dice;
use crate::sabotage::Sabotage;
use crate::weather::Weather;

/// What a queue is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Device(DeviceId),
    Other(String),
}

fn subject(request: &Request) -> Subject {
    match request {
        Request::Lookup { device, .. }
        | Request::Found { device, .. }
        | Request::Append { device, .. }
        | Request::AppendOwed { device, .. }
        | Request::ReadInbox { device, .. }
        | Request::Delivered { device, .. } => Subject::Device(device.clone()),
        Request::UpdateProfile { profile } => Subject::Other(profile.id.as_str().to_owned()),
        Request::Account(request) => account_subject(request),
        Request::Group(
            GroupRequest::Create { group, .. }
            | GroupRequest::Load { group }
            | GroupRequest::Invite(Invitation { group, .. }),
        ) => Subject::Other(format!("group {group}")),
        Request::Presence(_) => Subject::Other("presence".to_owned()),
        Request::Depth | Request::Probe => Subject::Other(String::new()),
    }
}

fn account_subject(request: &AccountRequest) -> Subject {
    match request {
        AccountRequest::OpenSession { device, .. }
        | AccountRequest::JoinProfile { device, .. }
        | AccountRequest::RevokeDevice { device, .. }
        | AccountRequest::RotateKey { device, .. }
        | AccountRequest::ClaimPairing(PairingClaim { device, .. }) => Subject::Device(device.clone()),
        AccountRequest::OfferPairing(offer) => Subject::Device(offer.issuer.clone()),
        AccountRequest::FindSession { .. } => Subject::Other("sessions".to_owned()),
        AccountRequest::ListDevices { user }
        | AccountRequest::Friends { user }
        | AccountRequest::PutFriends { user, .. } => Subject::Other(user.as_str().to_owned()),
    }
}

#[derive(Default)]
struct Queue {
    shard: u16,
    waiting: VecDeque<Submission>,
    answers: VecDeque<Completion>,
}

/// The fake.
pub(crate) struct Store {
    model: Model,
    names: BTreeMap<(u16, Subject), u64>,
    queues: Vec<Queue>,
    in_port: BTreeMap<u16, usize>,
    dice: Dice,
    sabotage: Option<Sabotage>,
    era: u32,
}

impl Store {
    pub(crate) fn new(weather: &Weather, dice: Dice, sabotage: Option<Sabotage>) -> Self {
        Self {
            model: Model::new(weather.inbox),
            names: BTreeMap::new(),
            queues: Vec::new(),
            in_port: BTreeMap::new(),
            dice,
            sabotage,
            era: 0,
        }
    }

    /// A shard asks. The answer comes back at once when the port is full; nothing was taken then.
    pub(crate) fn submit(
        &mut self,
        shard: u16,
        submission: Submission,
        weather: &Weather,
        agenda: &mut Agenda,
    ) -> Option<Completion> {
        let in_port = self.in_port.entry(shard).or_default();
        if *in_port >= weather.port {
            return Some(Completion {
                ticket: submission.ticket,
                outcome: Err(StoreError::PortFull),
            });
        }
        *in_port += 1;
        let next = self.queues.len() as u64;
        let name = *self.names.entry((shard, subject(&submission.request))).or_insert(next);
        if name == next {
            self.queues.push(Queue {
                shard,
                ..Queue::default()
            });
        }
        let queue = &mut self.queues[name as usize];
        if self.sabotage == Some(Sabotage::StoreAnswersEarly) && matches!(submission.request, Request::Append { .. }) {
            return Some(self.answer_early(submission.ticket, shard));
        }
        queue.waiting.push_back(submission);
        if queue.waiting.len() == 1 {
            self.plan_commit(name, weather, agenda);
        }
        None
    }

    fn plan_commit(&mut self, queue: u64, weather: &Weather, agenda: &mut Agenda) {
        let mut delay = self.dice.skewed(weather.commit_us);
        if self.dice.happens(weather.store_stall) {
            delay += self.dice.between(1, weather.store_stall_us.max(1));
        }
        agenda.plan(delay, Event::Commit { era: self.era, queue });
    }

    /// The oldest request of a queue takes effect, or fails without one.
    pub(crate) fn commit(&mut self, queue: u64, weather: &Weather, agenda: &mut Agenda, changes: &mut Vec<Change>) {
        let Some(submission) = self.queues[queue as usize].waiting.pop_front() else {
            return;
        };
        let outcome = if self.dice.happens(weather.store_fails) {
            Err(StoreError::Unavailable("simulated failure".to_owned()))
        } else {
            self.model.apply(&submission.request, changes)
        };
        if self.sabotage == Some(Sabotage::StoreLosesRow)
            && let Request::Append { device, .. } = &submission.request
            && outcome.is_ok()
            && self.dice.below(8) == 0
        {
            self.model.lose_newest(device);
        }
        let slot = &mut self.queues[queue as usize];
        slot.answers.push_back(Completion {
            ticket: submission.ticket,
            outcome,
        });
        let more = !slot.waiting.is_empty();
        agenda.plan(
            self.dice.skewed(weather.answer_us),
            Event::Answer { era: self.era, queue },
        );
        if more {
            self.plan_commit(queue, weather, agenda);
        }
    }

    /// The oldest answer of a queue, and the shard it is for.
    pub(crate) fn answer(&mut self, queue: u64) -> Option<(u16, Completion)> {
        let slot = &mut self.queues[queue as usize];
        let completion = slot.answers.pop_front()?;
        if let Some(in_port) = self.in_port.get_mut(&slot.shard) {
            *in_port -= 1;
        }
        Some((slot.shard, completion))
    }

    /// A lie that only canary tests tell: durable, says the answer, and nothing is ever written.
    fn answer_early(&mut self, ticket: commucat_storage::api::Ticket, shard: u16) -> Completion {
        if let Some(in_port) = self.in_port.get_mut(&shard) {
            *in_port -= 1;
        }
        Completion {
            ticket,
            outcome: Ok(commucat_storage::api::Reply::Done),
        }
    }

    /// The process is gone: of what was waiting, a prefix of each queue may have been committed.
    pub(crate) fn crash(&mut self, changes: &mut Vec<Change>) {
        for queue in std::mem::take(&mut self.queues) {
            let kept = self.dice.index(queue.waiting.len() + 1);
            for submission in queue.waiting.iter().take(kept) {
                // An answer that nobody hears.
                let _ = self.model.apply(&submission.request, changes);
            }
        }
        self.model.crash(&mut self.dice);
        self.names.clear();
        self.in_port.clear();
        self.era += 1;
    }

    /// Whose device it is, when it is known.
    pub(crate) fn owner(&self, device: &DeviceId) -> Option<UserId> {
        self.model.owner(device)
    }

    /// Requests that have no answer yet.
    pub(crate) fn outstanding(&self) -> usize {
        self.in_port.values().sum()
    }

    /// What is known of whom.
    pub(crate) fn presence(&self) -> impl Iterator<Item = (&DeviceId, &str)> {
        self.model.told()
    }

    /// Every row kept: whose, and its payload.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&DeviceId, &[u8])> {
        self.model
            .rows()
            .map(|(device, envelope)| (device, &envelope.payload[..]))
    }
}
