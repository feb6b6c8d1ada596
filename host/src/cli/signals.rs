//! TERM and INT drain the host, HUP reloads its config, and XFSZ does nothing.

use std::io;
use std::sync::Arc;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag;
use signal_hook::iterator::Signals;
use signal_hook::low_level::exit;

/// What the operator asks for by a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// End, but let sessions close first.
    Drain,
    /// Read the config file again.
    Reload,
}

/// Calls `callback` for each signal, on a thread of its own. A second TERM or INT does not reach it: the process ends
/// at once, with the exit code that shells give such an end.
///
/// # Errors
///
/// When the system refuses the thread or the handlers.
pub fn listen(mut callback: impl FnMut(Signal) + Send + 'static) -> io::Result<()> {
    // A log that has grown to the limit of the process is a write that fails, and not the end of the host.
    flag::register(SIGXFSZ, Arc::default())?;
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    let watch = move || {
        let mut draining = false;
        for signal in signals.forever() {
            match signal {
                SIGHUP => callback(Signal::Reload),
                ending if draining => exit(128 + ending),
                _ => {
                    draining = true;
                    callback(Signal::Drain);
                }
            }
        }
    };
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(watch)
        .map(drop)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use signal_hook::consts::{SIGHUP, SIGTERM};
    use signal_hook::low_level::raise;

    use super::{Signal, listen};

    #[test]
    fn a_signal_becomes_what_the_operator_asks_for() {
        let (sender, asked) = mpsc::channel();
        listen(move |signal| sender.send(signal).unwrap()).unwrap();
        for (signal, meant) in [
            (SIGHUP, Signal::Reload),
            (SIGHUP, Signal::Reload),
            (SIGTERM, Signal::Drain),
        ] {
            raise(signal).unwrap();
            assert_eq!(asked.recv(), Ok(meant));
        }
    }
}
