//! What everything on one thread shares.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use commucat_client::{OsEntropy, StaticKey};
use commucat_proto::DeviceId;

use super::calls::Call;
use super::flow::FlowRef;
use super::phase::{Gauge, Phase, Shared};
use super::plan::Plan;
use crate::error::LoadError;
use crate::limits::{OPENING, PARTING, TICK};
use crate::measure::tally::Tally;
use crate::net::{self, Establishing, Wire, establish};
use crate::target::Target;

/// Who acts on this thread.
#[derive(Debug, Default)]
pub(crate) struct Cast {
    /// Senders of messages.
    pub(crate) messages: Vec<FlowRef>,
    /// Those of them whose recipients are on other threads as well: nobody here opens their window.
    pub(crate) remote: Vec<FlowRef>,
    /// Speakers in calls.
    pub(crate) voice: Vec<FlowRef>,
    pub(crate) calls: Vec<Rc<Call>>,
    /// Every session in traffic.
    pub(crate) wires: Vec<Rc<Wire>>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) index: usize,
    pub(crate) plan: Plan,
    pub(crate) target: Target,
    pub(crate) shared: Arc<Shared>,
    pub(crate) tally: RefCell<Tally>,
    pub(crate) cast: RefCell<Cast>,
    /// Sessions that traffic has taken over, and those of them that still stand.
    pub(crate) seated: Cell<u64>,
    pub(crate) standing: Cell<u64>,
    /// Newcomers who are not done.
    pub(crate) lanes: Cell<u32>,
    opened: Cell<u64>,
}

impl Context {
    /// Of thread `index`.
    pub(crate) fn new(index: usize, plan: Plan, target: Target, shared: Arc<Shared>) -> Rc<Self> {
        Rc::new(Self {
            index,
            tally: RefCell::new(Tally::new(plan.length_ns())),
            plan,
            target,
            shared,
            cast: RefCell::default(),
            seated: Cell::new(0),
            standing: Cell::new(0),
            lanes: Cell::new(0),
            opened: Cell::new(0),
        })
    }

    pub(crate) fn gauge(&self) -> &Gauge {
        self.shared.gauge(self.index)
    }

    /// A connection did not come about, or not to its end.
    pub(crate) fn failed(&self, error: &LoadError) {
        let mut tally = self.tally.borrow_mut();
        tally.failed += 1;
        tally.trouble(&error.to_string());
    }

    /// Everybody leaves. A runtime that ends leaves sockets open whose tasks still wait, so they have to end before.
    pub(crate) async fn part(&self) {
        for wire in &self.cast.borrow().wires {
            wire.close();
        }
        let deadline = Instant::now() + PARTING;
        while self.standing.get() > 0 && Instant::now() < deadline {
            monoio::time::sleep(TICK).await;
        }
    }

    /// The name of a device of this run.
    pub(crate) fn device(&self, role: &str, unit: u32, member: u32) -> Result<DeviceId, LoadError> {
        let name = format!("load-{:016x}-{role}-{unit}-{member}", self.plan.run);
        DeviceId::parse(&name).map_err(|error| LoadError::Argument(error.to_string()))
    }

    /// A session of a device that nobody has seen before.
    pub(crate) async fn fresh(&self, device: &DeviceId) -> Result<Establishing, LoadError> {
        self.session(device, StaticKey::generate(&mut OsEntropy)).await
    }

    /// A session of a device with this key.
    pub(crate) async fn session(&self, device: &DeviceId, key: StaticKey) -> Result<Establishing, LoadError> {
        let number = self.opened.replace(self.opened.get() + 1);
        let number = number * self.plan.threads as u64 + self.index as u64;
        let mut config = self.target.config(device.clone(), key);
        config.capabilities = self.plan.offer.capabilities();
        let session = establish(&self.target, config, self.plan.sources.of(number)).await?;
        self.gauge().established();
        Ok(session)
    }

    /// Opens this thread's share of `units`, several at once, until somebody ends the run.
    pub(crate) async fn open_share<F, Opening>(self: &Rc<Self>, units: u32, open: F) -> Result<(), LoadError>
    where
        F: Fn(Rc<Self>, u32) -> Opening + Clone + 'static,
        Opening: Future<Output = Result<(), LoadError>> + 'static,
    {
        let (shared, context) = (Arc::clone(&self.shared), Rc::clone(self));
        net::ramp(
            self.plan.share(units, self.index),
            OPENING,
            move || shared.phase() == Phase::Connecting,
            move |unit| {
                let opening = open(Rc::clone(&context), unit);
                let context = Rc::clone(&context);
                async move {
                    opening.await?;
                    context.gauge().unit();
                    Ok(())
                }
            },
        )
        .await
    }
}
