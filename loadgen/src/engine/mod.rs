//! Traffic: threads that each hold a share of the sessions and run by the same phases.
//!
//! ```text
//!  conduct (one thread)      phases, progress, processor times
//!    worker × N              open a share, then send by the clock or by the window until told to stop
//!      pairs fan groups calls newcomers     who there is
//!      flow ─► wire ─► relay ─► wire ─► seat     a message's way, its books at both ends
//! ```

mod absent;
mod calls;
mod conduct;
mod context;
mod fan;
mod flow;
mod groups;
mod newcomers;
mod pairs;
pub(crate) mod phase;
pub(crate) mod plan;
mod schedule;
mod seat;
mod storing;
mod worker;

pub(crate) use absent::Absence;
pub(crate) use conduct::{Conducted, Course, conduct};
pub(crate) use storing::{Stored, conduct_storing};
