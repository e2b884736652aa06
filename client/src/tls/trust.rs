//! Which certificates a client believes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::insecure::AcceptAnyCertificate;
use crate::endpoint::Endpoint;
use crate::http::HttpVersion;

/// Whom to believe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// The certificate authorities of the system.
    #[default]
    System,
    /// The certificates in this PEM file and no others: an authority's, or the server's own.
    File(PathBuf),
    /// Anybody. See the warning in `tls/insecure.rs`.
    Insecure,
}

/// Where a relay that was started in the current folder keeps the certificate it made for itself.
const DEVELOPMENT_CERTIFICATE: &str = "commucat-data/tls/cert.pem";

impl Trust {
    /// What a command line's `--ca FILE` and `--insecure` mean for `endpoint`. With neither, a relay on this host may show
    /// the development certificate that lies where a relay started in this folder keeps it.
    #[must_use]
    pub fn choose(endpoint: &Endpoint, ca: Option<&Path>, insecure: bool) -> Self {
        match ca {
            _ if insecure => Self::Insecure,
            Some(path) => Self::File(path.to_owned()),
            None if endpoint.is_loopback() && Path::new(DEVELOPMENT_CERTIFICATE).is_file() => {
                Self::File(PathBuf::from(DEVELOPMENT_CERTIFICATE))
            }
            None => Self::System,
        }
    }
}

/// Why no configuration came of it.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file cannot be read as PEM.
    #[error("cannot read certificates from {}: {reason}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file holds no certificate.
    #[error("{} holds no certificate; it should hold at least one BEGIN CERTIFICATE block", path.display())]
    Empty {
        /// Which file.
        path: PathBuf,
    },
    /// The system has no certificate authorities.
    #[error("this system has no certificate authorities ({reason}); name one with --ca FILE")]
    NoRoots {
        /// What the search met.
        reason: String,
    },
    /// rustls refused.
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
}

/// A TLS 1.3 configuration that trusts as told and asks for `http` by ALPN.
///
/// # Errors
/// When the certificates cannot be had.
pub fn client_config(trust: &Trust, http: HttpVersion) -> Result<Arc<ClientConfig>, TrustError> {
    let provider = Arc::new(provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?;
    let mut config = match trust {
        Trust::System => builder.with_root_certificates(system_roots()?).with_no_client_auth(),
        Trust::File(path) => builder.with_root_certificates(file_roots(path)?).with_no_client_auth(),
        Trust::Insecure => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AcceptAnyCertificate(provider)))
            .with_no_client_auth(),
    };
    config.alpn_protocols = vec![http.alpn().to_vec()];
    // A measurement of ten thousand connections should make ten thousand full handshakes, and a chat makes one.
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// AES-128-GCM first: what the relay's measurements are made with, and what processors are fastest at.
fn provider() -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    provider
        .cipher_suites
        .sort_by_key(|suite| suite.suite() != rustls::CipherSuite::TLS13_AES_128_GCM_SHA256);
    provider
}

fn system_roots() -> Result<RootCertStore, TrustError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let reason = found
            .errors
            .first()
            .map_or_else(|| "none found".to_owned(), ToString::to_string);
        return Err(TrustError::NoRoots { reason });
    }
    Ok(roots)
}

fn file_roots(path: &Path) -> Result<RootCertStore, TrustError> {
    let unreadable = |reason: String| TrustError::File {
        path: path.to_owned(),
        reason,
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unreadable(error.to_string()))? {
        let certificate = certificate.map_err(|error| unreadable(error.to_string()))?;
        roots.add(certificate).map_err(|error| unreadable(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(TrustError::Empty { path: path.to_owned() });
    }
    Ok(roots)
}
