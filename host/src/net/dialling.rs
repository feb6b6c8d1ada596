//! The way of a connection that we open: addresses, the race of their sockets, and what
//! [`Opening`] says from there on, until it is a WebSocket like all others.
//!
//! It has its place among the connections from the beginning, so its id, its deadline and what counts connections are
//! those of all; and whatever ends it, its session is told once.

use std::{
    borrow::Cow,
    net::{Ipv4Addr, SocketAddr},
    sync::atomic::Ordering::Relaxed,
};

use mio::net::UnixStream;

use crate::{
    connection::{
        deadline::DeadlineName,
        opening::{Opened, Opening, OpeningCause, OpeningError, Stage as OpeningStage, Step},
        websocket::ClosedBy,
    },
    net::{
        dial::{ClientTls, Dial, DialRefused, Target},
        io::{HowEnded, Io},
        link::{Link, Readiness, Stage},
        peer::Peer,
        race::Race,
        resolve::Lookup,
        service::Service,
        timers::{Due, Timers},
        tls::TlsStream,
        token::ConnectionId,
        transport::Transport,
    },
    wire::url_host::Host,
};

/// A connection on its way to become a WebSocket.
pub(crate) struct Dialling<T> {
    session: T,
    opening: Opening,
    tls: ClientTls,
    place: Place,
    /// Of the lookup that counts.
    number: u32,
    /// Why it has failed.
    error: Option<Box<OpeningError>>,
}

/// How far the transport is.
enum Place {
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
    fn stage(&self) -> OpeningStage {
        match self.place {
            Place::Start(_) | Place::Resolving => OpeningStage::Resolve,
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

    fn stop_racing(&mut self, timers: &mut Timers) {
        if let Place::Racing(race) = &mut self.place
            && let Some(key) = race.timer.take()
        {
            timers.cancel(key);
        }
    }

    /// The session, and why it was not opened.
    pub(crate) fn end(mut self, timers: &mut Timers) -> (T, HowEnded) {
        self.stop_racing(timers);
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
        (self.session, HowEnded::NotOpened(error))
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
        if let Err(refused) = self.may_dial() {
            return Err((refused, session));
        }
        let within_ms = dial.within_ms.unwrap_or(self.settings.limits.dial_ms);
        let (opening, tls, target) = match self.prepare(*dial) {
            Ok(prepared) => prepared,
            Err(refused) => return Err((refused, session)),
        };
        let mut link = Link::new(Transport::Absent, nobody(), 0);
        link.is_dialled = true;
        link.stage = Stage::Lingering;
        let Ok(id) = self.slots.insert(link) else {
            return Err((DialRefused::TooMany, session));
        };
        self.shared.connections.fetch_add(1, Relaxed);
        if let Some(link) = self.slots.get_mut(id) {
            link.stage = Stage::Dialling(Box::new(Dialling {
                session,
                opening,
                tls,
                place: Place::Start(target),
                number: 0,
                error: None,
            }));
        }
        self.await_opening(id, within_ms);
        Ok(id)
    }

    /// Has a connection that is not open go elsewhere, with the same id and session and a time of its own. False when it
    /// is open or has failed, or the new opening handshake cannot be written; it goes on as it was then.
    pub fn redial(&mut self, id: ConnectionId, dial: Box<Dial>) -> bool {
        let within_ms = dial.within_ms.unwrap_or(self.settings.limits.dial_ms);
        let Ok((opening, tls, target)) = self.prepare(*dial) else {
            return false;
        };
        let Some(link) = self.slots.get_mut(id) else {
            return false;
        };
        let Stage::Dialling(dialling) = &mut link.stage else {
            return false;
        };
        if dialling.error.is_some() {
            return false;
        }
        dialling.stop_racing(&mut self.timers);
        dialling.opening = opening;
        dialling.tls = tls;
        dialling.place = Place::Start(target);
        dialling.number = dialling.number.wrapping_add(1);
        link.transport = Transport::Absent;
        link.peer = nobody();
        self.buffers.budget().give(link.queue.len() as u64);
        link.queue.clear();
        link.deadlines.clear(DeadlineName::StalledWrite);
        drop(self.take_carry(id));
        self.await_opening(id, within_ms);
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

    fn prepare(&self, dial: Dial) -> Result<(Opening, ClientTls, Target), DialRefused> {
        if dial.opening.url.scheme().is_secure() && matches!(dial.tls, ClientTls::Plain) {
            return Err(DialRefused::NoTls);
        }
        let opening = Opening::new(dial.opening, &self.settings.limits)?;
        Ok((opening, dial.tls, dial.target))
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
        Some(&mut self.dialling(id)?.session)
    }

    fn dialling(&mut self, id: ConnectionId) -> Option<&mut Dialling<T>> {
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

    fn end_dial(&mut self, id: ConnectionId) {
        if let Some(link) = self.slots.get_mut(id) {
            link.wants.hang_up = true;
        }
        self.touch(id);
    }

    /// Goes on before there is something to read.
    pub(super) fn pursue<S: Service<Session = T, Exchange = E>>(
        &mut self,
        service: &mut S,
        id: ConnectionId,
    ) {
        match self.dialling(id).map(|dialling| &dialling.place) {
            Some(Place::Start(_)) => self.start(service, id),
            Some(Place::Racing(_)) => self.race(id, false),
            _ => {}
        }
    }

    fn start<S: Service<Session = T, Exchange = E>>(&mut self, service: &mut S, id: ConnectionId) {
        let most = usize::try_from(self.settings.limits.dial_addresses_count).unwrap_or(usize::MAX);
        let Some(dialling) = self.dialling(id) else {
            return;
        };
        let Place::Start(target) = std::mem::replace(&mut dialling.place, Place::Resolving) else {
            return;
        };
        let addresses = match target {
            Target::Addresses(addresses) => addresses,
            Target::Unix(path) => {
                dialling.place = Place::Racing(Race::new(&[], 0));
                return match UnixStream::connect(&path) {
                    Ok(stream) => self.reach(id, Transport::Unix(stream), Peer::Unix),
                    Err(error) => {
                        let told = format!("unix:{}: {error}", path.display());
                        self.fail_dial(id, OpeningCause::Transport(told));
                    }
                };
            }
            Target::Named => {
                let request = dialling.opening.request();
                let (host, port) = match &request.proxy {
                    Some(proxy) => (&proxy.host, proxy.port),
                    None => (request.url.host(), request.url.port()),
                };
                match host {
                    Host::Name(name) => {
                        let lookup = Lookup {
                            number: dialling.number,
                            host: name.clone(),
                            port,
                        };
                        if !service.resolve(id, lookup) {
                            let told = "too many lookups wait: see limits.resolve_jobs_count";
                            self.fail_dial(id, OpeningCause::Transport(told.to_owned()));
                        }
                        return;
                    }
                    Host::V4(address) => vec![(*address, port).into()],
                    Host::V6(address) => vec![(*address, port).into()],
                }
            }
        };
        dialling.place = Place::Racing(Race::new(&addresses, most));
        self.race(id, true);
    }

    /// Looks at the sockets that are on their way, and tries the next address if it is its turn.
    pub(crate) fn race(&mut self, id: ConnectionId, is_due: bool) {
        let next_ms = self.settings.limits.dial_next_ms;
        let Some(link) = self.slots.get_mut(id) else {
            return;
        };
        let Stage::Dialling(dialling) = &mut link.stage else {
            return;
        };
        let Place::Racing(race) = &mut dialling.place else {
            return;
        };
        let (winner, has_failed) = race.look();
        if let Some((address, stream)) = winner {
            dialling.stop_racing(&mut self.timers);
            return self.reach(id, Transport::Tcp(stream), address.into());
        }
        if is_due || has_failed || race.is_idle() {
            race.begin_next(&self.registry, id.token());
            if let Some(key) = race.timer.take() {
                self.timers.cancel(key);
            }
            if race.has_waiting() {
                let at = self.now.saturating_add(next_ms);
                race.timer = Some(self.timers.insert(at, Due::Attempt(id)));
            }
        }
        if race.is_idle() {
            let told = race.told();
            self.fail_dial(id, OpeningCause::Transport(told));
        }
    }

    /// There is a transport.
    fn reach(&mut self, id: ConnectionId, transport: Transport, peer: Peer) {
        let Some(link) = self.slots.get_mut(id) else {
            return;
        };
        let is_watched = matches!(transport, Transport::Tcp(_));
        link.transport = transport;
        link.peer = peer;
        // What was noted so far may be of a socket that has lost. To watch it anew tells the edges of this one.
        link.readiness = Readiness {
            writable: true,
            ..Readiness::default()
        };
        let watched = link.transport.watch(&self.registry, id.token(), is_watched);
        let Stage::Dialling(dialling) = &mut link.stage else {
            return;
        };
        if let Err(error) = watched {
            let told = format!("the socket cannot be watched: {error}");
            return self.fail_dial(id, OpeningCause::Transport(told));
        }
        dialling.place = Place::Reached;
        let step = dialling.opening.connected(&mut self.out);
        self.follow(id, step);
        self.flush(id);
    }

    /// Does what a step says; gives the answer of a server that has taken the handshake.
    fn follow(&mut self, id: ConnectionId, step: Step) -> Option<Box<Opened>> {
        match step {
            Step::Read => None,
            Step::Secure => {
                self.secure(id);
                None
            }
            Step::Open(opened) => Some(opened),
            Step::Failed(error) => {
                if let Some(dialling) = self.dialling(id) {
                    dialling.error.get_or_insert(error);
                    self.end_dial(id);
                }
                None
            }
        }
    }

    /// TLS is spoken from here on.
    fn secure(&mut self, id: ConnectionId) {
        let Some(link) = self.slots.get_mut(id) else {
            return;
        };
        let Stage::Dialling(dialling) = &mut link.stage else {
            return;
        };
        let ClientTls::Config(config) = &dialling.tls else {
            return self.fail_dial(id, OpeningCause::Transport(DialRefused::NoTls.to_string()));
        };
        if !link.queue.is_empty() {
            let told = "the proxy answered before it had been asked".to_owned();
            return self.fail_dial(id, OpeningCause::Transport(told));
        }
        let socket = std::mem::replace(&mut link.transport, Transport::Absent);
        let host = dialling.opening.request().url.host();
        let secured = TlsStream::connect(config, host, socket);
        let begun = secured.and_then(|mut stream| {
            stream.flush()?;
            Ok(stream)
        });
        match begun {
            Ok(stream) => link.transport = Transport::Tls(Box::new(stream)),
            Err(error) => self.fail_dial(id, OpeningCause::Transport(error.to_string())),
        }
    }

    /// Sends the opening handshake once TLS is agreed on.
    pub(super) fn pursue_secured(&mut self, id: ConnectionId) {
        let Some(link) = self.slots.get_mut(id) else {
            return;
        };
        let Stage::Dialling(dialling) = &mut link.stage else {
            return;
        };
        let is_securing = dialling.stage() == OpeningStage::Tls && dialling.error.is_none();
        if is_securing && matches!(&link.transport, Transport::Tls(tls) if !tls.is_handshaking()) {
            let step = dialling.opening.secured(&mut self.out);
            self.follow(id, step);
            self.flush(id);
        }
    }

    /// Reads what the proxy or the server says; gives how much of it is done with.
    pub(super) fn consume_answer<S: Service<Session = T, Exchange = E>>(
        &mut self,
        service: &mut S,
        id: ConnectionId,
        input: &[u8],
    ) -> usize {
        self.pursue_secured(id);
        let Some(link) = self.slots.get_mut(id) else {
            return input.len();
        };
        let Stage::Dialling(dialling) = &mut link.stage else {
            return input.len();
        };
        if dialling.error.is_some() {
            return input.len();
        }
        let (used, step) = dialling.opening.read(input, &mut self.out);
        if let Some(opened) = self.follow(id, step) {
            self.open_dialled(service, id, *opened);
        }
        used
    }

    /// The server has taken the handshake: the service has a last look, and the WebSocket is open.
    fn open_dialled<S: Service<Session = T, Exchange = E>>(
        &mut self,
        service: &mut S,
        id: ConnectionId,
        opened: Opened,
    ) {
        let Some(link) = self.slots.get_mut(id) else {
            return;
        };
        let Stage::Dialling(dialling) = &mut link.stage else {
            return;
        };
        let chain = match service.answered(&mut dialling.session, id, &opened) {
            Ok(chain) => chain,
            Err(why) => return self.unwanted(id, why, opened),
        };
        if let Stage::Dialling(dialling) = std::mem::replace(&mut link.stage, Stage::Lingering) {
            self.upgrade(service, id, dialling.session, chain);
        }
    }

    fn unwanted(&mut self, id: ConnectionId, why: Cow<'static, str>, opened: Opened) {
        if let Some(dialling) = self.dialling(id) {
            dialling.error = Some(Box::new(OpeningError {
                stage: OpeningStage::Handshake,
                cause: OpeningCause::Unwanted(why),
                answer: Some(opened.answer),
            }));
            self.end_dial(id);
        }
    }
}

/// Who is at the other end of what is not connected.
const fn nobody() -> Peer {
    Peer::Inet(SocketAddr::new(
        std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        0,
    ))
}
