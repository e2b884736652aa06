//! The second phase: the faults stop, and the relay must come to rest with every debt paid, then with nothing at all.

use super::World;
use crate::check::Violation;
use crate::fact::Fact;
use crate::ids::DeviceNo;
use crate::people::Mood;

/// Nothing but idle deadlines for so long is rest; every time limit of the relay is shorter.
const REST_US: u64 = 120_000_000;

/// Events that healing may take, for each step of the first phase and at least.
const PATIENCE: (u64, u64) = (100, 1_000_000);

impl World {
    /// Heals everything and looks.
    pub(super) fn heal(&mut self) -> Result<(), Violation> {
        self.ground.note(|| "everything heals".to_owned());
        self.ground.weather = self.ground.weather.healed();
        self.everybody(Mood::Listening, "after healing")?;
        self.ground.fact(&Fact::Healed)?;
        self.speak("after everybody spoke again")?;
        self.everybody_leaves()?;
        // Some come back and talk to those who are away, then the others come for what waits.
        self.everybody(Mood::HalfListening, "with half of the people")?;
        self.speak("after half of the people spoke")?;
        self.everybody(Mood::Listening, "with everybody again")?;
        self.inboxes_empty()?;
        let people = self
            .store
            .presence()
            .filter_map(|(device, _)| DeviceNo::from_name(device.as_str()));
        let there: Vec<DeviceNo> = people.filter(|no| self.people.listens(*no)).collect();
        self.presence_told(&there, "with everybody again")?;
        self.ground.checkers.finish()?;
        self.everybody_leaves()?;
        self.presence_told(&there, "with nobody left")
    }

    /// Nothing has failed since these came: the store knows whether they are there. Of somebody who went while the store
    /// failed it may still believe the contrary, until the entry expires.
    fn presence_told(&self, people: &[DeviceNo], when: &str) -> Result<(), Violation> {
        for (device, state) in self.store.presence() {
            let Some(no) = DeviceNo::from_name(device.as_str()).filter(|no| people.contains(no)) else {
                continue;
            };
            let there = self.people.listens(no);
            if there == (state == "offline") {
                let text = format!("{when}: {no} is there: {there}, and its presence is {state}");
                return Err(Violation::new("presence", text));
            }
        }
        Ok(())
    }

    fn everybody(&mut self, mood: Mood, when: &str) -> Result<(), Violation> {
        self.people.all_become(mood, &mut self.ground);
        self.rest()?;
        self.settled(when)?;
        self.audit()
    }

    fn speak(&mut self, when: &str) -> Result<(), Violation> {
        self.people.all_speak(&mut self.ground)?;
        self.rest()?;
        self.settled(when)?;
        self.audit()
    }

    fn everybody_leaves(&mut self) -> Result<(), Violation> {
        self.people.all_become(Mood::Leaving, &mut self.ground);
        self.rest()?;
        self.nothing_left()
    }

    /// What was delivered is deleted, and nothing else is there.
    fn inboxes_empty(&self) -> Result<(), Violation> {
        for (device, payload) in self.store.rows() {
            if DeviceNo::from_name(device.as_str()).is_some_and(|no| self.people.listens(no)) {
                let frame = crate::ids::unmark(payload).map_or("a frame".to_owned(), |(key, _)| key.to_string());
                let text = format!(
                    "{} has everything, and {frame} still lies in its inbox",
                    device.as_str()
                );
                return Err(Violation::new("rest", text));
            }
        }
        Ok(())
    }

    fn rest(&mut self) -> Result<(), Violation> {
        let until = self.steps + PATIENCE.1.max(self.options.steps * PATIENCE.0);
        self.moved_at = self.ground.agenda.now();
        while self
            .ground
            .agenda
            .next_at()
            .is_some_and(|at| at <= self.moved_at + REST_US)
        {
            if self.steps > until {
                return Err(Violation::new(
                    "rest",
                    "the relay does not come to rest when nothing fails any more",
                ));
            }
            self.step()?;
        }
        Ok(())
    }

    /// Nobody waits for anything.
    fn settled(&self, when: &str) -> Result<(), Violation> {
        let complaint = |what: String| Err(Violation::new("rest", format!("{when}: {what}")));
        if self.draining {
            return complaint("the relay was asked to end and has not".to_owned());
        }
        if let Some(what) = self.people.unfinished() {
            return complaint(what);
        }
        if self.store.outstanding() + self.mesh.on_the_way() > 0 {
            return complaint("the store or a lane still holds something".to_owned());
        }
        for (device, payload) in self.store.rows() {
            let person = DeviceNo::from_name(device.as_str()).filter(|no| self.people.listens(*no));
            if let (Some(person), Some((key, _))) = (person, crate::ids::unmark(payload))
                && self.ground.checkers.unsent(person, key)
            {
                return complaint(format!("{person} listens, and {key} lies in its inbox"));
            }
        }
        for (shard, core) in self.cores.iter().enumerate() {
            let gauges = core.shard.gauges();
            let held = gauges.outbox_bytes + gauges.inflight_bytes + gauges.unacked + gauges.unparsed_bytes;
            if held + gauges.store_waiting > 0 {
                return complaint(format!("shard {shard} still holds something: {gauges:?}"));
            }
        }
        Ok(())
    }

    /// Everybody has left.
    fn nothing_left(&mut self) -> Result<(), Violation> {
        let open = self.ground.ring.open() + self.people.connected();
        if open > 0 {
            return Err(Violation::new(
                "rest",
                format!("everybody has left, and {open} connections are open"),
            ));
        }
        for (shard, core) in self.cores.iter().enumerate() {
            self.ground.checkers.empty(shard as u16, &core.shard.gauges())?;
        }
        Ok(())
    }
}
