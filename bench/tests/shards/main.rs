//! What work there is in pure shards, counted: messages between cores, names in a turn.

mod fanout;
mod rosters;
mod world;
