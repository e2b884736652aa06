//! TLS to a server of ours: its certificate is always verified, against the operator's authority or the system's.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// The settings of connections to a server whose certificate `authority`, or the system, vouches for.
///
/// # Errors
/// What is wrong with the authorities, for the operator.
pub(crate) fn client_config(authority: Option<&Path>) -> Result<ClientConfig, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots(authority)?)
        .with_no_client_auth())
}

fn roots(authority: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    match authority {
        Some(path) => {
            for certificate in CertificateDer::pem_slice_iter(&read_authorities(path)?) {
                let added = certificate.map_err(|error| error.to_string());
                let added = added.and_then(|certificate| roots.add(certificate).map_err(|error| error.to_string()));
                added.map_err(|error| format!("{} cannot be used: {error}", path.display()))?;
            }
        }
        None => {
            // One that does not parse vouches for nobody; the others still do.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    Ok(roots)
}

/// The PEM text of the operator's authorities.
///
/// # Errors
/// The file cannot be read or holds no certificate.
pub(crate) fn read_authorities(path: &Path) -> Result<Vec<u8>, String> {
    let text = std::fs::read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    if CertificateDer::pem_slice_iter(&text).next().is_none() {
        return Err(format!("{} holds no certificate in PEM form", path.display()));
    }
    Ok(text)
}
