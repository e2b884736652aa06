//! The embedded store and the pool, from outside.

mod common;
mod conformance;
mod crash;
mod damage;
mod format;
mod model;
mod pool;
