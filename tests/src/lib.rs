//! What the tests of the whole share: the repository as text, real relays as processes, and clients of every kind.
//!
//! ```text
//!  stage   one relay for one test            bystanders  honest pairs that must notice nothing
//!  relay   the process                       memory      what it holds
//!  people  honest clients, by the driver     ledger      what was promised, and what was heard
//!  tunnel  clients made by hand, over raw, http2 and wire
//!  account people over REST, each answer held against openapi
//! ```

pub mod account;
pub mod bystanders;
pub mod curl;
pub mod http2;
pub mod ledger;
pub mod memory;
pub mod openapi;
pub mod people;
pub mod raw;
pub mod relay;
pub mod repository;
pub mod stage;
pub mod tunnel;
pub mod wire;
