//! The TLS side: the operator's certificate, or a development one that is made once and kept.
//!
//! TLS 1.3 only (decisions, section 1), ALPN `h2` before `http/1.1`.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::ParsedCertificate;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tracing::info;

use super::BootError;
use super::files::{FileError, create_private, private_folder, read_secret, read_shared_secret, replace_private};
use crate::config::Config;

/// How long a development certificate lasts.
const LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// Clients' clocks may be behind ours.
const BACKDATED: Duration = Duration::from_secs(24 * 3600);
/// Resumption tickets per handshake. A client that comes back twice at once takes a full handshake for the second.
const TICKETS: usize = 1;

/// The settings of every TLS connection.
///
/// # Errors
/// When certificate or key cannot be read, made, or do not belong together.
pub fn server_config(config: &Config) -> Result<Arc<ServerConfig>, BootError> {
    let (chain, key) = match (&config.tls_certificate, &config.tls_private_key) {
        (Some(certificate), Some(key)) => operators(certificate, key)?,
        _ => development(&config.data.join("tls"), &config.domain)?,
    };
    build(chain, key)
}

/// The operator's files, when there are any, without touching the data folder.
///
/// # Errors
/// As `server_config`.
pub fn check(config: &Config) -> Result<(), BootError> {
    if let (Some(certificate), Some(key)) = (&config.tls_certificate, &config.tls_private_key) {
        let (chain, key) = operators(certificate, key)?;
        build(chain, key)?;
    }
    Ok(())
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn build(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Arc<ServerConfig>, BootError> {
    let mut server = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // Tickets carry their state, so that a returning client costs this server no memory while it is away.
    server.ticketer = aws_lc_rs::Ticketer::new()?;
    server.send_tls13_tickets = TICKETS;
    Ok(Arc::new(server))
}

/// The default provider with AES-128-GCM first: with AES in hardware it is the cheapest per byte, and clients without it
/// are the ones that ask for ChaCha20 by their own order.
fn provider() -> CryptoProvider {
    use aws_lc_rs::cipher_suite::{TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256};
    CryptoProvider {
        cipher_suites: vec![
            TLS13_AES_128_GCM_SHA256,
            TLS13_AES_256_GCM_SHA384,
            TLS13_CHACHA20_POLY1305_SHA256,
        ],
        ..aws_lc_rs::default_provider()
    }
}

fn operators(certificate: &Path, key: &Path) -> Result<Identity, BootError> {
    let text = std::fs::read_to_string(certificate).map_err(FileError::io(certificate, "read this certificate"))?;
    let chain = parse_chain(certificate, &text)?;
    let key = parse_key(key, &read_shared_secret(key)?)?;
    Ok((chain, key))
}

fn parse_chain(path: &Path, text: &str) -> Result<Vec<CertificateDer<'static>>, BootError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        _ => Err(FileError::contents(path, "holds no certificate in PEM form").into()),
    }
}

fn parse_key(path: &Path, text: &str) -> Result<PrivateKeyDer<'static>, BootError> {
    PrivateKeyDer::from_pem_slice(text.as_bytes())
        .map_err(|_| FileError::contents(path, "holds no private key in PEM form").into())
}

fn development(folder: &Path, domain: &str) -> Result<Identity, BootError> {
    private_folder(folder)?;
    let (certificate_path, key_path) = (folder.join("cert.pem"), folder.join("key.pem"));
    let key_text = match read_secret(&key_path)? {
        Some(text) => text,
        None => {
            let text = zeroize::Zeroizing::new(KeyPair::generate()?.serialize_pem());
            create_private(&key_path, text.as_bytes())?;
            text
        }
    };
    let key = parse_key(&key_path, &key_text)?;
    if let Some(text) = read_secret(&certificate_path)? {
        let chain = parse_chain(&certificate_path, &text)?;
        if covers(&chain[0], domain) {
            return Ok((chain, key));
        }
        info!(
            domain,
            "the development certificate does not name this domain: making a new one"
        );
    }
    let text = self_sign(&KeyPair::from_pem(&key_text)?, domain)?;
    replace_private(&certificate_path, text.as_bytes())?;
    Ok((parse_chain(&certificate_path, &text)?, key))
}

fn covers(certificate: &CertificateDer<'_>, domain: &str) -> bool {
    let (Ok(certificate), Ok(name)) = (ParsedCertificate::try_from(certificate), ServerName::try_from(domain)) else {
        return false;
    };
    verify_server_name(&certificate, &name).is_ok()
}

fn self_sign(key: &KeyPair, domain: &str) -> Result<String, BootError> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    if !names.iter().any(|name| name == domain) {
        names.push(domain.to_owned());
    }
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, "CommuCat development");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let now = SystemTime::now();
    params.not_before = (now - BACKDATED).into();
    params.not_after = (now + LIFETIME).into();
    Ok(params.self_signed(key)?.pem())
}
