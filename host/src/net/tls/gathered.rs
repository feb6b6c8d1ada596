//! Where rustls writes its records: those of a batch leave together.

use std::io::{self, IoSlice, Write};

use crate::net::transport::Transport;

/// Writes all records that there are at once, and counts what the socket leaves.
pub(super) struct Gathered<'a> {
    socket: &'a mut Transport,
    pub(super) waits: usize,
    /// The end of our side is told behind them.
    pub(super) is_last: bool,
}

impl<'a> Gathered<'a> {
    pub(super) fn of(socket: &'a mut Transport) -> Self {
        Self {
            socket,
            waits: 0,
            is_last: false,
        }
    }
}

impl Write for Gathered<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.waits = bytes.len();
        let taken = self.socket.write(bytes)?;
        self.waits -= taken;
        Ok(taken)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        // One record, as nearly always: `send` costs the system less than `writev`.
        if let ([slice], false) = (slices, self.is_last) {
            return self.write(slice);
        }
        self.waits = slices.iter().map(|slice| slice.len()).sum();
        let taken = match self.is_last {
            true => self.socket.write_held(slices)?,
            false => self.socket.write_vectored(slices)?,
        };
        self.waits -= taken;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
