//! Connections that we open, until they are WebSockets like all others: how one begins, goes elsewhere and ends. Its
//! steps are in `dial_steps.rs`.
//!
//! It has its place among the connections from the beginning, so its id, its deadline and what counts connections are
//! those of all; and whatever ends it, its session is told once.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::atomic::Ordering::Relaxed,
};

use crate::{
    connection::{
        deadline::DeadlineName,
        opening::{Opening, OpeningCause, OpeningError, Stage as OpeningStage, Step},
        websocket::ClosedBy,
    },
    net::{
        dial::{ClientTls, Dial, DialRefused, Target},
        io::Io,
        link::{Link, Stage},
        peer::Peer,
        race::Race,
        requesting::Requested,
        timers::Timers,
        token::ConnectionId,
        transport::Transport,
        watcher::Watcher,
    },
};

/// A connection on its way to become a WebSocket, or to carry plain requests.
pub(crate) struct Dialling<T> {
    pub(super) wanted: Wanted<T>,
    pub(super) opening: Opening,
    pub(super) tls: ClientTls,
    pub(super) place: Place,
    /// Of the lookup that counts.
    pub(super) number: u32,
    /// Why it has failed.
    pub(super) error: Option<Box<OpeningError>>,
}

/// What a connection is opened for.
pub(crate) enum Wanted<T> {
    /// A WebSocket, for this session.
    Session(T),
    /// The answer to this request.
    Answer(Box<Requested>),
}

/// What a dial says, once it was looked at.
pub(super) struct Way {
    opening: Opening,
    tls: ClientTls,
    target: Target,
    within_ms: u64,
}

/// How far the transport is.
pub(super) enum Place {
    /// Nothing was begun.
    Start(Target),
    /// The addresses of the host are looked up.
    Resolving,
    /// Sockets are being connected.
    Racing(Race),
    /// The transport is that of the link.
    Reached,
}

impl<T> Dialling<T> {
    pub(super) fn stage(&self) -> OpeningStage {
        match self.place {
            Place::Start(_) | Place::Resolving if self.opening.request().proxy.is_none() => {
                OpeningStage::Resolve
            }
            Place::Start(_) | Place::Resolving => OpeningStage::Proxy,
            Place::Racing(_) | Place::Reached => self.opening.stage(),
        }
    }

    /// The first reason is the one that is told.
    fn fail(&mut self, cause: OpeningCause) {
        let error = match (&self.place, cause) {
            (Place::Reached, OpeningCause::Transport(told)) => self.opening.transport_failed(told),
            (Place::Reached, OpeningCause::Late) => self.opening.expired(),
            (Place::Reached, OpeningCause::Ended) => self.opening.ended(),
            (_, cause) => Step::Failed(Box::new(OpeningError {
                stage: self.stage(),
                cause,
                answer: None,
            })),
        };
        if let Step::Failed(error) = error {
            self.error.get_or_insert(error);
        }
    }

    /// The transport was given up from outside, or has failed.
    pub(crate) fn give_up(&mut self, by: ClosedBy, reason: &str) {
        let reason = reason.to_owned();
        self.fail(match by {
            ClosedBy::Peer => OpeningCause::Transport(reason),
            _ => OpeningCause::GivenUp(reason),
        });
    }

    pub(super) fn stop_racing(&mut self, timers: &mut Timers, watcher: &mut Watcher) {
        if let Place::Racing(race) = &mut self.place {
            race.give_up(watcher);
            if let Some(key) = race.timer.take() {
                timers.cancel(key);
            }
        }
    }

    /// What was wanted, and why there is nothing of it.
    pub(crate) fn end(
        mut self,
        timers: &mut Timers,
        watcher: &mut Watcher,
    ) -> (Wanted<T>, Box<OpeningError>) {
        self.stop_racing(timers, watcher);
        let stage = self.stage();
        let error = self.error.unwrap_or_else(|| {
            let cause = OpeningCause::GivenUp("the connection was given up".to_owned());
            let answer = None;
            Box::new(OpeningError {
                stage,
                cause,
                answer,
            })
        });
        (self.wanted, error)
    }
}

impl<T, E> Io<T, E> {
    /// Begins to open a WebSocket, in the next turn. The service is told of it by `answered` and `opened`, or by
    /// `dial_failed`; of the latter also when the connection is given up.
    ///
    /// # Errors
    ///
    /// Nothing was begun; the session comes back.
    pub fn dial(&mut self, dial: Box<Dial>, session: T) -> Result<ConnectionId, (DialRefused, T)> {
        match self.reserve(*dial, false) {
            Ok((id, way)) => {
                self.embark(id, way, Wanted::Session(session));
                Ok(id)
            }
            Err(refused) => Err((refused, session)),
        }
    }

    /// A place among the connections for what is to be dialled.
    pub(super) fn reserve(
        &mut self,
        dial: Dial,
        is_for_requests: bool,
    ) -> Result<(ConnectionId, Way), DialRefused> {
        self.may_dial()?;
        let way = self.prepare(dial, is_for_requests)?;
        let mut link = Link::new(Transport::Absent, nobody(), 0);
        link.is_dialled = true;
        link.stage = Stage::Lingering;
        let id = self.slots.insert(link).map_err(|_| DialRefused::TooMany)?;
        self.shared.connections.fetch_add(1, Relaxed);
        Ok((id, way))
    }

    /// Begins in that place.
    pub(super) fn embark(&mut self, id: ConnectionId, way: Way, wanted: Wanted<T>) {
        if let Some(link) = self.slots.get_mut(id) {
            link.stage = Stage::Dialling(Box::new(Dialling {
                wanted,
                opening: way.opening,
                tls: way.tls,
                place: Place::Start(way.target),
                number: 0,
                error: None,
            }));
        }
        self.await_opening(id, way.within_ms);
    }

    /// Has a connection that is not open go elsewhere, with the same id and session and a time of its own. False when it
    /// is open or has failed, or the new opening handshake cannot be written; it goes on as it was then.
    pub fn redial(&mut self, id: ConnectionId, dial: Box<Dial>) -> bool {
        let Ok(way) = self.prepare(*dial, false) else {
            return false;
        };
        let Some(link) = self.slots.get_mut(id) else {
            return false;
        };
        let Stage::Dialling(dialling) = &mut link.stage else {
            return false;
        };
        if dialling.error.is_some() || matches!(dialling.wanted, Wanted::Answer(_)) {
            return false;
        }
        dialling.stop_racing(&mut self.timers, &mut self.watcher);
        dialling.opening = way.opening;
        dialling.tls = way.tls;
        dialling.place = Place::Start(way.target);
        dialling.number = dialling.number.wrapping_add(1);
        if let Some(socket) = link.transport.descriptor() {
            self.watcher.forget(socket);
        }
        link.transport = Transport::Absent;
        link.peer = nobody().into();
        self.buffers.budget().give(link.queue.len() as u64);
        link.queue.clear();
        link.deadlines.clear(DeadlineName::StalledWrite);
        drop(self.take_carry(id));
        self.await_opening(id, way.within_ms);
        true
    }

    fn may_dial(&self) -> Result<(), DialRefused> {
        let most = self.settings.limits.max_connections;
        if self.is_draining || self.is_stopped {
            return Err(DialRefused::Draining);
        }
        if most > 0 && self.shared.connections.load(Relaxed) as u64 >= most {
            return Err(DialRefused::TooMany);
        }
        Ok(())
    }

    fn prepare(&self, dial: Dial, is_for_requests: bool) -> Result<Way, DialRefused> {
        if dial.opening.url.scheme().is_secure() && matches!(dial.tls, ClientTls::Plain) {
            return Err(DialRefused::NoTls);
        }
        let limits = &self.settings.limits;
        let opening = match is_for_requests {
            true => Opening::for_requests(dial.opening, limits),
            false => Opening::new(dial.opening, limits)?,
        };
        Ok(Way {
            opening,
            tls: dial.tls,
            target: dial.target,
            within_ms: dial.within_ms.unwrap_or(limits.dial_ms),
        })
    }

    fn await_opening(&mut self, id: ConnectionId, within_ms: u64) {
        if let Some(link) = self.slots.get_mut(id) {
            link.deadlines
                .set(DeadlineName::Request, self.now, within_ms);
        }
        self.list(id);
        self.arm(id);
    }

    /// The addresses of a name were found, or there are none. `number` is that of the lookup.
    pub fn resolved(
        &mut self,
        id: ConnectionId,
        number: u32,
        found: Result<Vec<SocketAddr>, String>,
    ) {
        let most = usize::try_from(self.settings.limits.dial_addresses_count);
        let Some(dialling) = self.dialling(id) else {
            return;
        };
        if dialling.number != number || !matches!(dialling.place, Place::Resolving) {
            return;
        }
        match found {
            Ok(addresses) => {
                let race = Race::new(&addresses, most.unwrap_or(usize::MAX));
                dialling.place = Place::Racing(race);
                self.list(id);
            }
            Err(told) => self.fail_dial(id, OpeningCause::Transport(told)),
        }
    }

    /// What is kept of a session that is to be.
    pub fn dialled_session(&mut self, id: ConnectionId) -> Option<&mut T> {
        match &mut self.dialling(id)?.wanted {
            Wanted::Session(session) => Some(session),
            Wanted::Answer(_) => None,
        }
    }

    pub(super) fn dialling(&mut self, id: ConnectionId) -> Option<&mut Dialling<T>> {
        match &mut self.slots.get_mut(id)?.stage {
            Stage::Dialling(dialling) => Some(dialling),
            _ => None,
        }
    }

    /// Gives up all that is not open.
    pub(super) fn give_up_dials(&mut self) {
        for id in self.ids() {
            if self.dialling(id).is_some() {
                self.hang_up(id, ClosedBy::Drain, "the host is going away");
            }
        }
    }

    pub(super) fn fail_dial(&mut self, id: ConnectionId, cause: OpeningCause) {
        if let Some(dialling) = self.dialling(id) {
            dialling.fail(cause);
            self.end_dial(id);
        }
    }

    pub(super) fn end_dial(&mut self, id: ConnectionId) {
        if let Some(link) = self.slots.get_mut(id) {
            link.wants.hang_up = true;
        }
        self.touch(id);
    }
}

/// Who is at the other end of what is not connected.
const fn nobody() -> Peer {
    Peer::Inet(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0))
}
