//! What `tuning/` says of the relay, against the relay: settings of the host, alerts and dashboard, service and container.

mod host;
mod service;
mod watching;
