//! SIGTERM and SIGINT: the first asks for a drain, the second ends the process at once. SIGHUP: the keys on disk have
//! changed.

use std::sync::mpsc::Sender;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::{Event, RunError};

/// Starts the thread that waits for signals.
pub(super) fn listen(events: Sender<Event>) -> Result<(), RunError> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).map_err(RunError::system("listen for signals"))?;
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            let mut asked = false;
            for signal in &mut signals {
                if signal == SIGHUP {
                    let _ = events.send(Event::Reload);
                    continue;
                }
                if std::mem::replace(&mut asked, true) {
                    // As the shell names a process that a signal has ended.
                    std::process::exit(128 + signal);
                }
                let _ = events.send(Event::Terminate(if signal == SIGINT { "SIGINT" } else { "SIGTERM" }));
            }
        })
        .map(drop)
        .map_err(RunError::system("start the signals' thread"))
}
