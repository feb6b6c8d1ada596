//! A request that the service takes its time with: its head waits where it was received.

use crate::{
    connection::deadline::DeadlineName,
    net::{
        io::Io,
        link::{Pending, Stage},
        token::ConnectionId,
    },
};

impl<T, E> Io<T, E> {
    /// The service takes its time with a request: it is as if it had not been looked at, but has a deadline of its own.
    pub(super) fn hold(&mut self, id: ConnectionId) {
        self.requests_left += 1;
        let after = self.settings.limits.verdict_ms;
        let Some(link) = self.slots.get_mut(id) else {
            return;
        };
        let Stage::Http(http) = &mut link.stage else {
            return;
        };
        http.running = None;
        http.count = http.count.wrapping_sub(1);
        if std::mem::replace(&mut http.pending, Pending::Awaited) == Pending::No {
            link.deadlines.set(DeadlineName::Request, self.now, after);
        }
    }

    pub(super) fn not_pending(&mut self, id: ConnectionId) {
        if let Some(link) = self.slots.get_mut(id)
            && let Stage::Http(http) = &mut link.stage
        {
            http.pending = Pending::No;
        }
    }

    /// The service knows more of a request that it took its time with, and is asked for it again.
    pub fn ask_again(&mut self, id: ConnectionId, number: u32) {
        let Some(link) = self.slots.get_mut(id) else {
            return;
        };
        if let Stage::Http(http) = &mut link.stage
            && http.pending == Pending::Awaited
            && http.count.wrapping_add(1) == number
        {
            http.pending = Pending::Known;
            self.list(id);
        }
    }
}
