//! One sender, many recipients, on every thread some of them.

use std::rc::Rc;
use std::sync::Arc;

use commucat_proto::ChannelId;

use super::context::Context;
use super::flow::Audience;
use super::seat::{Origin, seat};
use crate::error::LoadError;
use crate::measure::message::Message;
use crate::measure::tally::Kind;

const CHANNEL: ChannelId = ChannelId::new(1);

/// Opens this thread's recipients, and on the first thread their sender.
pub(super) async fn open(context: &Rc<Context>) -> Result<(), LoadError> {
    let recipients = context.plan.crowd.recipients;
    if recipients == 0 {
        return Ok(());
    }
    let message = Message::new(context.plan.payload, context.plan.run);
    let audience = Audience {
        arrived: Arc::clone(&context.plan.fan_arrived),
        ..Audience::new(recipients.into(), context.plan.window(1))
    };
    let origin = if context.index == 0 {
        let members: Result<Vec<_>, _> = (0..recipients).map(|member| context.device("fan", member, 0)).collect();
        let mut session = context.fresh(&context.device("source", 0, 0)?).await?;
        session.join(CHANNEL, members?).await?;
        let sender = seat(context, session, context.plan.read());
        let (flow, origin) = sender.speaks(Kind::Messages, CHANNEL, message, &audience);
        let mut cast = context.cast.borrow_mut();
        if context.plan.threads > 1 {
            cast.remote.push(Rc::clone(&flow));
        }
        cast.messages.push(flow);
        context.gauge().unit();
        origin
    } else {
        Rc::new(Origin::elsewhere(message, Kind::Messages, audience.arrived))
    };
    context
        .open_share(recipients, move |context, member| {
            let origin = Rc::clone(&origin);
            async move {
                let mut session = context.fresh(&context.device("fan", member, 0)?).await?;
                session.join(CHANNEL, vec![context.device("source", 0, 0)?]).await?;
                seat(&context, session, context.plan.read()).seat.hears(&origin);
                Ok(())
            }
        })
        .await
}
