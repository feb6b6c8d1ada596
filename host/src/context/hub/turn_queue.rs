//! What the hooks of a turn have for their own service thread.

use std::collections::VecDeque;

use super::Command;
use crate::net::mailbox::{Mailbox, Weight};

/// Commands of a service thread to itself.
#[derive(Debug, Default)]
pub(crate) struct TurnQueue {
    pub(super) commands: VecDeque<Command>,
    pub(super) bytes: u64,
}

impl TurnQueue {
    pub(crate) fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    pub(super) fn takes(&self, bytes: u64, mailbox: &Mailbox<Command>) -> bool {
        mailbox.has_room(self.commands.len(), self.bytes.saturating_add(bytes))
    }

    pub(super) fn push(&mut self, command: Command) {
        self.bytes = self.bytes.saturating_add(command.bytes());
        self.commands.push_back(command);
    }

    pub(super) fn pop(&mut self) -> Option<Command> {
        let command = self.commands.pop_front()?;
        self.bytes -= command.bytes();
        Some(command)
    }
}
