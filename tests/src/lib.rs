//! What the tests of the whole share: the repository as text, real relays as processes, and clients of every kind.
//!
//! ```text
//!  stage   one relay for one test            bystanders  honest pairs that must notice nothing
//!  relay   the process                       memory      what it holds
//!  servers PostgreSQL and Redis
//!  people  honest clients, by the driver     ledger      what was promised, and what was heard
//!  tunnel  clients made by hand, over raw, http2, websocket and wire
//!  account people over REST, each answer held against openapi
//!  operator  a token, numbers (openmetrics), event streams
//! ```

pub mod account;
pub mod browser;
pub mod bystanders;
pub mod curl;
pub mod http2;
pub mod ledger;
pub mod memory;
pub mod openapi;
pub mod openmetrics;
pub mod operator;
pub mod people;
pub mod raw;
pub mod relay;
pub mod repository;
pub mod servers;
pub mod stage;
pub mod tunnel;
pub mod websocket;
pub mod wire;
