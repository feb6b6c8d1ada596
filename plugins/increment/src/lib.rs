//! Protocol `increment`: a counter per session, sent as decimal text by a timer, from 0 on. The text message `reset`
//! sets it to 0; all other messages are ignored.
//!
//! Nothing is queued for a peer that is slow: as long as a number waits to be taken, no other is sent, and the
//! counter waits too, so a peer sees each number.
//!
//! # Options
//!
//! | key | default | |
//! | --- | --- | --- |
//! | `period_ms` | 50 | From one number to the next, in milliseconds, at least 1. |
#![forbid(unsafe_code)]

use std::{num::NonZeroU64, time::Duration};

use hotsocket_plugin::prelude::*;
use serde::Deserialize;

const TICK: TimerId = TimerId(0);

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    period_ms: NonZeroU64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            period_ms: const { NonZeroU64::new(50).unwrap() },
        }
    }
}

struct Increment {
    period: Duration,
}

impl Instance for Increment {
    type Session = Counter;
    type Options = Options;
    type Thread = ();

    fn new(_host: &Host, options: Options) -> Result<Self, PluginError> {
        Ok(Self {
            period: Duration::from_millis(options.period_ms.get()),
        })
    }

    fn thread(&self, _host: &Host) {}

    fn open(&self, _session: &mut Session) -> Result<Counter, PluginError> {
        Ok(Counter {
            next: 0,
            period: self.period,
        })
    }
}

struct Counter {
    next: u64,
    period: Duration,
}

impl Protocol for Counter {
    const NAME: &'static str = "increment";

    fn on_open(&mut self, session: &mut Session) {
        session.set_timer(TICK, self.period);
    }

    fn on_message(&mut self, _session: &mut Session, message: Message<'_>) {
        if message == Message::Text("reset") {
            self.next = 0;
        }
    }

    fn on_timer(&mut self, session: &mut Session, _timer: TimerId) {
        session.set_timer(TICK, self.period);
        if session.queued_bytes() == 0 && session.text(self.next.to_string()) == Sent::Queued {
            self.next += 1;
        }
    }
}

export_plugin!(Increment);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hotsocket_plugin::testing::{Outgoing, TestHost, TestSession};

    fn after(host: &TestHost, session: &TestSession, periods: u32) -> Vec<Outgoing> {
        let mut sent = Vec::new();
        for _ in 0..periods {
            host.advance(Duration::from_millis(50));
            sent.extend(session.sent());
        }
        sent
    }

    #[test]
    fn the_counter_is_sent_once_per_period_and_reset_on_demand() {
        let host = TestHost::new(super::plugin());
        let session = host.open("increment");
        assert_eq!(
            after(&host, &session, 3),
            ["0", "1", "2"].map(Outgoing::text)
        );
        session.receive("no such order");
        session.receive(b"reset");
        assert_eq!(after(&host, &session, 1), ["3"].map(Outgoing::text));
        session.receive("reset");
        assert_eq!(after(&host, &session, 2), ["0", "1"].map(Outgoing::text));
    }

    #[test]
    fn nothing_is_queued_for_a_slow_peer() {
        let host = TestHost::new(super::plugin());
        let session = host.open("increment");
        // Nobody takes what is sent during these ten periods.
        host.advance(Duration::from_millis(500));
        assert_eq!(session.sent(), ["0"].map(Outgoing::text));
        assert_eq!(after(&host, &session, 1), ["1"].map(Outgoing::text));
    }

    #[test]
    fn the_period_is_an_option_and_not_zero() {
        let host = TestHost::new(super::plugin());
        host.configure("increment", r#"{"period_ms": 200}"#)
            .expect("it is right");
        let session = host.open("increment");
        assert_eq!(after(&host, &session, 4), ["0"].map(Outgoing::text));
        let refused = host
            .configure("increment", r#"{"period_ms": 0}"#)
            .expect_err("wrong");
        assert!(refused.starts_with("option `period_ms`: "), "{refused}");
    }
}
