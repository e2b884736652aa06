//! Groups: their owner creates them, invites everybody else, everybody joins, and some or all talk.
//!
//! Each member speaks on a channel of its own number, so that whoever hears a frame knows by its channel whose it is.

use std::rc::Rc;

use commucat_proto::control::{GroupCreate, GroupInvite, Role};
use commucat_proto::{ChannelId, GroupId};

use super::context::Context;
use super::flow::Audience;
use super::plan::random;
use super::seat::{Seated, seat};
use crate::error::LoadError;
use crate::limits::INVITES;
use crate::measure::message::Message;
use crate::measure::tally::Kind;
use crate::net::Establishing;

/// Opens one.
pub(super) async fn open(context: Rc<Context>, group: u32) -> Result<(), LoadError> {
    let (members, speakers) = (context.plan.crowd.members, context.plan.crowd.speakers);
    let id = GroupId::parse(&format!("load-{:016x}-{group}", context.plan.run))
        .map_err(|error| LoadError::Argument(error.to_string()))?;
    let mut sessions = Vec::with_capacity(members as usize);
    for member in 0..members {
        sessions.push(context.fresh(&context.device("group", group, member)?).await?);
    }
    gather(&context, group, &id, &mut sessions[0]).await?;
    for (member, session) in (0..).zip(&mut sessions).skip(1) {
        let (channel, id) = (channel(member), id.clone());
        session
            .request(|connection| Ok(vec![connection.join_group(channel, id, true)?]))
            .await?;
    }
    let seats: Vec<Seated> = sessions
        .into_iter()
        .map(|session| seat(&context, session, context.plan.read()))
        .collect();
    for (member, speaker) in (0..speakers).zip(&seats) {
        let message = Message::new(context.plan.payload, random());
        let audience = Audience::new(u64::from(members - 1), context.plan.window(speakers));
        let (flow, origin) = speaker.speaks(Kind::Messages, channel(member), message, &audience);
        // Its own seat too, so that everybody counts channels alike; nothing comes there.
        seats.iter().for_each(|listener| listener.seat.hears(&origin));
        context.cast.borrow_mut().messages.push(flow);
    }
    Ok(())
}

/// The owner makes the group and invites the others, many at a time.
async fn gather(context: &Context, group: u32, id: &GroupId, owner: &mut Establishing) -> Result<(), LoadError> {
    let create = GroupCreate {
        group_id: Some(id.clone()),
        members: vec![context.device("group", group, 0)?],
        relay: true,
        ..GroupCreate::default()
    };
    owner
        .request(|connection| Ok(vec![connection.create_group(channel(0), &create)?]))
        .await?;
    let guests: Result<Vec<_>, _> = (1..context.plan.crowd.members)
        .map(|member| context.device("group", group, member))
        .collect();
    for some in guests?.chunks(INVITES) {
        owner
            .request(|connection| {
                some.iter()
                    .map(|device| {
                        let invite = GroupInvite {
                            group_id: id.clone(),
                            device: device.clone(),
                            role: Role::Member,
                        };
                        connection.invite(channel(0), &invite)
                    })
                    .collect()
            })
            .await?;
    }
    Ok(())
}

/// Where a member speaks.
fn channel(member: u32) -> ChannelId {
    ChannelId::new(member + 1)
}
