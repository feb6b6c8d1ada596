//! The session, as a plugin that is linked into the command.

use std::{
    sync::mpsc::{Receiver, Sender},
    time::Duration,
};

use hotsocket::HostHandle;
use hotsocket_plugin::prelude::*;

use super::{
    ended::Ended,
    input::{self, Said},
    mention,
    output::Output,
};

/// The name of the protocol, which no server sees.
pub(super) const NAME: &str = Talking::NAME;

/// The ping behind all that was said: its pong comes behind all that the server answers at once.
const LAST_PING: &[u8] = b"that was all";

/// When that pong does not come.
const NO_PONG: TimerId = TimerId(1);

/// What was typed, as the session needs it.
pub(super) struct Habits {
    /// Messages are bytes and not lines.
    pub(super) is_binary: bool,
    /// The first message is the last.
    pub(super) takes_one: bool,
    /// The end of the input is not the end.
    pub(super) stays: bool,
    pub(super) is_quiet: bool,
    /// The longest line.
    pub(super) line_bytes: u64,
    /// So long a pong is awaited.
    pub(super) pong_ms: u64,
}

/// What the connection is given.
pub(super) struct Talk {
    pub(super) habits: Habits,
    pub(super) output: Output,
    pub(super) told: Told,
}

/// Whom the end is told. Dropped, it ends the host.
pub(super) struct Told {
    ended: Sender<Ended>,
    host: HostHandle,
}

impl Told {
    pub(super) const fn new(ended: Sender<Ended>, host: HostHandle) -> Self {
        Self { ended, host }
    }

    /// The first word is the last.
    fn tell(&self, ended: Ended) {
        // The command waits for it.
        let _ = self.ended.send(ended);
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.host.drain(Some(Duration::ZERO));
    }
}

/// Makes the only session.
struct Talkers;

impl Instance for Talkers {
    type Session = Talking;
    type Options = NoOptions;
    type Thread = ();

    fn new(_host: &Host, NoOptions {}: NoOptions) -> Result<Self, PluginError> {
        Ok(Self)
    }

    fn thread(&self, _host: &Host) {}

    fn on_answer(&self, answer: &Client) -> Result<(), PluginError> {
        let is_quiet = answer
            .given::<Talk>()
            .is_some_and(|talk| talk.habits.is_quiet);
        let mut text = format!("connected to {}", answer.url());
        if let Some(name) = answer.subprotocol() {
            text.push_str(&format!(", subprotocol {name}"));
        }
        if let Some(extensions) = answer.header_str("Sec-WebSocket-Extensions") {
            text.push_str(&format!(", extensions {extensions}"));
        }
        mention(is_quiet, &text);
        Ok(())
    }

    fn on_connect_error(&self, error: &mut ConnectError) -> Next {
        let ended = Ended::not_connected(error);
        if let Some(talk) = error.take_given::<Talk>() {
            talk.told.tell(ended);
        }
        Next::GiveUp
    }

    fn open(&self, session: &mut Session) -> Result<Talking, PluginError> {
        let talk: Talk = session
            .given()
            .ok_or_else(|| PluginError::new("only the command opens this session"))?;
        let Habits {
            is_binary,
            line_bytes,
            ..
        } = talk.habits;
        let input = input::follow(session.handle(), is_binary, line_bytes)?;
        Ok(Talking {
            talk,
            input,
            held: None,
            misses: true,
        })
    }
}

/// One that talks.
struct Talking {
    talk: Talk,
    input: Receiver<Said>,
    /// Read, and there was no room for it yet.
    held: Option<Said>,
    /// No message has come yet.
    misses: bool,
}

impl Protocol for Talking {
    const NAME: &'static str = "hotsocket-client";
    const PONGS: bool = true;

    fn on_message(&mut self, session: &mut Session, message: Message<'_>) {
        if self.talk.habits.takes_one && !self.misses {
            return;
        }
        self.misses = false;
        let mut bytes = message.as_bytes().to_vec();
        if !self.talk.habits.is_binary {
            bytes.push(b'\n');
        }
        self.talk.output.write(session, bytes);
        if self.talk.habits.takes_one {
            session.close(CloseCode::NORMAL, "");
        }
    }

    fn on_writable(&mut self, session: &mut Session) {
        while let Some(said) = self.held.take().or_else(|| self.input.try_recv().ok()) {
            if !self.say(session, &said) {
                self.held = Some(said);
                session.ask_writable();
                return;
            }
        }
    }

    fn on_pong(&mut self, session: &mut Session, payload: &[u8]) {
        if payload == LAST_PING {
            session.close(CloseCode::NORMAL, "");
        }
    }

    fn on_timer(&mut self, session: &mut Session, _timer: TimerId) {
        session.close(CloseCode::NORMAL, "");
    }

    fn on_close(&mut self, _session: &mut Session, close: &Close<'_>) {
        let misses = self.talk.habits.takes_one && self.misses;
        self.talk.told.tell(Ended::closed(close, misses));
    }
}

impl Talking {
    /// Sends what was read; false when there is no room.
    fn say(&self, session: &Session, said: &Said) -> bool {
        let sent = match said {
            Said::Text(text) => session.text(text),
            Said::Binary(bytes) => session.binary(bytes),
            Said::End if self.talk.habits.stays => return true,
            Said::End => return self.leave(session),
            Said::Broken(why) => {
                self.talk.told.tell(Ended::Unsendable(why.clone()));
                session.close(CloseCode::NORMAL, "")
            }
        };
        sent != Sent::Full
    }

    /// Closes as soon as the server has answered what it answers at once.
    fn leave(&self, session: &Session) -> bool {
        if session.ping(LAST_PING) == Sent::Full {
            return false;
        }
        let pong = Duration::from_millis(self.talk.habits.pong_ms);
        if !session.set_timer(NO_PONG, pong) {
            session.close(CloseCode::NORMAL, "");
        }
        true
    }
}

export_plugin!(Talkers);
