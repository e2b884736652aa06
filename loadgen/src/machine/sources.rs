//! Where connections come from. All of 127.0.0.0/8 is this machine, and each address has its own ports: so a load on
//! loopback is not limited by the 28,000 of one.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::error::LoadError;
use crate::limits::PER_SOURCE;

/// Some addresses of loopback, or none: then the kernel chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sources(u32);

impl Sources {
    /// As many as were asked for, or as so many connections to `relay` need.
    pub(crate) fn choose(wanted: Option<u32>, connections: u64, relay: SocketAddr) -> Result<Self, LoadError> {
        let loopback = matches!(relay.ip(), IpAddr::V4(address) if address.is_loopback());
        match wanted {
            Some(count) if count > 1 && !loopback => Err(LoadError::Argument(format!(
                "--sources {count}: only connections to 127.0.0.0/8 can come from several of its addresses, and the relay is at {relay}"
            ))),
            Some(count) => Ok(Self(count)),
            None if loopback => Ok(Self(
                u32::try_from(connections.div_ceil(PER_SOURCE)).unwrap_or(u32::MAX),
            )),
            None => Ok(Self(1)),
        }
    }

    /// How many there are.
    pub(crate) fn count(self) -> u32 {
        self.0.max(1)
    }

    /// Where connection number `index` comes from.
    pub(crate) fn of(self, index: u64) -> Option<IpAddr> {
        if self.0 < 2 {
            return None;
        }
        // From 127.1.0.1 on, far from 127.0.0.1, where everything else of this machine comes from.
        let index = u32::try_from(index % u64::from(self.0)).unwrap_or_default();
        let address = u32::from(Ipv4Addr::new(127, 1, 0, 1)) + index % 0xfe_0000;
        Some(IpAddr::V4(Ipv4Addr::from(address)))
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::Sources;

    fn here() -> SocketAddr {
        "127.0.0.1:8443".parse().expect("an address")
    }

    #[test]
    fn sources_spread_over_the_loopback_network_and_stay_in_it() {
        let sources = Sources::choose(Some(70_000), 1, here()).expect("loopback");
        let text = [0, 1, 254, 255, 69_999, 70_000].map(|index| sources.of(index).expect("one").to_string());
        assert_eq!(
            text,
            [
                "127.1.0.1",
                "127.1.0.2",
                "127.1.0.255",
                "127.1.1.0",
                "127.2.17.112",
                "127.1.0.1"
            ]
        );
    }

    #[test]
    fn few_connections_come_from_wherever_the_kernel_likes() {
        let few = Sources::choose(None, 200, here()).expect("loopback");
        assert_eq!((few.count(), few.of(7)), (1, None));
        let many = Sources::choose(None, 100_000, here()).expect("loopback");
        assert_eq!(many.count(), 5);
    }

    #[test]
    fn a_relay_elsewhere_is_reached_from_one_address() {
        let there = "192.0.2.1:8443".parse().expect("an address");
        assert_eq!(Sources::choose(None, 100_000, there).expect("one").of(3), None);
        assert!(Sources::choose(Some(2), 1, there).is_err());
    }
}
