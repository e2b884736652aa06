//! CALL_OFFER, CALL_ANSWER, CALL_END and CALL_STATS of a participant.

use std::sync::Arc;

use commucat_proto::control::{self, Ack, CallAnswer, CallEnd, CallOffer, CallStats};
use commucat_proto::{CallId, DeviceId, Diagnostic, Frame, FrameType, Title};
use commucat_storage::api::Wall;
use smallvec::SmallVec;

use super::{Asking, Entry, Over, Room, Said};
use crate::Shard;
use crate::calls::call_key;
use crate::directory::Namer;
use crate::mesh::call::{Ask, CallKey, CallMessage, Verdict};
use crate::mesh::message::Refusal;
use crate::route::Route;
use crate::session::roster::{Names, local_name, sort_out};
use crate::session::{Next, State};
use crate::tunnel::{Stall, Tunnel};

/// A control frame of a call, understood.
struct Signal {
    id: CallId,
    key: CallKey,
    ask: Ask,
    /// The members of its ACK, but for the number.
    ack: Ack,
    /// When the frame itself says it is worth nothing any more.
    expires_at: Option<Wall>,
}

/// Why a frame is refused.
struct Refused(Title, String);

impl From<Diagnostic> for Refused {
    fn from(diagnostic: Diagnostic) -> Self {
        Self(diagnostic.title(), diagnostic.to_string())
    }
}

fn refused<T>(title: Title, detail: impl Into<String>) -> Result<T, Refused> {
    Err(Refused(title, detail.into()))
}

/// In the same words whether there is such a call or not.
const NO_PART: &str = "there is no such call, or this device takes no part in it";

impl Shard {
    pub(crate) fn call_frame(&mut self, tunnel: &mut Tunnel, frame: Frame<'_>) -> Next {
        let next = self.read_signal(tunnel, frame).and_then(|signal| {
            let verdict = self.judge(tunnel, frame, &signal)?;
            match verdict {
                None => Ok(None),
                Some(verdict) => self.carry_out(tunnel, frame, &signal, verdict).map(Some),
            }
        });
        match next {
            Ok(Some(next)) => next,
            Ok(None) => Next::Wait(Stall::Call),
            Err(Refused(title, detail)) => self.fail(tunnel, title, &detail),
        }
    }

    /// Holds the frame to its shape.
    fn read_signal(&mut self, tunnel: &Tunnel, frame: Frame<'_>) -> Result<Signal, Refused> {
        let mut until = None;
        let (id, ask, ack) = match frame.kind {
            FrameType::CallOffer => {
                let offer: CallOffer = control::parse(frame.payload, &mut self.scratch)?;
                until = expires_at(&offer);
                let ask = self.read_offer(tunnel, &offer)?;
                (offer.call_id, ask, Ack::default())
            }
            FrameType::CallAnswer => {
                let answer: CallAnswer = control::parse(frame.payload, &mut self.scratch)?;
                let ask = if answer.accept { Ask::Accept } else { Ask::Decline };
                let ack = Ack {
                    accept: Some(answer.accept),
                    reason: answer.reason,
                    ..Ack::default()
                };
                (answer.call_id, ask, ack)
            }
            FrameType::CallEnd => {
                let end: CallEnd = control::parse(frame.payload, &mut self.scratch)?;
                let ack = Ack {
                    reason: end.reason,
                    ..Ack::default()
                };
                (end.call_id, Ask::End, ack)
            }
            _ => {
                let stats: CallStats = control::parse(frame.payload, &mut self.scratch)?;
                let ack = Ack {
                    direction: stats.direction,
                    ..Ack::default()
                };
                (stats.call_id, Ask::Stats, ack)
            }
        };
        Ok(Signal {
            key: call_key(&self.config.hash_key, &id),
            ack: Ack {
                call_id: Some(id.clone()),
                ..ack
            },
            id,
            ask,
            expires_at: until,
        })
    }

    fn read_offer(&self, tunnel: &Tunnel, offer: &CallOffer) -> Result<Ask, Refused> {
        let State::Ready(ready) = &tunnel.state else {
            return refused(Title::NotAParticipant, NO_PART);
        };
        let (config, limits) = (&self.config, &self.config.limits);
        if local_name(&offer.from, &config.domain).as_ref() != Some(&ready.device) {
            return refused(Title::NotAParticipant, "`from` is not the device that offers");
        }
        if offer.to.len() > limits.call_members {
            let detail = format!("an offer calls at most {} devices", limits.call_members);
            return refused(Title::RosterTooLarge, detail);
        }
        let called = sort_out(&offer.to, Names::of(&ready.device, config));
        let local = called.local.into_iter().map(|(_, device)| device);
        let to: Arc<[DeviceId]> = local.chain(called.foreign).collect();
        if to.is_empty() {
            return refused(Title::InvalidControlPayload, "`to` names nobody but the caller");
        }
        let ttl = u64::try_from(limits.call_offer_ttl.as_millis()).unwrap_or(u64::MAX);
        let latest = Wall(self.at.wall.0.saturating_add(ttl));
        let until = expires_at(offer).map_or(latest, |theirs| theirs.min(latest));
        Ok(Ask::Offer { to, until })
    }

    /// What becomes of the frame, when that is known; otherwise the home is asked, once.
    fn judge(&mut self, tunnel: &mut Tunnel, frame: Frame<'_>, signal: &Signal) -> Result<Option<Verdict>, Refused> {
        let limits = &self.config.limits;
        let State::Ready(ready) = &mut tunnel.state else {
            return Ok(Some(Verdict::Stranger));
        };
        let calls = ready.calls.get_or_insert_default();
        if let Some(verdict) = calls.verdict(frame.sequence) {
            return Ok(verdict);
        }
        let known = calls.find_open(signal.key);
        if known.is_some() && signal.ask == Ask::Stats {
            let (others, until, last) = (Arc::from([]), Wall::default(), false);
            return Ok(Some(Verdict::Go { others, until, last }));
        }
        if known.is_none() {
            let opens = matches!(signal.ask, Ask::Offer { .. } | Ask::Accept);
            match calls.make_room(self.at.now, limits.session_calls, opens) {
                Room::Yes => {}
                Room::Soon => return Ok(None),
                Room::No => {
                    let detail = format!("at most {} calls at a time", limits.session_calls);
                    return refused(Title::TooManyCalls, detail);
                }
            }
        }
        calls.asking = Some(Asking {
            sequence: frame.sequence,
            call: signal.key,
            id: signal.id.clone(),
            channel: frame.channel,
            opens: known.is_none() && matches!(signal.ask, Ask::Offer { .. }),
            verdict: None,
        });
        let message = CallMessage::Ask {
            call: signal.key,
            tunnel: tunnel.id,
            by: ready.device.clone(),
            ask: signal.ask.clone(),
        };
        self.push_call(signal.key.home(self.config.shards), message);
        Ok(None)
    }

    fn carry_out(
        &mut self,
        tunnel: &mut Tunnel,
        frame: Frame<'_>,
        signal: &Signal,
        verdict: Verdict,
    ) -> Result<Next, Refused> {
        let own = matches!(signal.ask, Ask::End | Ask::Decline);
        match verdict {
            // The home has forgotten the call, and this session has not.
            Verdict::Stranger if self.knows(tunnel, signal) => Ok(self.cross(tunnel, frame, signal, own)),
            Verdict::Stranger => refused(Title::NotAParticipant, NO_PART),
            Verdict::Full => refused(Title::TooManyCalls, "this server has as many calls as it may have"),
            Verdict::Quiet => Ok(self.cross(tunnel, frame, signal, own)),
            Verdict::Late { others } => {
                let expired = others.iter().map(|device| (device.clone(), Refusal::Expired)).collect();
                Ok(self.cross_with(tunnel, frame, signal, own, expired))
            }
            Verdict::Go { others, until, .. } => {
                let Some(at) = self.take_part(tunnel, frame, signal, &others) else {
                    return Ok(Next::End);
                };
                let keep_until = signal.expires_at.unwrap_or(until).min(until);
                let next = self.send_on_call(tunnel, frame, at, Some(&signal.ack), keep_until);
                if next == Next::Go {
                    self.waits_no_more(tunnel);
                    if own {
                        self.end_call(tunnel, at, true);
                    }
                }
                Ok(next)
            }
        }
    }

    /// Whether the session has taken part in the call, and says no more than somebody may who has.
    fn knows(&self, tunnel: &Tunnel, signal: &Signal) -> bool {
        let State::Ready(ready) = &tunnel.state else {
            return false;
        };
        let calls = ready.calls.as_ref();
        let known = calls.is_some_and(|calls| calls.find(signal.key).is_some());
        known && matches!(signal.ask, Ask::End | Ask::Decline | Ask::Stats)
    }

    /// The frame has crossed the end of its call: it is acknowledged, and so are the media that follow it.
    fn cross(&mut self, tunnel: &mut Tunnel, frame: Frame<'_>, signal: &Signal, own: bool) -> Next {
        self.cross_with(tunnel, frame, signal, own, Vec::new())
    }

    fn cross_with(
        &mut self,
        tunnel: &mut Tunnel,
        frame: Frame<'_>,
        signal: &Signal,
        own: bool,
        refused: Vec<(DeviceId, Refusal)>,
    ) -> Next {
        self.waits_no_more(tunnel);
        let speaks = matches!(signal.ask, Ask::Offer { .. } | Ask::Accept);
        let known = matches!(&tunnel.state, State::Ready(ready)
            if ready.calls.as_ref().is_some_and(|calls| calls.find(signal.key).is_some()));
        if (speaks || known)
            && let Some(at) = self.take_part(tunnel, frame, signal, &[])
        {
            self.end_call(tunnel, at, own);
        }
        let said = Said::new(0, signal.ack.clone());
        self.acknowledge_call_with(tunnel, frame.channel, frame.sequence, &said, refused);
        Next::Go
    }

    /// The session's place in the call, with a route to the others.
    fn take_part(
        &mut self,
        tunnel: &mut Tunnel,
        frame: Frame<'_>,
        signal: &Signal,
        others: &[DeviceId],
    ) -> Option<usize> {
        let State::Ready(ready) = &mut tunnel.state else {
            return None;
        };
        let (device, calls) = (ready.device.clone(), ready.calls.as_mut()?);
        let speaks = matches!(signal.ask, Ask::Offer { .. } | Ask::Accept);
        let at = calls.find(signal.key).unwrap_or_else(|| {
            calls.serials = calls.serials.wrapping_add(1);
            let ack = Ack {
                call_id: Some(signal.id.clone()),
                ..Ack::default()
            };
            calls.list.push(Entry {
                serial: calls.serials,
                id: signal.id.clone(),
                key: signal.key,
                channel: frame.channel,
                carries: false,
                route: Route::to_members(SmallVec::new(), Vec::new(), true),
                names: SmallVec::new(),
                named: frame.channel,
                heard: !matches!(signal.ask, Ask::Offer { .. }),
                // Until it has its members.
                over: Some(Over {
                    until: self.at.now,
                    own: false,
                }),
                said: Arc::new(Said::new(calls.serials, ack)),
            });
            calls.list.len() - 1
        });
        if speaks {
            calls.carry(at, frame.channel);
            ready.left.retain(|left| *left != frame.channel);
        }
        let entry = &mut calls.list[at];
        if entry.over.take().is_some() {
            let roster = sort_out(others, Names::of(&device, &self.config));
            let members: SmallVec<[_; 1]> = roster.local.iter().map(|(key, _)| *key).collect();
            entry.names.extend_from_slice(&members);
            entry.route.refill(members, roster.foreign);
            let named = Namer::Route(tunnel.id, entry.named);
            self.name(&roster.local, named);
        }
        Some(at)
    }

    /// The frame that waited waits no more.
    fn waits_no_more(&mut self, tunnel: &mut Tunnel) {
        if let State::Ready(ready) = &mut tunnel.state
            && let Some(calls) = &mut ready.calls
        {
            calls.asking = None;
        }
    }

    /// A frame of a call came again.
    pub(crate) fn acknowledge_call_again(&mut self, tunnel: &mut Tunnel, frame: Frame<'_>) -> bool {
        let said = match frame.kind {
            FrameType::CallOffer | FrameType::CallAnswer | FrameType::CallEnd | FrameType::CallStats => {
                let signal = self.read_signal(tunnel, frame).ok();
                signal.map(|signal| Arc::new(Said::new(0, signal.ack)))
            }
            FrameType::VoiceFrame | FrameType::VideoFrame => media_said(tunnel, frame),
            _ => None,
        };
        if let Some(said) = &said {
            self.acknowledge_call(tunnel, frame, said);
        }
        said.is_some()
    }
}

fn expires_at(offer: &CallOffer) -> Option<Wall> {
    offer.expires_at.map(|seconds| Wall(seconds.saturating_mul(1_000)))
}

fn media_said(tunnel: &Tunnel, frame: Frame<'_>) -> Option<Arc<Said>> {
    let State::Ready(ready) = &tunnel.state else {
        return None;
    };
    let calls = ready.calls.as_ref()?;
    let at = calls.carried_by(frame.channel)?;
    Some(Arc::clone(&calls.list[at].said))
}
