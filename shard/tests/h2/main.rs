//! `conn::h2` and `conn::hpack`, from outside.

mod abuse;
mod client;
mod flow;
mod frames;
mod heads;
mod hpack;
mod random;
mod wire;
