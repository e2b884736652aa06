//! What has to stand before any scenario: options that go together, enough descriptors, a relay, a way to it.

use crate::cli::Common;
use crate::engine::plan::{Crowd, Plan, random};
use crate::error::LoadError;
use crate::machine::descriptors::make_room_for;
use crate::machine::process;
use crate::machine::sources::Sources;
use crate::report::{About, Relay as RelayFacts};
use crate::spawn::Relay;
use crate::stop::Stop;
use crate::target::Target;

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) payload: u32,
    pub(super) window: u32,
    pub(super) rate: Option<f64>,
}

/// See the module. Dropping it ends the relay that was spawned.
#[derive(Debug)]
pub(super) struct Ground {
    pub(super) common: Common,
    pub(super) plan: Plan,
    pub(super) target: Target,
    pub(super) stop: Stop,
    /// The relay's process, when it could be found.
    pub(super) pid: Option<u32>,
    relay: Option<Relay>,
}

impl Ground {
    /// Prepares for `crowd`.
    pub(super) fn prepare(common: &Common, crowd: Crowd, load: Load) -> Result<Self, LoadError> {
        let mut common = common.clone();
        common.check()?;
        crowd.check()?;
        let sessions = crowd.sessions();
        let threads = common
            .threads()?
            .min(usize::try_from(sessions).unwrap_or(usize::MAX))
            .max(1);
        make_room_for(sessions, threads)?;
        if let Some(pid) = common.pid
            && !process::exists(pid)
        {
            return Err(LoadError::Argument(format!("--pid {pid}: there is no such process")));
        }
        let stop = Stop::on_signals()?;
        let relay = match common.spawn {
            true => Some(Relay::start(&mut common)?),
            false => None,
        };
        let target = Target::find(&common.reach)?;
        let plan = Plan {
            run: random(),
            threads,
            cores: common.cores.clone(),
            sources: Sources::choose(common.sources, sessions, target.address)?,
            offer: common.offer,
            payload: load.payload as usize,
            window: load.window,
            rate: load.rate,
            crowd,
            length: None,
            fan_arrived: std::sync::Arc::default(),
        };
        let local = || {
            let url = &common.reach.url;
            url.is_loopback().then(|| process::listening_on(url.port)).flatten()
        };
        Ok(Self {
            pid: relay.as_ref().map(Relay::pid).or(common.pid).or_else(local),
            common,
            plan,
            target,
            stop,
            relay,
        })
    }

    /// What a report says of the run itself.
    pub(super) fn about(&self, scenario: &'static str, what: String) -> About {
        let reach = &self.common.reach;
        About {
            scenario,
            title: self.common.output.title.clone(),
            what,
            command: std::env::args().collect(),
            http: reach.http.name(),
            tls: reach.url.secure,
            ack_range: self.plan.offer.ack_range,
            delivery_ack: self.plan.offer.delivery_ack,
            noise_transport: self.plan.offer.noise_transport,
            payload: self.plan.payload,
            window: self.plan.window,
            rate: self.plan.rate,
            // Calls and silence have a pace of their own; newcomers without a rate come when others have left.
            open_loop: self.plan.rate.is_some() || self.plan.crowd.flows() + u64::from(self.plan.crowd.lanes) == 0,
            threads: self.plan.threads,
            cores: self.plan.cores.as_ref().map(ToString::to_string),
            sources: self.plan.sources.count(),
            relay: RelayFacts {
                url: reach.url.to_string(),
                domain: self.target.domain.clone(),
                pid: self.pid,
                spawned: self.relay.is_some(),
                shards: self.common.shards,
                cores: self.common.server_cores.as_ref().map(ToString::to_string),
            },
            host: crate::machine::host::Host::look(),
        }
    }
}
