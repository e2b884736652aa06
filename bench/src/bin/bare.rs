//! The bare relay as a program, for `runtimes` to start.

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use commucat_bench::bare::{Runtime, serve};
use commucat_shard::conn::tls::server_config;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

#[derive(Debug, Parser)]
struct Arguments {
    /// What moves the bytes.
    #[arg(long, value_enum)]
    runtime: Runtime,
    /// Where to listen, on loopback.
    #[arg(long)]
    port: u16,
    /// Over TLS with this certificate.
    #[arg(long, requires = "key")]
    certificate: Option<PathBuf>,
    /// The certificate's key.
    #[arg(long, requires = "certificate")]
    key: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let tls = match (&arguments.certificate, &arguments.key) {
        (Some(certificate), Some(key)) => {
            let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<_, _>>()?;
            Some(server_config(chain, PrivateKeyDer::from_pem_file(key)?)?)
        }
        _ => None,
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, arguments.port))?;
    Ok(serve(arguments.runtime, listener, tls)?)
}
