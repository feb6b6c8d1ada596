//! The lines that a server writes, which can be waited for.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The lines of one output of a process, read as they come by a thread of their own.
#[derive(Clone)]
pub(crate) struct Lines {
    shared: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Default)]
struct State {
    lines: Vec<String>,
    ended: bool,
}

impl Lines {
    /// Follows `output` to its end.
    pub(crate) fn follow(output: impl Read + Send + 'static) -> Self {
        let lines = Self {
            shared: Arc::default(),
        };
        let shared = Arc::clone(&lines.shared);
        std::thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                shared.0.lock().expect("no holder panics").lines.push(line);
                shared.1.notify_all();
            }
            shared.0.lock().expect("no holder panics").ended = true;
            shared.1.notify_all();
        });
        lines
    }

    /// How many lines there are; a mark for [`Lines::wait_after`] and [`Lines::since`].
    pub(crate) fn mark(&self) -> usize {
        self.state().lines.len()
    }

    /// The lines from `mark` on.
    pub(crate) fn since(&self, mark: usize) -> Vec<String> {
        self.state().lines[mark..].to_vec()
    }

    /// The first line from `mark` on for which `pick` has an answer; none when the output ends or time runs out.
    pub(crate) fn wait_after<T>(
        &self,
        mark: usize,
        within: Duration,
        pick: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let end = Instant::now() + within;
        let mut next = mark;
        let mut state = self.state();
        loop {
            if let Some(found) = state.lines.iter().skip(next).find_map(|line| pick(line)) {
                return Some(found);
            }
            next = next.max(state.lines.len());
            let left = end.saturating_duration_since(Instant::now());
            if state.ended || left.is_zero() {
                return None;
            }
            state = self
                .shared
                .1
                .wait_timeout(state, left)
                .expect("no holder panics")
                .0;
        }
    }

    /// Waits until the output has ended.
    pub(crate) fn wait_end(&self, within: Duration) -> Vec<String> {
        self.wait_after(usize::MAX, within, |_| None::<()>);
        self.since(0)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.0.lock().expect("no holder panics")
    }
}

/// One line of the log, which is a JSON object.
#[derive(Clone, Debug)]
pub(crate) struct LogLine(Value);

impl LogLine {
    /// Reads a line; none when it is no JSON object.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(line).ok()?;
        value.is_object().then_some(Self(value))
    }

    /// A field as text: of the event, or of the line itself. Empty when there is none.
    pub(crate) fn text(&self, name: &str) -> String {
        let value = self.0.get("fields").and_then(|fields| fields.get(name));
        match value.or_else(|| self.0.get(name)) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        }
    }

    /// Whether `needle` stands anywhere in the line.
    pub(crate) fn mentions(&self, needle: &str) -> bool {
        self.0.to_string().contains(needle)
    }

    /// Whether the line is an error.
    pub(crate) fn is_error(&self) -> bool {
        self.text("level").eq_ignore_ascii_case("error")
    }
}
