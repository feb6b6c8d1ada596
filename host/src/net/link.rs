//! One socket and the connection it carries.

use std::{
    io::{self, IoSlice},
    ops::Range,
};

use crate::{
    connection::{
        budget::Budget,
        buffers::BufferPool,
        deadline::Deadlines,
        outbound::KeySource,
        websocket::WebSocket,
        write_queue::{SharedBytes, WriteQueue},
    },
    net::{
        date_clock::DateClock,
        dialling::Dialling,
        http_port::HttpPort,
        in_place::{self, InPlace},
        listening::ListenerNumber,
        peer::{KeptPeer, Peer},
        port::{Port, Wants},
        requesting::Requesting,
        running::Running,
        seats::{Seat, Seats},
        settings::Settings,
        spare::Spare,
        timers::Timers,
        token::ConnectionId,
        transport::Transport,
        watcher::FdInterest,
    },
};

/// How many segments of the queue leave with one write.
const SLICES: usize = 32;

/// A connection and its socket. Small, since most connections of a server are idle.
pub(crate) struct Link<T, E> {
    pub(crate) transport: Transport,
    /// Who is at the other end, or whom a proxy has announced there.
    pub(crate) peer: KeptPeer,
    /// We are its client.
    pub(crate) is_dialled: bool,
    /// The listener that accepted it.
    pub(crate) listener: ListenerNumber,
    /// At the vhost that it has asked for last.
    pub(crate) seat: Seat,
    pub(crate) stage: Stage<T, E>,
    /// Output that the socket has not taken.
    pub(crate) queue: WriteQueue,
    pub(crate) spare: Spare,
    pub(crate) deadlines: Deadlines,
    pub(crate) wants: Wants,
    pub(crate) readiness: Readiness,
    /// What was carried begins with frames that had to wait, not just with the beginning of one.
    pub(crate) is_cut_short: bool,
    /// More than the high mark has waited, and not yet less than the low mark.
    pub(crate) is_choked: bool,
    /// It waits in the list of those that are served without an event.
    pub(crate) is_listed: bool,
    /// It waits in the list of those that were acted on outside their own event.
    pub(crate) is_touched: bool,
    /// The peer was told that nothing more comes, or is to tell us so.
    pub(crate) is_shut_down: bool,
    /// A proxy has to say first whose connection it is.
    pub(crate) awaits_announcement: bool,
    /// The service wants to be told of its end.
    pub(crate) is_watched: bool,
}

/// Where a connection is in its life.
pub(crate) enum Stage<T, E> {
    /// HTTP: a request is awaited, or one is answered.
    Http(Http<E>),
    /// We are its client, and it is no WebSocket yet.
    Dialling(Box<Dialling<T>>),
    /// We are its client, and send plain requests, one after the other.
    Requesting(Box<Requesting>),
    /// A WebSocket.
    Open(Open<T>),
    /// Nothing is read any more: the rest of the output leaves, then the end of the peer's side is awaited, so that
    /// what was sent is not lost to a reset. Who has said in a Close frame that nothing more comes is not waited for.
    Lingering,
}

/// A connection that speaks HTTP.
pub(crate) struct Http<E> {
    /// The exchange that goes on.
    pub(crate) running: Option<Box<Running<E>>>,
    /// How many requests there were, this one included.
    pub(crate) count: u32,
    /// A part of the head of the next one is there.
    pub(crate) has_begun: bool,
    /// The peer has ended its side.
    pub(crate) is_half_closed: bool,
    /// Whether the service takes its time with the next one, whose head is there.
    pub(crate) pending: Pending,
}

/// What the service knows of a request that it takes its time with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Pending {
    /// There is no such request.
    #[default]
    No,
    /// Nothing yet.
    Awaited,
    /// Something: it is asked again.
    Known,
}

impl<E> Default for Http<E> {
    fn default() -> Self {
        Self {
            running: None,
            count: 0,
            has_begun: false,
            is_half_closed: false,
            pending: Pending::No,
        }
    }
}

/// An open WebSocket.
pub(crate) struct Open<T> {
    pub(crate) websocket: WebSocket,
    pub(crate) session: T,
}

/// What the last edges said of the socket.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Readiness {
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// The peer will send no more: reading has to go on until it says so itself.
    pub(crate) read_closed: bool,
}

/// What a service thread lends to the connection it serves.
pub(crate) struct Lent<'a> {
    pub(crate) id: ConnectionId,
    pub(crate) now: u64,
    pub(crate) out: &'a mut Vec<u8>,
    pub(crate) in_place: &'a mut InPlace,
    pub(crate) timers: &'a mut Timers,
    pub(crate) buffers: &'a mut BufferPool,
    pub(crate) settings: &'a Settings,
    pub(crate) date: &'a mut DateClock,
    pub(crate) seats: &'a Seats,
    pub(crate) keys: &'a mut KeySource,
}

impl<T, E> Link<T, E> {
    pub(crate) fn new(transport: Transport, peer: Peer, listener: ListenerNumber) -> Self {
        Self {
            transport,
            peer: peer.into(),
            is_dialled: false,
            listener,
            seat: Seat::default(),
            stage: Stage::Http(Http::default()),
            queue: WriteQueue::default(),
            spare: Spare::default(),
            deadlines: Deadlines::default(),
            wants: Wants::default(),
            readiness: Readiness {
                writable: true,
                ..Readiness::default()
            },
            is_cut_short: false,
            is_choked: false,
            is_listed: false,
            is_touched: false,
            is_shut_down: false,
            awaits_announcement: false,
            is_watched: false,
        }
    }

    /// Whether messages must wait: the protocol asked for it, or the peer takes too little.
    pub(crate) fn is_held(&self, settings: &Settings) -> bool {
        self.wants.paused
            || (self.is_choked || self.queue.len() >= settings.high_mark) && !self.is_requesting()
            || self.is_cut_short && self.is_busy()
    }

    /// Whether plain requests of ours are sent: what a server answers is read also while it takes nothing.
    fn is_requesting(&self) -> bool {
        matches!(self.stage, Stage::Requesting(_))
    }

    /// Whether a request is being answered or judged, so that the next one has to wait.
    fn is_busy(&self) -> bool {
        match &self.stage {
            Stage::Http(http) => match &http.running {
                Some(running) => running.exchange.has_body(),
                None => http.pending == Pending::Awaited,
            },
            _ => false,
        }
    }

    /// Reading stops at the high mark and goes on at the low mark.
    pub(crate) fn note_marks(&mut self, settings: &Settings) {
        let waiting = self.queue.len();
        self.is_choked =
            waiting >= settings.high_mark || self.is_choked && waiting > settings.low_mark;
    }

    /// What a loop is to tell that tells the same again and again: what is known already and not used is left out.
    pub(crate) fn interest(&self, settings: &Settings) -> FdInterest {
        let Readiness {
            readable,
            writable,
            read_closed,
        } = self.readiness;
        FdInterest {
            readable: if readable {
                !self.is_held(settings)
            } else {
                !read_closed
            },
            writable: !writable || self.transport.has_output(),
        }
    }

    /// Whether something comes ahead of HTTP: the header of a proxy, or a TLS handshake.
    #[inline]
    pub(crate) fn is_opening(&self) -> bool {
        self.awaits_announcement || self.transport.is_handshaking()
    }

    /// Takes what was carried, to be put back by [`Io::put_carry`](crate::net::io::Io::put_carry).
    #[inline]
    pub(crate) fn take_carry(&mut self, budget: &mut Budget) -> Vec<u8> {
        if self.spare.carry_capacity() == 0 {
            return Vec::new();
        }
        let carry = std::mem::take(&mut self.spare.make().carry);
        budget.give(carry.capacity() as u64);
        carry
    }

    /// Reads once; `Ok(0)` is the end.
    pub(crate) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.transport.read(into) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// Whether a long message is under way that is worth gathering where it is read to.
    #[inline]
    pub(crate) fn awaits_long(&self) -> bool {
        matches!(&self.stage, Stage::Open(open) if open.websocket.awaits_long())
    }

    /// Writes `bytes`, behind what waits; what the socket does not take waits too.
    #[inline]
    pub(crate) fn write(&mut self, bytes: &[u8], budget: &mut Budget) -> io::Result<()> {
        let taken = self.write_now(bytes)?;
        let rest = &bytes[taken..];
        if rest.is_empty() {
            return Ok(());
        }
        self.charge(rest.len(), budget)?;
        self.queue.push_owned(rest);
        Ok(())
    }

    /// The same with payloads between the `gathered` bytes that lie in `input` or in the message that is held.
    pub(crate) fn write_in_place(
        &mut self,
        gathered: &[u8],
        in_place: &InPlace,
        input: &mut [u8],
        budget: &mut Budget,
    ) -> io::Result<()> {
        if let Some(joined) = in_place.join(gathered, input) {
            return self.write(joined, budget);
        }
        // Taken out while it is written from: the rest of the link is needed.
        let held = match &mut self.stage {
            Stage::Open(open) => open.websocket.take_held(),
            _ => Vec::new(),
        };
        let mut slices = [IoSlice::new(&[]); in_place::SLICES];
        let written = match in_place.fill(gathered, [input, &held], &mut slices) {
            Ok(filled) => self.write_slices(&mut slices[..filled], budget),
            Err(error) => Err(error),
        };
        if let Stage::Open(open) = &mut self.stage {
            open.websocket.put_held(held);
        }
        written
    }

    fn write_slices(
        &mut self,
        mut slices: &mut [IoSlice<'_>],
        budget: &mut Budget,
    ) -> io::Result<()> {
        if self.queue.is_empty() {
            let writable = &mut self.readiness.writable;
            self.transport.write_slices(&mut slices, writable)?;
        }
        self.charge(slices.iter().map(|slice| slice.len()).sum(), budget)?;
        for slice in slices {
            self.queue.push_owned(slice);
        }
        Ok(())
    }

    /// The same with bytes that many connections share: what waits is kept by reference.
    pub(crate) fn write_shared(
        &mut self,
        bytes: &SharedBytes,
        range: Range<usize>,
        budget: &mut Budget,
    ) -> io::Result<()> {
        let taken = self.write_now(&(**bytes).as_ref()[range.clone()])?;
        let rest = range.start + taken..range.end;
        if rest.is_empty() {
            return Ok(());
        }
        self.charge(rest.len(), budget)?;
        self.queue.push_shared(SharedBytes::clone(bytes), rest);
        Ok(())
    }

    /// Writes what waits until the socket is full or nothing waits; true when something left.
    pub(crate) fn write_queue(&mut self, budget: &mut Budget) -> io::Result<bool> {
        let before = self.queue.len();
        while !self.queue.is_empty() && self.readiness.writable {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let filled = self.queue.fill(&mut slices);
            match self.transport.write_vectored(&slices[..filled]) {
                Ok(taken) => self.queue.advance(taken),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.readiness.writable = false;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let left = before - self.queue.len();
        budget.give(left as u64);
        Ok(left > 0)
    }

    /// How much of `bytes` the socket takes at once, when nothing waits before them. A call of it is a tenth of what a
    /// delivery of a broadcast takes.
    #[inline(always)]
    pub(super) fn write_now(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut taken = 0;
        while taken < bytes.len() && self.readiness.writable && self.queue.is_empty() {
            match self.transport.write(&bytes[taken..]) {
                Ok(count) => taken += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.readiness.writable = false;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(taken)
    }

    /// Writes what nothing follows, and takes it out of `out`; in one packet with the end of our side where that is all to
    /// tell. What the socket does not take stays, and an error is met again by whoever writes it.
    #[cold]
    pub(crate) fn write_last(&mut self, out: &mut Vec<u8>) {
        if !self.readiness.writable || out.is_empty() {
            return self.transport.note_last();
        }
        if let Ok(taken) = self.transport.write_last(out) {
            out.drain(..taken);
        }
    }

    fn charge(&self, bytes: usize, budget: &mut Budget) -> io::Result<()> {
        if budget.take(bytes as u64) {
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::OutOfMemory,
            "limits.buffered_total_bytes is reached",
        ))
    }

    /// Tells the peer that nothing more comes.
    pub(crate) fn shut_down(&mut self) {
        self.transport.shut_down();
    }

    /// Who asks: the peer, or whom it asks for.
    pub(crate) fn client(&self) -> Peer {
        self.spare.asks_for().unwrap_or_else(|| self.peer.get())
    }

    /// The WebSocket and what its session may ask; none before and after.
    pub(crate) fn port<'a>(&'a mut self, lent: Lent<'a>) -> Option<(&'a mut T, Port<'a>)> {
        let peer = self.client();
        let Stage::Open(open) = &mut self.stage else {
            return None;
        };
        let port = Port {
            id: lent.id,
            transport: &mut self.transport,
            readiness: &mut self.readiness,
            peer,
            now: lent.now,
            sending: open.websocket.sending(),
            keys: self.is_dialled.then_some(lent.keys),
            out: lent.out,
            in_place: lent.in_place,
            room: lent.settings.high_mark.saturating_sub(self.queue.len()),
            queue: &mut self.queue,
            left_at_once: 0,
            spare: &mut self.spare,
            wants: &mut self.wants,
            deadlines: &mut self.deadlines,
            timers: lent.timers,
            buffers: lent.buffers,
            settings: lent.settings,
        };
        Some((&mut open.session, port))
    }

    /// The exchange that goes on, and what may be asked of it.
    pub(crate) fn http_port<'a>(
        &'a mut self,
        lent: Lent<'a>,
    ) -> Option<(&'a mut Option<E>, HttpPort<'a>)> {
        let Stage::Http(http) = &mut self.stage else {
            return None;
        };
        let running = http.running.as_deref_mut()?;
        let port = HttpPort {
            id: lent.id,
            number: http.count,
            transport: &self.transport,
            listener: self.listener,
            peer: self.peer.get(),
            spare: &mut self.spare,
            now: lent.now,
            exchange: &mut running.exchange,
            gathered: &mut running.gathered,
            parts: &mut running.parts,
            cut_off: &mut running.cut_off,
            notes: &mut running.notes,
            exchange_timers: &mut running.timers,
            out: lent.out,
            queue: &self.queue,
            wants: &mut self.wants,
            is_watched: &mut self.is_watched,
            timers: lent.timers,
            buffers: lent.buffers,
            settings: lent.settings,
            date: lent.date,
            seat: &mut self.seat,
            seats: lent.seats,
        };
        Some((&mut running.kept, port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // There are tens of thousands of them, and most are idle: a byte more is to be meant.
    #[test]
    fn a_connection_and_a_session_cost_no_more_than_they_did() {
        // With debug assertions a socket remembers where it is registered.
        let debug = size_of::<mio::net::TcpStream>() - size_of::<i32>();
        let (link, open) = (size_of::<Link<(), ()>>(), size_of::<Open<()>>());
        assert!(link <= 128 + debug, "{link} bytes");
        assert!(open <= 32, "{open} bytes beside what the service keeps");
    }
}
