//! Content that lies in files: sent by the kernel, in bounded pieces, and only when it is in memory already. Beside it
//! content that others share, in pieces too.
//!
//! A service thread must not wait for a disk. Before a piece is sent it is looked at with `RWF_NOWAIT`; one that is not
//! in memory is read by somebody else first, who then says so with [`Io::warmed`].

use std::{fs::File, io, ops::Range, sync::Arc};

use rustix::io::{Errno, IoSliceMut, ReadWriteFlags};

use crate::{
    connection::{
        content::{ContentBytes, Part},
        deadline::DeadlineName,
    },
    net::{
        io::Io,
        link::{Link, Stage},
        service::{EndedBy, Service},
        token::ConnectionId,
    },
    wire::fields::Fields,
};

/// How far apart the places are that are looked at: files are read ahead in stretches of this size and more.
const PROBE_BYTES: u64 = 64 << 10;

/// What became of a piece.
enum Piece {
    /// All that there was of the part.
    All,
    /// A part of it; the turn's share is used up.
    Some,
    /// Nothing more: the socket is full.
    Full,
    /// It has to be read from disk first.
    Cold(Arc<File>, Range<u64>),
}

impl<T, E> Io<T, E> {
    /// Sends content that waits behind all other output of a connection, as much as a turn allows.
    pub(crate) fn send_parts(&mut self, id: ConnectionId) {
        let mut share = self.settings.limits.file_turn_bytes.max(1);
        while let Some(sent) = self.send_part(id, &mut share) {
            match sent {
                Ok(Piece::All) => {}
                Ok(Piece::Some) => return self.list(id),
                Ok(Piece::Full) => return,
                Ok(Piece::Cold(file, range)) => {
                    self.cold.push((id, file, range));
                    return;
                }
                Err(error) => return self.lose(id, &error),
            }
        }
    }

    /// Sends a piece of the first part; none when there is nothing to send now.
    fn send_part(&mut self, id: ConnectionId, share: &mut u64) -> Option<io::Result<Piece>> {
        let stall_ms = self.settings.limits.stalled_write_ms;
        let link = self.slots.get_mut(id)?;
        if !link.queue.is_empty() || !link.readiness.writable {
            return None;
        }
        let Stage::Http(http) = &mut link.stage else {
            return None;
        };
        let running = http.running.as_mut()?;
        if running.is_cold || running.cut_off.is_some() {
            return None;
        }
        let warm_until = running.warm_until;
        let part = running.parts.front_mut()?;
        let before = part.len();
        let result = match part {
            Part::Bytes(bytes) => {
                let bytes = std::mem::take(bytes);
                if let Err(error) = link.write(&bytes, self.buffers.budget()) {
                    return Some(Err(error));
                }
                Ok(Piece::All)
            }
            Part::Shared { bytes, range } => {
                let (bytes, mut rest) = (bytes.clone(), range.clone());
                let sent = send_shared(link, &bytes, &mut rest, share);
                set_rest(link, rest);
                sent
            }
            Part::File { file, range } => {
                let (file, mut rest) = (Arc::clone(file), range.clone());
                let sent = send_file(link, &file, &mut rest, warm_until, share);
                set_rest(link, rest);
                sent
            }
        };
        let Stage::Http(http) = &mut link.stage else {
            return None;
        };
        let running = http.running.as_mut()?;
        let left = running.parts.front().map_or(0, Part::len);
        running.exchange.note_sent(before - left);
        if let Ok(Piece::Cold(_, range)) = &result {
            running.is_cold = true;
            running.warm_until = range.end;
        }
        if left == 0 {
            running.parts.pop_front();
            running.warm_until = 0;
        }
        let is_all = running.parts.is_empty();
        if is_all {
            // All that was announced is given out.
            let _ = running.exchange.finish(&mut self.out, &Fields::new());
        }
        let is_cold = running.is_cold;
        let has_stalled = link.deadlines.is_set(DeadlineName::StalledWrite);
        if is_cold || is_all && link.queue.is_empty() {
            // The peer is not waited for.
            link.deadlines.clear(DeadlineName::StalledWrite);
        } else if before > left || !has_stalled {
            link.deadlines
                .set(DeadlineName::StalledWrite, self.now, stall_ms);
        }
        self.touch(id);
        if is_all {
            return Some(Ok(Piece::Full));
        }
        Some(result)
    }

    /// A stretch of a file is in memory now, or cannot be read.
    pub fn warmed(&mut self, id: ConnectionId, number: u32, read: io::Result<()>) {
        let Some(link) = self.slots.get_mut(id) else {
            return;
        };
        let Stage::Http(http) = &mut link.stage else {
            return;
        };
        let Some(running) = http.running.as_mut().filter(|_| http.count == number) else {
            return;
        };
        running.is_cold = false;
        if let Err(error) = read {
            let why = format!("a file cannot be read: {error}");
            running
                .cut_off
                .get_or_insert_with(|| (EndedBy::Host, why.into()));
            return self.touch(id);
        }
        self.list(id);
    }

    /// Has somebody read what is not in memory.
    pub(super) fn ask_for_cold<S: Service<Session = T, Exchange = E>>(&mut self, service: &mut S) {
        for (id, file, range) in self.cold.drain(..) {
            if let Some(link) = self.slots.get_mut(id)
                && let Stage::Http(http) = &link.stage
            {
                service.warm(id, http.count, &file, range);
            }
        }
    }
}

/// Notes what is left of the part that is being sent.
fn set_rest<T, E>(link: &mut Link<T, E>, rest: Range<u64>) {
    if let Stage::Http(http) = &mut link.stage
        && let Some(running) = http.running.as_mut()
        && let Some(Part::File { range, .. } | Part::Shared { range, .. }) =
            running.parts.front_mut()
    {
        *range = rest;
    }
}

/// Sends a piece of shared bytes, and moves the beginning of `range` by what has left. Nothing of them is copied to wait.
fn send_shared<T, E>(
    link: &mut Link<T, E>,
    bytes: &ContentBytes,
    range: &mut Range<u64>,
    share: &mut u64,
) -> io::Result<Piece> {
    let end = range.end.min(range.start.saturating_add(*share));
    let Some(piece) = bytes.get(&(range.start..end)) else {
        let error = "a source has told a file longer than its bytes";
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, error));
    };
    let taken = link.write_now(piece)? as u64;
    range.start += taken;
    *share -= taken;
    Ok(if range.is_empty() {
        Piece::All
    } else if *share == 0 {
        Piece::Some
    } else {
        Piece::Full
    })
}

/// Sends a piece of a file, and moves the beginning of `range` by what has left.
fn send_file<T, E>(
    link: &mut Link<T, E>,
    file: &Arc<File>,
    range: &mut Range<u64>,
    warm_until: u64,
    share: &mut u64,
) -> io::Result<Piece> {
    while range.start < range.end {
        if *share == 0 {
            return Ok(Piece::Some);
        }
        let end = range.end.min(range.start.saturating_add(*share));
        let piece = range.start..end;
        // What was read may be gone again when memory is short; it is sent all the same, so that it goes on.
        if range.start >= warm_until && !is_warm(file, &piece) {
            return Ok(Piece::Cold(Arc::clone(file), piece));
        }
        let count = usize::try_from(end - range.start).unwrap_or(usize::MAX);
        match link.transport.send_file(file, &mut range.start, count) {
            // Shorter than it was when the answer was begun: what was announced cannot be kept.
            Ok(0) => {
                let error = "a file became shorter while it was sent";
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, error));
            }
            Ok(sent) => *share = share.saturating_sub(sent as u64),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                link.readiness.writable = false;
                return Ok(Piece::Full);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Piece::All)
}

/// Whether a stretch of a file is in memory, as far as some of its bytes tell.
fn is_warm(file: &File, range: &Range<u64>) -> bool {
    let mut at = range.start;
    while at < range.end {
        if !has_byte(file, at) {
            return false;
        }
        at += PROBE_BYTES;
    }
    range.is_empty() || has_byte(file, range.end - 1)
}

fn has_byte(file: &File, at: u64) -> bool {
    let mut byte = [0];
    let mut buffers = [IoSliceMut::new(&mut byte)];
    let read = rustix::io::preadv2(file, &mut buffers, at, ReadWriteFlags::NOWAIT);
    // Where the file system cannot tell, or the file has ended, sending it tells.
    read != Err(Errno::AGAIN)
}
