//! Revocation as the REST router does it: the store first, then every shard, and only then an answer.

use std::collections::BTreeMap;

use commucat_shard::effect::Effects;
use commucat_shard::input::{Command, Input};
use commucat_storage::api::{AccountRequest, Completion, Request, Submission, Ticket};

use super::World;
use crate::agenda::Event;
use crate::check::Violation;
use crate::fact::Fact;
use crate::ids::DeviceNo;
use crate::sabotage::Sabotage;

/// Whoever gets no answer asks again.
const AGAIN_US: u64 = 500_000;

/// Revocations that the process at hand works on.
#[derive(Default)]
pub(super) struct Revocations {
    next: u64,
    /// Which device, and how many shards have not been told yet.
    open: BTreeMap<u64, (DeviceNo, u16)>,
}

impl World {
    /// Somebody asks for a device to be revoked. One that has never been here cannot be.
    pub(super) fn revoke(&mut self, device: DeviceNo) -> Result<(), Violation> {
        let Some(user) = self.store.owner(&device.id()) else {
            return Ok(());
        };
        self.ground.fact(&Fact::Revoking { device })?;
        self.people.may_be_revoked(device);
        self.tally.add("revocations", 1);
        let at = self.moment().wall;
        let device_id = device.id();
        let submission = Submission {
            ticket: Ticket(u64::from(device.0)),
            request: Request::Account(AccountRequest::RevokeDevice {
                user,
                device: device_id,
                at,
            }),
        };
        // The router has a port of its own.
        let (weather, agenda) = (&self.ground.weather, &mut self.ground.agenda);
        if let Some(refused) = self.store.submit(self.shards, submission, weather, agenda) {
            self.revocation_stored(&refused);
        }
        Ok(())
    }

    /// The store has answered the router.
    pub(super) fn revocation_stored(&mut self, completion: &Completion) {
        let device = DeviceNo(completion.ticket.0 as u16);
        if completion.outcome.is_err() {
            self.ground.agenda.plan(AGAIN_US, Event::Revoke(device));
            return;
        }
        let revocation = self.revocations.next;
        self.revocations.next += 1;
        self.revocations.open.insert(revocation, (device, self.shards));
        for shard in 0..self.shards {
            let delay = self.dice.skewed(self.ground.weather.lane_us);
            let event = Event::Command {
                era: self.era,
                shard,
                revocation,
            };
            self.ground.agenda.plan(delay, event);
        }
    }

    /// A shard is told; the last one makes the answer.
    pub(super) fn hear_command(&mut self, shard: u16, revocation: u64, effects: &mut Effects) -> Result<(), Violation> {
        let moment = self.moment();
        let Some((device, left)) = self.revocations.open.get_mut(&revocation) else {
            return Ok(());
        };
        *left -= 1;
        let (device, last) = (*device, *left == 0);
        let command = Command::Revoked { device: device.id() };
        if self.options.sabotage != Some(Sabotage::ShardsUntold) {
            let core = &mut self.cores[usize::from(shard)].shard;
            core.handle(moment, Input::Command(command), effects);
        }
        if last {
            self.revocations.open.remove(&revocation);
            self.ground.fact(&Fact::Revoked { device })?;
        }
        Ok(())
    }
}
