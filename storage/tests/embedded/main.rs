//! The embedded store and the pool, from outside.

mod common;
mod conformance;
mod crash;
mod damage;
mod model;
mod pool;
