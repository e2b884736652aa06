//! From the command line to a relay that can be connected to: certificates, Noise key, HTTP version.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use commucat_client::blocking::{DriverError, Options, server_info, tls_for};
use commucat_client::tls::Trust;
use commucat_client::{Config, Endpoint, HttpVersion, Pattern, PublicKey, StaticKey};
use commucat_proto::DeviceId;

use crate::cli::Reach;
use crate::error::LoadError;
use crate::limits::PROBE;

/// Everything that all sessions of a command share.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) endpoint: Endpoint,
    pub(crate) options: Options,
    pub(crate) tls: Option<Arc<rustls::ClientConfig>>,
    pub(crate) server: PublicKey,
    pub(crate) http: HttpVersion,
    pub(crate) pattern: Pattern,
    /// Where the endpoint's name led: asked once, not once per connection.
    pub(crate) address: SocketAddr,
    /// As the relay says.
    pub(crate) domain: Option<String>,
}

impl Target {
    /// Finds out what is needed, asking the relay for its Noise key unless one was given.
    pub(crate) fn find(reach: &Reach) -> Result<Self, LoadError> {
        let options = Options {
            trust: Trust::choose(&reach.url, reach.ca.as_deref(), reach.insecure),
            ..Options::default()
        };
        let (server, domain) = match reach.server_key {
            Some(key) => (key, None),
            None => {
                let info = server_info(&reach.url, &options)?;
                (info.noise_public, Some(info.domain))
            }
        };
        let address = answering(&reach.url)?;
        let http = reach.http.into();
        let tls = tls_for(&reach.url, &options.trust, http)?;
        Ok(Self {
            endpoint: reach.url.clone(),
            options,
            tls,
            server,
            http,
            pattern: reach.pattern.into(),
            address,
            domain,
        })
    }

    /// The configuration of one session.
    pub(crate) fn config(&self, device: DeviceId, key: StaticKey) -> Config {
        let mut config = Config::new(device, key, self.server);
        config.http = self.http;
        config.pattern = self.pattern;
        config.authority = self.endpoint.authority();
        config.secure = self.endpoint.secure;
        config
    }
}

/// The first of the endpoint's addresses that answers: a name like localhost has two, and a relay may listen on one.
fn answering(endpoint: &Endpoint) -> Result<SocketAddr, DriverError> {
    let addresses = endpoint.resolve()?;
    let answers = |address: &&SocketAddr| TcpStream::connect_timeout(address, PROBE).is_ok();
    let several = addresses.len() > 1;
    let found = addresses.iter().filter(|_| several).find(answers);
    // Where none answers, connecting will say why.
    Ok(*found.unwrap_or(&addresses[0]))
}
