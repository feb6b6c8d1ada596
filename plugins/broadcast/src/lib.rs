//! Protocol `broadcast`: each message goes to every session of the protocol on its vhost, the sender included.
//!
//! Messages of one sender arrive in its order, on all service threads and across versions of this plugin.
//!
//! # Options
//!
//! | key | default | |
//! | --- | --- | --- |
//! | `slow` | `"close"` | What becomes of a session whose peer does not keep up: `"close"` closes it with 1013, so that nobody misses a message without noticing; `"drop"` leaves messages out for it until it has caught up. |
#![forbid(unsafe_code)]

use hotsocket_plugin::prelude::*;
use serde::Deserialize;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    slow: SlowPolicy,
}

struct Broadcast {
    slow: SlowPolicy,
}

impl Instance for Broadcast {
    type Session = Member;
    type Options = Options;
    type Thread = ();

    fn new(_host: &Host, options: Options) -> Result<Self, PluginError> {
        Ok(Self { slow: options.slow })
    }

    fn thread(&self, _host: &Host) {}

    fn open(&self, _session: &mut Session) -> Result<Member, PluginError> {
        Ok(Member { slow: self.slow })
    }
}

struct Member {
    slow: SlowPolicy,
}

impl Protocol for Member {
    const NAME: &'static str = "broadcast";

    fn on_message(&mut self, session: &mut Session, message: Message<'_>) {
        // A message that nobody gets must not be lost in silence: its sender tries again later.
        if session.all().broadcast(message, self.slow).is_err() {
            session.close(CloseCode::TRY_AGAIN_LATER, "too many messages are waiting");
        }
    }
}

export_plugin!(Broadcast);

#[cfg(test)]
mod tests {
    use hotsocket_plugin::{
        prelude::*,
        testing::{Outgoing, TestHost},
    };

    #[test]
    fn a_message_reaches_every_session_the_sender_included() {
        let host = TestHost::new(super::plugin());
        let sessions = [(); 3].map(|()| host.open("broadcast"));
        sessions[0].receive("to all");
        sessions[1].receive(b"\x01");
        for session in &sessions {
            assert_eq!(
                session.sent(),
                [Outgoing::text("to all"), Outgoing::binary(b"\x01")]
            );
        }
    }

    #[test]
    fn a_slow_session_is_closed_or_misses_messages_as_configured() {
        for (options, closed) in [("{}", true), (r#"{"slow": "drop"}"#, false)] {
            let host = TestHost::new(super::plugin());
            host.configure("broadcast", options)
                .expect("they are right");
            let (sender, slow) = (host.open("broadcast"), host.open("broadcast"));
            slow.set_full(true);
            sender.receive("news");
            let code = slow.ending().map(|ending| ending.code);
            assert_eq!(
                code,
                closed.then_some(CloseCode::TRY_AGAIN_LATER),
                "{options}"
            );
            assert_eq!(slow.sent(), []);
            assert_eq!(sender.sent(), [Outgoing::text("news")]);
        }
    }

    #[test]
    fn a_wrong_policy_is_refused_with_the_right_ones() {
        let host = TestHost::new(super::plugin());
        let refused = host
            .configure("broadcast", r#"{"slow": "wait"}"#)
            .expect_err("wrong");
        assert_eq!(
            refused,
            "option `slow`: unknown variant `wait`, expected `drop` or `close`"
        );
    }
}
