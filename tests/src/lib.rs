//! What the tests of the whole share: the repository as text, and real relays as processes.

pub mod curl;
pub mod relay;
pub mod repository;
