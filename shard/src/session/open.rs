//! JOIN that names nobody: the session enters the open channel of that number (see `group::open`; decisions § 6).

use commucat_proto::{Frame, Title};

use crate::Shard;
use crate::group::named::Named;
use crate::keys::open_key;
use crate::mesh::group::Denial;
use crate::mesh::message::GroupKey;
use crate::session::group::{About, Asking};
use crate::session::{Next, State};
use crate::tunnel::{Stall, Tunnel};

impl Shard {
    /// The caller has seen that a route of the channel may be made.
    pub(crate) fn join_open(&mut self, tunnel: &mut Tunnel, frame: Frame<'_>, relay: bool) -> Next {
        if !self.config.policy.open_channels {
            let detail = "open channels are not served here: name at least one other member";
            return self.fail(tunnel, Title::NotJoined, detail);
        }
        let channel = frame.channel;
        let there = self.groups.find(open_key(&self.config.hash_key, channel));
        let State::Ready(ready) = &mut tunnel.state else {
            return Next::End;
        };
        if let Some(route) = ready.routes.get_mut(&channel)
            && there.is_some()
            && route.group() == there
        {
            route.relay = relay;
            return self.entered(tunnel, frame);
        }
        let (by, key) = (ready.device.clone(), ready.key);
        let group = self.ask_to_enter(channel, tunnel.id, by);
        let named = self.begin_to_speak(key, tunnel.id, channel);
        if let State::Ready(ready) = &mut tunnel.state {
            ready.questions.get_or_insert_default();
            ready.asking = Some(Box::new(Asking {
                group,
                about: About::Open {
                    relay,
                    named,
                    asked: false,
                },
                answer: None,
            }));
        }
        Next::Wait(Stall::Group)
    }

    /// The home has answered.
    pub(crate) fn go_on_open(
        &mut self,
        tunnel: &mut Tunnel,
        frame: Frame<'_>,
        (group, relay, named): (GroupKey, bool, Box<Named>),
        answer: Result<(), Denial>,
    ) -> Next {
        if answer.is_err() {
            self.let_go(group);
            self.forget_named(tunnel.id, &named);
            self.counters.groups_denied += 1;
            let detail = format!(
                "at most {} devices are in an open channel",
                self.config.limits.open_roster
            );
            return self.fail(tunnel, Title::RosterTooLarge, &detail);
        }
        let Some(slot) = self.groups.find(group) else {
            self.exit_open(group, tunnel.id);
            self.let_go(group);
            self.forget_named(tunnel.id, &named);
            let detail = "this core holds as many members of open channels as it may";
            return self.fail(tunnel, Title::ServiceUnavailable, detail);
        };
        self.counters.open_joins += 1;
        self.enter(tunnel, frame.channel, slot, Some(named), relay);
        if let State::Ready(ready) = &mut tunnel.state {
            ready.calls.iter_mut().for_each(|calls| calls.joined(frame.channel));
        }
        self.entered(tunnel, frame)
    }

    fn entered(&mut self, tunnel: &mut Tunnel, frame: Frame<'_>) -> Next {
        self.acknowledge(tunnel, frame.channel, frame.sequence);
        self.announce_join(tunnel, frame.channel);
        Next::Go
    }
}
