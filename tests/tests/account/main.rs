//! Profiles and their devices over REST (decisions § 4, § 10): tokens, pairing, revocation, keys, friends, limits, and the
//! document that describes all of it.

mod bearer;
mod devices;
mod friends;
mod limits;
mod openapi;
mod pairing;
mod rotation;
