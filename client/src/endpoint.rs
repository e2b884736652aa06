//! Where the relay is: the little of a URL that a client needs.

use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

use rustls::pki_types::ServerName;

/// The relay's default port, for `https://` and `http://` alike (its plain listener has no well-known port).
const DEFAULT_PORT: u16 = 8443;

/// `https://host:port` or, for the plain listener behind a proxy, `http://host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Whether TLS is spoken.
    pub secure: bool,
    /// A name or an address, without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

/// Why a URL is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// It is not of the one shape that is understood.
    #[error("{text:?} is not a relay's URL: write https://HOST or https://HOST:PORT")]
    Shape {
        /// What was given.
        text: String,
    },
    /// The name leads nowhere.
    #[error("{host} cannot be resolved: {reason}")]
    Resolve {
        /// The name.
        host: String,
        /// What the resolver said.
        reason: String,
    },
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        parse(text).ok_or_else(|| EndpointError::Shape { text: text.to_owned() })
    }
}

fn parse(text: &str) -> Option<Endpoint> {
    let (secure, rest) = match text.split_once("://") {
        Some(("https", rest)) => (true, rest),
        Some(("http", rest)) => (false, rest),
        Some(_) => return None,
        None => (true, text),
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = match rest.strip_prefix('[') {
        Some(bracketed) => {
            let (host, after) = bracketed.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (
                host,
                if after.is_empty() {
                    None
                } else {
                    Some(after.strip_prefix(':')?)
                },
            )
        }
        None => match rest.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (rest, None),
        },
    };
    let port = port.map_or(Some(DEFAULT_PORT), |port| port.parse().ok())?;
    let plausible = !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ']);
    plausible.then(|| Endpoint {
        secure,
        host: host.to_owned(),
        port,
    })
}

impl Endpoint {
    /// `Host` and `:authority`.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The name that the certificate has to carry.
    ///
    /// # Errors
    /// When the host is neither a DNS name nor an address.
    pub fn server_name(&self) -> Result<ServerName<'static>, EndpointError> {
        ServerName::try_from(self.host.clone()).map_err(|_| EndpointError::Shape { text: self.to_string() })
    }

    /// The addresses to try, in order.
    ///
    /// # Errors
    /// When the resolver has none.
    pub fn resolve(&self) -> Result<Vec<SocketAddr>, EndpointError> {
        let failed = |reason: String| EndpointError::Resolve {
            host: self.host.clone(),
            reason,
        };
        let found: Vec<SocketAddr> = (self.host.as_str(), self.port)
            .to_socket_addrs()
            .map_err(|error| failed(error.to_string()))?
            .collect();
        if found.is_empty() {
            Err(failed("no address".to_owned()))
        } else {
            Ok(found)
        }
    }

    /// Whether the host is this machine, by name or address.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}://{}",
            if self.secure { "https" } else { "http" },
            self.authority()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Endpoint;

    #[test]
    fn urls_are_read_as_people_write_them() {
        for (text, display, loopback) in [
            ("https://127.0.0.1:8443", "https://127.0.0.1:8443", true),
            ("https://relay.example", "https://relay.example:8443", false),
            ("relay.example:443/", "https://relay.example:443", false),
            ("http://[::1]:8080", "http://[::1]:8080", true),
            ("localhost", "https://localhost:8443", true),
        ] {
            let endpoint: Endpoint = text.parse().expect(text);
            assert_eq!(
                (endpoint.to_string().as_str(), endpoint.is_loopback()),
                (display, loopback)
            );
        }
    }

    #[test]
    fn what_is_no_relay_is_refused_with_the_shape_to_write() {
        for text in [
            "",
            "ftp://x",
            "https://",
            "https://x:port",
            "https://x:70000",
            "https://x/path",
            "https://[x]:1",
        ] {
            let error = text.parse::<Endpoint>().expect_err(text);
            assert!(error.to_string().contains("write https://HOST"), "{text}");
        }
    }
}
