//! Who hears a speaker of an open channel because it names the speaker: every device that has joined the same number with
//! a roster in which the speaker is (decisions § 6).
//!
//! Every shard on which a route names a device subscribes at the device's home (see `directory`). So the home knows whom to
//! ask when the device speaks openly, and the shards that it has told know what to say from then on:
//!
//! ```text
//! JOIN of nobody ─Speaks─► home of the speaker ─Who─► every shard with a route that names it ─Names─► the speaker's shard: ACK
//!                                  └──Asked──► the speaker's shard            later JOIN ─Names─┘│
//! LEAVE, JOIN, the session's end ─Silent─► home ─Who─► those shards         LEAVE, … ─Unnames──┘
//! ```
//!
//! Invariant: what a speaker says after it has got a frame or PRESENCE from a session that names it goes to that session.
//! A question is known on the speaker's shard before any frame that came by the home; a `Names` of a shard that has been
//! told comes by the way which its frames take. Until the questions are answered, what is said openly waits.
//!
//! A JOIN that names others is not held up for this: who speaks at that moment may not know yet. A group's roster names
//! nobody in this sense.

use commucat_proto::{ChannelId, DeviceId};

use crate::Shard;
use crate::directory::{Namer, Speaks};
use crate::group::named::Named;
use crate::keys::device_key;
use crate::mesh::message::{DeviceKey, ShardId, TunnelId};
use crate::mesh::naming::{Naming, NamingMessage, Openly, Question};
use crate::session::State;
use crate::session::group::About;
use crate::session::ready::Ready;

/// The questions about a session that has spoken openly.
#[derive(Debug, Default)]
pub(crate) struct Questions {
    /// Of which the home has said that they are asked, or which have been answered, but not both.
    open: Vec<u64>,
    /// What is said openly waits for those up to this one: later ones cannot keep it back for ever.
    upto: Option<u64>,
}

impl Questions {
    fn half(&mut self, number: u64) {
        match self.open.iter().position(|open| *open == number) {
            Some(at) => {
                self.open.swap_remove(at);
            }
            None => self.open.push(number),
        }
    }

    /// Whether what is said now, or has been waiting, must wait on.
    pub(crate) fn wait(&mut self) -> bool {
        let Some(latest) = self.open.iter().copied().max() else {
            self.upto = None;
            return false;
        };
        let upto = *self.upto.get_or_insert(latest);
        let waits = self.open.iter().any(|open| *open <= upto);
        if !waits {
            self.upto = None;
        }
        waits
    }
}

impl Ready {
    /// What is known of those who name it, for this time that it speaks, or asks to speak, openly.
    fn named_mut(&mut self, openly: Openly) -> Option<&mut Named> {
        if let Some(asking) = &mut self.asking
            && let About::Open { named, .. } = &mut asking.about
            && named.openly == openly
        {
            return Some(named);
        }
        let route = self.routes.get_mut(&openly.channel)?;
        route.named_mut().filter(|named| named.openly == openly)
    }
}

impl Shard {
    pub(crate) fn naming_message(&mut self, from: ShardId, message: &NamingMessage) {
        match message {
            NamingMessage::Speaks { device, tunnel, openly } => self.home_speaks(from, *device, *tunnel, *openly),
            NamingMessage::Silent { device, channel } => self.home_silent(*device, *channel),
            NamingMessage::Asked {
                tunnel,
                openly,
                questions,
            } => self.asked_who(*tunnel, *openly, questions),
            NamingMessage::Who {
                device,
                tunnel,
                openly,
                question,
                to,
            } => {
                let speaks = Speaks {
                    to: *to,
                    tunnel: *tunnel,
                    openly: openly.clone(),
                };
                self.who_names(*device, speaks, *question);
            }
            NamingMessage::Names {
                tunnel,
                question,
                names,
            } => self.named(from, *tunnel, *question, names),
            NamingMessage::Unnames { tunnel, openly, by } => self.unnamed(*tunnel, *openly, (from, *by)),
        }
    }

    /// The home of a speaker tells where it speaks, and asks who names it here.
    fn who_names(&mut self, device: DeviceKey, speaks: Speaks, question: Option<Question>) {
        let (to, tunnel) = (speaks.to, speaks.tunnel);
        let openly = speaks.openly.clone();
        let namers = self.directory.speaks(device, speaks);
        let Some(question) = question else { return };
        let mut names = Vec::new();
        for namer in namers {
            let Namer::Route(by, channel) = namer else { continue };
            if question.only.is_some_and(|only| only != channel) {
                continue;
            }
            let Ok(at) = openly.binary_search_by_key(&channel, |it| it.channel) else {
                continue;
            };
            // A call's route names its participants in the directory, too.
            if let Some(tunnel) = self.tunnels.get_mut(by)
                && let State::Ready(ready) = &tunnel.state
                && ready
                    .routes
                    .get(&channel)
                    .is_some_and(|route| route.own_members().contains(&device))
            {
                names.push(Naming {
                    openly: openly[at],
                    by,
                    device: ready.device.clone(),
                });
            }
        }
        let names = NamingMessage::Names {
            tunnel,
            question: Some(question.number),
            names,
        };
        self.tell_naming(to, names);
    }

    /// A session's roster names these on this channel from now on.
    pub(crate) fn names_speakers(
        &mut self,
        by: TunnelId,
        device: &DeviceId,
        channel: ChannelId,
        members: impl Iterator<Item = DeviceKey>,
    ) {
        if !self.directory.has_speakers() {
            return;
        }
        for key in members {
            if let Some((to, tunnel, openly)) = self.directory.speaks_on(key, channel) {
                let device = device.clone();
                let names = NamingMessage::Names {
                    tunnel,
                    question: None,
                    names: vec![Naming { openly, by, device }],
                };
                self.tell_naming(to, names);
            }
        }
    }

    /// And no more.
    pub(crate) fn unnames_speakers(&mut self, by: TunnelId, channel: ChannelId, members: &[DeviceKey]) {
        if !self.directory.has_speakers() {
            return;
        }
        for key in members {
            if let Some((to, tunnel, openly)) = self.directory.speaks_on(*key, channel) {
                self.tell_naming(to, NamingMessage::Unnames { tunnel, openly, by });
            }
        }
    }

    /// A session asks to speak openly: who names it is found out.
    pub(crate) fn begin_to_speak(&mut self, key: DeviceKey, tunnel: TunnelId, channel: ChannelId) -> Box<Named> {
        self.open_serial = self.open_serial.wrapping_add(1);
        let serial = self.open_serial;
        let openly = Openly { channel, serial };
        let device = key;
        self.tell_naming(
            key.home(self.config.shards),
            NamingMessage::Speaks { device, tunnel, openly },
        );
        Box::new(Named::new(openly))
    }

    /// A session speaks openly there no more, or nowhere.
    pub(crate) fn falls_silent(&mut self, device: DeviceKey, channel: Option<ChannelId>) {
        self.tell_naming(
            device.home(self.config.shards),
            NamingMessage::Silent { device, channel },
        );
    }

    /// Nobody hears the session any more for naming it.
    pub(crate) fn forget_named(&mut self, id: TunnelId, named: &Named) {
        self.groups.count_out(named.members().len());
        self.unname(named.members(), Namer::Route(id, named.openly.channel));
    }

    fn asked_who(&mut self, id: TunnelId, openly: Option<Openly>, questions: &[u64]) {
        let Some(tunnel) = self.tunnels.get_mut(id) else { return };
        let State::Ready(ready) = &mut tunnel.state else { return };
        let known = ready.questions.get_or_insert_default();
        questions.iter().for_each(|number| known.half(*number));
        if let Some(asking) = &mut ready.asking
            && let About::Open { named, asked, .. } = &mut asking.about
            && Some(named.openly) == openly
        {
            *asked = true;
        }
        if tunnel.stalled.is_some() {
            self.wakes.push(id);
        }
    }

    fn named(&mut self, from: ShardId, id: TunnelId, question: Option<u64>, names: &[Naming]) {
        for naming in names {
            self.name_speaker(from, id, naming);
        }
        if let Some(number) = question
            && let Some(tunnel) = self.tunnels.get_mut(id)
            && let State::Ready(ready) = &mut tunnel.state
        {
            ready.questions.get_or_insert_default().half(number);
            if tunnel.stalled.is_some() {
                self.wakes.push(id);
            }
        }
    }

    fn name_speaker(&mut self, from: ShardId, id: TunnelId, naming: &Naming) {
        let key = device_key(&self.config.hash_key, &naming.device);
        let (limit, by) = (self.config.limits.open_roster, (from, naming.by));
        let room = self.room_for(1);
        let Some(tunnel) = self.tunnels.get_mut(id) else { return };
        let State::Ready(ready) = &mut tunnel.state else { return };
        let own = ready.key;
        let Some(named) = ready.named_mut(naming.openly) else {
            return;
        };
        if key == own || named.has_session(by) {
            return;
        }
        if named.sessions() >= limit || !room {
            self.counters.open_unheard += 1;
            return;
        }
        self.counters.open_named += 1;
        if named.add(by, key) {
            self.groups.count_in();
            let by = Namer::Route(id, naming.openly.channel);
            self.name(&[(key, naming.device.clone())], by);
        }
    }

    fn unnamed(&mut self, id: TunnelId, openly: Openly, by: (ShardId, TunnelId)) {
        let Some(tunnel) = self.tunnels.get_mut(id) else { return };
        let State::Ready(ready) = &mut tunnel.state else { return };
        let gone = ready.named_mut(openly).and_then(|named| named.remove(by));
        if let Some(key) = gone {
            self.groups.count_out(1);
            self.unname(&[key], Namer::Route(id, openly.channel));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_waits_for_the_questions_of_its_time_and_not_for_later_ones() {
        let mut questions = Questions::default();
        assert!(!questions.wait());
        [1, 2].into_iter().for_each(|number| questions.half(number));
        assert!(questions.wait());
        questions.half(3);
        questions.half(1);
        assert!(questions.wait(), "the second is not answered");
        questions.half(2);
        assert!(!questions.wait(), "the third came later");
        assert!(questions.wait(), "what is said now waits for it");
        questions.half(3);
        assert!(!questions.wait());
    }

    #[test]
    fn an_answer_that_comes_before_its_question_is_known_settles_it() {
        let mut questions = Questions::default();
        questions.half(7);
        questions.half(7);
        assert!(!questions.wait());
        assert!(questions.open.is_empty());
    }
}
