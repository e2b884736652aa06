//! The few lines a person needs once the server listens.

use std::net::SocketAddr;
use std::path::PathBuf;

use tracing::info;

use crate::config::Config;
use crate::rest::ServerInfo;

pub(super) struct Banner<'a> {
    pub(super) config: &'a Config,
    /// What the listener got: the port may have been left to the system.
    pub(super) address: SocketAddr,
    pub(super) info: &'a ServerInfo,
    pub(super) shards: u16,
}

impl Banner<'_> {
    /// For whoever reads logs.
    pub(super) fn log(&self) {
        info!(
            address = %self.address,
            domain = %self.info.domain,
            noise_public = %self.info.noise.public(),
            data = %self.config.data.display(),
            shards = self.shards,
            "listening"
        );
    }

    /// For a program that started it: one object, as its log lines are.
    pub(super) fn print_json(&self) {
        let object = serde_json::json!({
            "listening": self.url(),
            "noise_public": self.info.noise.public(),
            "data": self.data(),
            "shards": self.shards,
        });
        println!("{object}");
    }

    /// For whoever started it in a terminal.
    pub(super) fn print(&self) {
        let data = self.data();
        let everywhere = if self.address.ip().is_unspecified() {
            ", on every interface"
        } else {
            ""
        };
        let certificate = match &self.config.tls_certificate {
            Some(path) => path.display().to_string(),
            None => format!("{} (for development)", data.join("tls/cert.pem").display()),
        };
        println!(
            "CommuCat relay {} is listening.\n  \
             address      {}{everywhere}\n  \
             noise key    {}\n  \
             certificate  {certificate}\n  \
             data         {}\n  \
             shards       {}\n  \
             try          curl --insecure {}/api/server-info\n               \
             cargo run --release --bin loadgen -- chat --device alice --to bob",
            env!("CARGO_PKG_VERSION"),
            self.url(),
            self.info.noise.public(),
            data.display(),
            self.shards,
            self.url(),
        );
    }

    fn data(&self) -> PathBuf {
        std::path::absolute(&self.config.data).unwrap_or_else(|_| self.config.data.clone())
    }

    /// A URL that works on this host.
    fn url(&self) -> String {
        let port = self.address.port();
        match self.address {
            address if address.ip().is_unspecified() => format!("https://localhost:{port}"),
            address => format!("https://{address}"),
        }
    }
}
