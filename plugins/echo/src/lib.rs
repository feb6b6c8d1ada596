//! Protocol `echo`: each message comes back as it came. The smallest whole plugin; it takes no options.
//!
//! A peer that sends without reading what comes back is held back by the host, which stops reading from it.
#![forbid(unsafe_code)]

use hotsocket_plugin::prelude::*;

#[derive(Default)]
struct Echo;

impl Protocol for Echo {
    const NAME: &'static str = "echo";
    fn on_message(&mut self, session: &mut Session, message: Message<'_>) {
        session.send(message);
    }
}

export_plugin!(Echo);

#[cfg(test)]
mod tests {
    use hotsocket_plugin::testing::{Outgoing, TestHost};

    #[test]
    fn a_message_comes_back_as_it_came() {
        let host = TestHost::new(super::plugin());
        let session = host.open("echo");
        session.receive("text, ünïcode too");
        session.receive(b"\x00\xff");
        session.receive("");
        assert_eq!(
            session.sent(),
            [
                Outgoing::text("text, ünïcode too"),
                Outgoing::binary(b"\x00\xff"),
                Outgoing::text(""),
            ]
        );
    }

    #[test]
    fn options_are_refused_by_name() {
        let host = TestHost::new(super::plugin());
        let refused = host
            .configure("echo", r#"{"delay_ms": 5}"#)
            .expect_err("none");
        assert!(refused.contains("`delay_ms`"), "{refused}");
    }
}
