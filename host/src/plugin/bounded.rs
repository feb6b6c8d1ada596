//! Plugin code that no service thread runs: on a thread of its own, with a bound on how long anybody waits for it.
//!
//! A thread that does not come back cannot be ended. It is left to itself; what it makes after all is dropped there.
//! While it hangs in a constructor of its file the system's loader opens no other file, so that further versions are
//! refused in the same words; what serves goes on.

use std::fmt;
use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// As much as a service thread has: an overflow in a plugin would end the host.
const STACK_BYTES: usize = 8 << 20;

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// It takes longer than this.
    Late(Duration),
    /// We panicked ourselves.
    Panicked,
    /// The system has no thread left.
    NoThread(io::Error),
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Late(patience) => write!(
                f,
                "it did not come back within {} ms (limits.plugin_start_ms), and was left to itself",
                patience.as_millis()
            ),
            Self::Panicked => f.write_str("the host panicked"),
            Self::NoThread(error) => write!(f, "no thread can be made for it: {error}"),
        }
    }
}

/// Runs `work` on a loader thread and waits for it, but no longer than `patience`.
pub(crate) fn run<T: Send + 'static>(
    patience: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, NoAnswer> {
    let (answer, answered) = mpsc::sync_channel(1);
    thread::Builder::new()
        .name("loader".into())
        .stack_size(STACK_BYTES)
        // Nobody may wait any more; then the answer is dropped here.
        .spawn(move || drop(answer.send(work())))
        .map_err(NoAnswer::NoThread)?;
    answered
        .recv_timeout(patience)
        .map_err(|error| match error {
            RecvTimeoutError::Timeout => NoAnswer::Late(patience),
            RecvTimeoutError::Disconnected => NoAnswer::Panicked,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tells when it is dropped.
    struct Told(mpsc::Sender<&'static str>);

    impl Drop for Told {
        fn drop(&mut self) {
            let _ = self.0.send("dropped");
        }
    }

    #[test]
    fn an_answer_in_time_is_given() {
        assert_eq!(run(Duration::from_secs(10), || 7).unwrap(), 7);
    }

    #[test]
    fn what_comes_too_late_is_dropped_where_it_was_made() {
        let (go, wait) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        let late = run(Duration::from_millis(1), move || {
            wait.recv().unwrap();
            Told(tell)
        });
        assert!(matches!(late, Err(NoAnswer::Late(_))));
        assert!(told.try_recv().is_err());
        go.send(()).unwrap();
        assert_eq!(told.recv(), Ok("dropped"));
    }
}
