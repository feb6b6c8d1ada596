#![forbid(unsafe_code)]
//! Echo.
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
