//! Ctrl-C and SIGTERM: a flag that the commands look at, so that a run that is cut short still reports.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::LoadError;

/// Whether a signal came.
#[derive(Clone, Debug)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Registers for both signals.
    pub(crate) fn on_signals() -> Result<Self, LoadError> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            // A second signal while we are winding up ends the process at once.
            signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&flag))
                .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&flag)))
                .map_err(|source| LoadError::Io {
                    doing: "register for signals",
                    source,
                })?;
        }
        Ok(Self(flag))
    }

    pub(crate) fn requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
