//! `commucat-server`: reads the configuration, runs the relay, and says in its exit code how that went.

use std::process::ExitCode;

use commucat_server::config::{self, LogFormat, table};
use commucat_server::{boot, run, telemetry};

/// Connections come and go on every core at once, with buffers of many sizes.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The configuration is wrong, as clap says for the command line.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let loaded = match config::load(std::env::args_os(), std::env::vars_os()) {
        Ok(loaded) => loaded,
        Err(error) => return fail(&error, USAGE),
    };
    if loaded.reference {
        print!("{}", table::reference());
        return ExitCode::SUCCESS;
    }
    if loaded.check {
        let checked = boot::tls::check(&loaded.config)
            .and_then(|()| boot::store::check(&loaded.config))
            .and_then(|()| boot::admin::token(&loaded.config).map(drop));
        if let Err(error) = checked {
            return fail(&error, USAGE);
        }
        print!(
            "# The configuration is valid. This is all of it:\n\n{}",
            table::write_file(&loaded.config)
        );
        return ExitCode::SUCCESS;
    }
    let logging = match telemetry::start(loaded.config.log, &loaded.config.log_filter) {
        Ok(logging) => logging,
        Err(error) => return fail(&error, 1),
    };
    let ended = run::run(&loaded.config);
    if let Err(error) = &ended
        && loaded.config.log == LogFormat::Json
    {
        tracing::error!(%error, "the server ends");
    }
    // The queued lines first: they tell what led there.
    drop(logging);
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) if loaded.config.log == LogFormat::Json => ExitCode::FAILURE,
        Err(error) => fail(&error, 1),
    }
}

fn fail(error: &dyn std::error::Error, code: u8) -> ExitCode {
    for line in error.to_string().lines() {
        eprintln!("commucat-server: {line}");
    }
    ExitCode::from(code)
}
