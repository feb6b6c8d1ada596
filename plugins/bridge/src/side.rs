//! One of the two sessions of a bridge.

use std::collections::VecDeque;

use hotsocket_plugin::prelude::*;

use crate::parcel::Parcel;

/// From so many bytes on that wait for one side, nothing is read from the other.
const HIGH_MARK: u64 = 64 << 10;

/// See the module.
pub(crate) struct Side {
    other: Other,
    /// Parcels that found no room, in their order.
    waiting: VecDeque<Vec<u8>>,
    /// The other side is held back.
    holds_back: bool,
    /// This one was closed because the other side was.
    is_told: bool,
}

enum Other {
    /// The server is being connected.
    Awaited(ConnectId),
    There(SessionHandle),
    /// It is gone, or never was.
    Gone,
}

impl Side {
    /// That of the client, while the server is connected.
    pub(crate) fn client(connect: ConnectId) -> Self {
        Self::with(Other::Awaited(connect))
    }

    /// That of the server.
    pub(crate) fn server(client: SessionHandle) -> Self {
        Self::with(Other::There(client))
    }

    /// That of a client whose server cannot be asked.
    pub(crate) fn alone() -> Self {
        Self::with(Other::Gone)
    }

    fn with(other: Other) -> Self {
        Self {
            other,
            waiting: VecDeque::new(),
            holds_back: false,
            is_told: false,
        }
    }

    /// Does what a parcel says; false when there is no room for it.
    fn take(&mut self, session: &Session, packed: &[u8]) -> bool {
        match Parcel::unpack(packed) {
            Some(Parcel::Message(message)) => return session.send(message) != Sent::Full,
            Some(Parcel::Close(code, reason)) => {
                self.is_told = true;
                self.other = Other::Gone;
                session.close(code, reason);
            }
            Some(Parcel::Opened(id)) => {
                self.other = Other::There(session.host().session(id));
                session.resume();
            }
            None => {}
        }
        true
    }

    /// Holds the other side back while much waits for this one.
    fn balance(&mut self, session: &Session) {
        let is_much = !self.waiting.is_empty() || session.queued_bytes() > HIGH_MARK;
        if is_much {
            session.ask_writable();
        }
        if is_much == self.holds_back {
            return;
        }
        self.holds_back = is_much;
        if let Other::There(other) = &self.other {
            // One that has left sends nothing more anyway.
            let _ = if is_much {
                other.pause()
            } else {
                other.resume()
            };
        }
    }
}

impl Protocol for Side {
    const NAME: &'static str = "bridge";

    fn on_message(&mut self, session: &mut Session, message: Message<'_>) {
        let Other::There(other) = &self.other else {
            return;
        };
        if other.notify(&Parcel::Message(message).pack()) == Err(PostError::Full) {
            session.close(CloseCode::TRY_AGAIN_LATER, "too much waits");
        }
    }

    fn on_notify(&mut self, session: &mut Session, payload: &[u8]) {
        if !self.waiting.is_empty() || !self.take(session, payload) {
            self.waiting.push_back(payload.to_vec());
        }
        self.balance(session);
    }

    fn on_writable(&mut self, session: &mut Session) {
        while let Some(packed) = self.waiting.pop_front() {
            if !self.take(session, &packed) {
                self.waiting.push_front(packed);
                break;
            }
        }
        self.balance(session);
    }

    fn on_close(&mut self, session: &mut Session, close: &Close<'_>) {
        if self.is_told {
            return;
        }
        match &self.other {
            Other::Awaited(connect) => session.host().give_up(*connect),
            Other::There(other) => {
                let code = passed_on(close.code, session.role());
                // One that has left needs no word.
                let _ = other.notify(&Parcel::Close(code, close.reason).pack());
            }
            Other::Gone => {}
        }
    }
}

/// The code for the other side: the same where it may be sent.
fn passed_on(code: CloseCode, from: Role) -> CloseCode {
    match (code.0, from) {
        (1000..=1003 | 1005 | 1007..=1014 | 3000..=4999, _) => code,
        (_, Role::Server) => CloseCode::GOING_AWAY,
        (_, Role::Client) => CloseCode::BAD_GATEWAY,
    }
}
