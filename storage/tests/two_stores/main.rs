//! PostgreSQL and Redis as one store: the same sentences as every store, and what only two servers can do.
//!
//! Real servers, which `tests/services` starts: `tests/services run cargo nextest run -p commucat-storage`.

mod conformance;
mod place;
mod presence;
mod servers;
