//! A server's URL, whose password nobody sees who does not connect with it.

use std::fmt;

use zeroize::Zeroizing;

/// The URL of a server. Printed without its password, which is wiped from memory with the last copy.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Address(Zeroizing<String>);

/// What stands for a password wherever an address is shown.
const HIDDEN: &str = "***";

impl Address {
    /// Keeps `url`; whether it is one shows when it is used.
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self(Zeroizing::new(url.to_owned()))
    }

    /// Whether none was given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The whole URL, password included: for connecting only.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The host of the URL; nothing when there is none, as with a Unix socket.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        let after = self
            .authority()?
            .rsplit_once('@')
            .map_or(self.authority()?, |(_, host)| host);
        let host = match after.strip_prefix('[') {
            Some(six) => six.split(']').next()?,
            None => after.split(':').next()?,
        };
        (!host.is_empty()).then_some(host)
    }

    /// Whether the URL sets `parameter` in its query.
    #[must_use]
    pub fn sets(&self, parameter: &str) -> bool {
        let query = self.0.split_once('?').map_or("", |(_, query)| query);
        query
            .split('&')
            .any(|pair| pair.split('=').next().is_some_and(|name| name == parameter))
    }

    /// Between `://` and the path. A password may hold a `/` or a `?` only percent-encoded.
    fn authority(&self) -> Option<&str> {
        let (_, rest) = self.0.split_once("://")?;
        rest.split(['/', '?', '#']).next()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((scheme, rest)) = self.0.split_once("://") else {
            // Not a URL: nobody knows where its password would be.
            return f.write_str(if self.0.is_empty() { "" } else { HIDDEN });
        };
        // Up to the last `@`, so that a password with a bare one does not show its end.
        let (shown, rest) = match rest.rsplit_once('@') {
            Some((login, rest)) => match login.split_once(':') {
                Some((user, _)) => (format!("{user}:{HIDDEN}@"), rest),
                None => (format!("{login}@"), rest),
            },
            None => (String::new(), rest),
        };
        write!(f, "{scheme}://{shown}{}", without_secrets(rest))
    }
}

/// `host/path?query`, with the value of `password` in the query hidden.
fn without_secrets(rest: &str) -> String {
    let Some((path, query)) = rest.split_once('?') else {
        return rest.to_owned();
    };
    let hide = |pair: &str| match pair.split_once('=') {
        Some((name, _)) if name.to_ascii_lowercase().contains("pass") => format!("{name}={HIDDEN}"),
        _ => pair.to_owned(),
    };
    let query: Vec<String> = query.split('&').map(hide).collect();
    format!("{path}?{}", query.join("&"))
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_password() {
        for (url, shown) in [
            (
                "postgres://ada:geheim@db.example:5432/relay",
                "postgres://ada:***@db.example:5432/relay",
            ),
            (
                "postgres://ada:ge@heim@db.example/relay",
                "postgres://ada:***@db.example/relay",
            ),
            (
                "postgres://ada:ge/heim@db.example/relay",
                "postgres://ada:***@db.example/relay",
            ),
            ("rediss://:geheim@[::1]:6379/0", "rediss://:***@[::1]:6379/0"),
            ("postgres://ada@db.example/relay", "postgres://ada@db.example/relay"),
            (
                "postgres:///relay?user=ada&password=geheim",
                "postgres:///relay?user=ada&password=***",
            ),
            ("host=db password=geheim", "***"),
            ("", ""),
        ] {
            let address = Address::new(url);
            assert_eq!(address.to_string(), shown);
            assert!(!format!("{address:?}").contains("geheim"), "{address:?}");
            assert_eq!(address.expose(), url);
        }
    }

    #[test]
    fn the_host_and_the_parameters_are_found() {
        let host = |url| Address::new(url).host().map(str::to_owned);
        assert_eq!(
            host("postgres://ada:x@db.example:5432/relay").as_deref(),
            Some("db.example")
        );
        assert_eq!(host("rediss://:x@[::1]:6379/0").as_deref(), Some("::1"));
        assert_eq!(host("postgres:///relay?host=/run/postgresql"), None);
        let address = Address::new("postgres://db/relay?connect_timeout=3&sslmode=require");
        assert!(address.sets("sslmode") && !address.sets("ssl"));
    }
}
