//! Calls end to end (CCP-1, Call Signaling and Media Transport; decisions § 7): real relay, real client, both versions of
//! HTTP, two cores.

mod ends;
mod ground;
mod kept;
mod refused;
mod talk;
