//! From the command line to a relay that can be connected to: certificates, Noise key, HTTP version.

use std::sync::Arc;

use commucat_client::blocking::{Options, server_info, tls_for};
use commucat_client::tls::Trust;
use commucat_client::{Config, Endpoint, HttpVersion, Pattern, PublicKey, StaticKey};
use commucat_proto::DeviceId;

use crate::cli::Reach;
use crate::error::LoadError;

/// Everything that all sessions of a command share.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) endpoint: Endpoint,
    pub(crate) options: Options,
    pub(crate) tls: Option<Arc<rustls::ClientConfig>>,
    pub(crate) server: PublicKey,
    pub(crate) http: HttpVersion,
    pub(crate) pattern: Pattern,
}

impl Target {
    /// Finds out what is needed, asking the relay for its Noise key unless one was given.
    pub(crate) fn find(reach: &Reach) -> Result<Self, LoadError> {
        let options = Options {
            trust: Trust::choose(&reach.url, reach.ca.as_deref(), reach.insecure),
            ..Options::default()
        };
        let server = match reach.server_key {
            Some(key) => key,
            None => server_info(&reach.url, &options)?.noise_public,
        };
        let http = reach.http.into();
        let tls = tls_for(&reach.url, &options.trust, http)?;
        Ok(Self {
            endpoint: reach.url.clone(),
            options,
            tls,
            server,
            http,
            pattern: reach.pattern.into(),
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
