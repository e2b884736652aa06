//! Where a device speaks openly, for the shards that name it: its home tells them, and has them asked who does (see
//! `session::naming`).
//!
//! Invariant: a shard that routes to the device is told of every number on which it speaks openly, and is asked once
//! for each; whoever waits for its answers knows of the question before anything comes that the shard has sent this way
//! after it began to route to the device.

use std::sync::Arc;

use commucat_proto::ChannelId;

use crate::Shard;
use crate::group::home::{bit, shards_of};
use crate::mesh::message::{DeviceKey, Message, ShardId, TunnelId};
use crate::mesh::naming::{NamingMessage, Openly, Question};

/// The session that speaks, and where.
#[derive(Debug)]
pub(super) struct Speaking {
    to: ShardId,
    tunnel: TunnelId,
    /// By channel.
    openly: Arc<[Openly]>,
}

impl Shard {
    pub(crate) fn tell_naming(&mut self, to: ShardId, message: NamingMessage) {
        self.mesh.push(to, Message::Naming(Box::new(message)));
    }

    /// A session wants to speak openly on one number more.
    pub(crate) fn home_speaks(&mut self, from: ShardId, device: DeviceKey, tunnel: TunnelId, openly: Openly) {
        let mut subscribers = 0;
        if let Some(home) = self.homes.map.get_mut(&device) {
            subscribers = home.subscribers;
            let known = home.speaking.take().filter(|it| it.tunnel == tunnel && it.to == from);
            let before = known.as_ref().map_or(&[][..], |it| &it.openly);
            let others = before.iter().filter(|it| it.channel != openly.channel);
            let mut all: Vec<Openly> = others.copied().chain([openly]).collect();
            all.sort_unstable_by_key(|it| it.channel);
            home.speaking = Some(Box::new(Speaking {
                to: from,
                tunnel,
                openly: all.into(),
            }));
        }
        self.home_asks(device, subscribers, Some(openly));
    }

    /// It speaks there no more, or nowhere.
    pub(crate) fn home_silent(&mut self, device: DeviceKey, channel: Option<ChannelId>) {
        let Some(home) = self.homes.map.get_mut(&device) else {
            return;
        };
        let Some(speaking) = &mut home.speaking else { return };
        let left = speaking
            .openly
            .iter()
            .filter(|it| channel.is_some_and(|gone| it.channel != gone));
        speaking.openly = left.copied().collect();
        let (to, tunnel, openly) = (speaking.to, speaking.tunnel, Arc::clone(&speaking.openly));
        if openly.is_empty() {
            home.speaking = None;
        }
        for shard in shards_of(home.subscribers) {
            let openly = Arc::clone(&openly);
            let who = NamingMessage::Who {
                device,
                tunnel,
                openly,
                question: None,
                to,
            };
            self.tell_naming(shard, who);
        }
    }

    /// A shard routes to the device from now on.
    pub(super) fn home_asks_new(&mut self, device: DeviceKey, shard: ShardId) {
        if self.homes.map.get(&device).is_some_and(|home| home.speaking.is_some()) {
            self.home_asks(device, bit(shard), None);
        }
    }

    fn home_asks(&mut self, device: DeviceKey, shards: u128, about: Option<Openly>) {
        let Some(home) = self.homes.map.get(&device) else {
            return;
        };
        let Some(speaking) = &home.speaking else { return };
        let (to, tunnel, openly) = (speaking.to, speaking.tunnel, Arc::clone(&speaking.openly));
        let mut questions = Vec::new();
        for shard in shards_of(shards) {
            let number = self.homes.next_question();
            questions.push(number);
            let who = NamingMessage::Who {
                device,
                tunnel,
                openly: Arc::clone(&openly),
                question: Some(Question {
                    number,
                    only: about.map(|it| it.channel),
                }),
                to,
            };
            self.tell_naming(shard, who);
        }
        let asked = NamingMessage::Asked {
            tunnel,
            openly: about,
            questions,
        };
        self.tell_naming(to, asked);
    }
}
