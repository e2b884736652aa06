//! Capabilities: what is echoed is what is used (CCP-1, Capability Negotiation; decisions § 3, § 5).

mod ack_range;
mod delivery_ack;
mod noise_transport;
mod subsets;

use commucat_client::{Acks, Config, HttpVersion};
use commucat_tests::people::{Device, Peer};
use commucat_tests::relay::Relay;

/// How a device comes that offers these.
fn offering(relay: &Relay, device: &Device, http: HttpVersion, capabilities: &[&str]) -> Config {
    Config {
        capabilities: capabilities.iter().map(|name| (*name).to_owned()).collect(),
        ..device.config(relay, http)
    }
}

/// A session that offers these.
fn with(relay: &Relay, device: &Device, http: HttpVersion, capabilities: &[&str]) -> Peer {
    let config = offering(relay, device, http, capabilities);
    device.connect_with(relay, config).unwrap()
}

/// The same, of a client that acknowledges nothing by itself.
fn by_hand(relay: &Relay, device: &Device, http: HttpVersion, capabilities: &[&str]) -> Peer {
    let config = Config {
        acks: Acks::ByHand,
        ..offering(relay, device, http, capabilities)
    };
    device.connect_with(relay, config).unwrap()
}
