//! Two devices, one of which talks to the other, or both do.

use std::rc::Rc;

use commucat_proto::ChannelId;

use super::context::Context;
use super::flow::Audience;
use super::plan::random;
use super::seat::seat;
use crate::error::LoadError;
use crate::measure::message::Message;
use crate::measure::tally::Kind;

/// The only channel of either.
const CHANNEL: ChannelId = ChannelId::new(1);

/// Opens one.
pub(super) async fn open(context: Rc<Context>, pair: u32) -> Result<(), LoadError> {
    let names = [context.device("pair", pair, 0)?, context.device("pair", pair, 1)?];
    let mut seats = Vec::with_capacity(2);
    for (own, peer) in [(0, 1), (1, 0)] {
        let mut session = context.fresh(&names[own]).await?;
        session.join(CHANNEL, vec![names[peer].clone()]).await?;
        seats.push(seat(&context, session, context.plan.read()));
    }
    let directions: &[(usize, usize)] = match context.plan.crowd.both {
        true => &[(0, 1), (1, 0)],
        false => &[(0, 1)],
    };
    for &(from, to) in directions {
        let message = Message::new(context.plan.payload, random());
        let audience = Audience::new(1, context.plan.window(1));
        let (flow, origin) = seats[from].speaks(Kind::Messages, CHANNEL, message, &audience);
        seats[to].seat.hears(&origin);
        context.cast.borrow_mut().messages.push(flow);
    }
    Ok(())
}
