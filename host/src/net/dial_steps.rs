//! The steps of a connection that we open: addresses, the race of their sockets, and what
//! [`Opening`](crate::connection::opening::Opening) says from there on. What serving calls here is apart (`cold`), so that
//! the path of a message stays as short as it is without.

use std::{borrow::Cow, io, net::SocketAddr, path::Path};

use mio::{Interest, net::UnixStream};

use crate::{
    connection::opening::{Opened, OpeningCause, OpeningError, Stage as OpeningStage, Step},
    net::{
        dial::{ClientTls, DialRefused, Target},
        dialling::{Place, Wanted},
        io::Io,
        link::{Readiness, Stage},
        listener::keepalive,
        peer::Peer,
        race::Race,
        resolve::Lookup,
        service::Service,
        timers::Due,
        tls::TlsStream,
        token::ConnectionId,
        transport::Transport,
    },
};

impl<T, E> Io<T, E> {
    /// Goes on before there is something to read.
    #[cold]
    pub(super) fn pursue<S: Service<Session = T, Exchange = E>>(
        &mut self,
        service: &mut S,
        id: ConnectionId,
    ) {
        match self.dialling(id).map(|dialling| &dialling.place) {
            Some(Place::Start(_)) => self.start(service, id),
            Some(Place::Racing(_)) => self.race(id, false),
            Some(_) => {}
            None => self.call_for_body(service, id),
        }
    }

    fn start<S: Service<Session = T, Exchange = E>>(&mut self, service: &mut S, id: ConnectionId) {
        let Some(dialling) = self.dialling(id) else {
            return;
        };
        match std::mem::replace(&mut dialling.place, Place::Resolving) {
            Place::Start(Target::Named) => self.find(service, id),
            Place::Start(Target::Addresses(addresses)) => self.try_all(id, &addresses),
            Place::Start(Target::Unix(path)) => self.connect_unix(id, &path),
            place => dialling.place = place,
        }
    }

    /// Finds the addresses of the proxy, or else of the host of the URL.
    fn find<S: Service<Session = T, Exchange = E>>(&mut self, service: &mut S, id: ConnectionId) {
        let Some(dialling) = self.dialling(id) else {
            return;
        };
        let number = dialling.number;
        let request = dialling.opening.request();
        let (host, port) = match &request.proxy {
            Some(proxy) => (&proxy.host, proxy.port),
            None => (request.url.host(), request.url.port()),
        };
        if let Some(address) = host.address() {
            return self.try_all(id, &[(address, port).into()]);
        }
        // A name is shown as it is.
        let host = host.to_string();
        if !service.resolve(id, Lookup { number, host, port }) {
            let told = "too many lookups wait: see limits.resolve_jobs_count";
            self.fail_dial(id, OpeningCause::Transport(told.to_owned()));
        }
    }

    fn try_all(&mut self, id: ConnectionId, addresses: &[SocketAddr]) {
        let most = usize::try_from(self.settings.limits.dial_addresses_count);
        if let Some(dialling) = self.dialling(id) {
            dialling.place = Place::Racing(Race::new(addresses, most.unwrap_or(usize::MAX)));
            self.race(id, true);
        }
    }

    fn connect_unix(&mut self, id: ConnectionId, path: &Path) {
        if let Some(dialling) = self.dialling(id) {
            dialling.place = Place::Racing(Race::new(&[], 0));
        }
        match UnixStream::connect(path) {
            Ok(stream) => {
                let mut transport = Transport::Unix(stream);
                let interest = Interest::READABLE | Interest::WRITABLE;
                let added = transport.register(&mut self.watcher, id.token(), interest);
                match added {
                    Ok(()) => self.reach(id, transport, Peer::Unix),
                    Err(error) => self.unwatched(id, &error),
                }
            }
            Err(error) => {
                let told = format!(
                    "unix:{}: {error}; does the server run, and may we write to its socket?",
                    path.display()
                );
                self.fail_dial(id, OpeningCause::Transport(told));
            }
        }
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
        let (winner, has_failed) = race.look(&mut self.watcher);
        if let Some((address, stream)) = winner {
            dialling.stop_racing(&mut self.timers, &mut self.watcher);
            return self.reach(id, Transport::Tcp(stream), address.into());
        }
        if is_due || has_failed || race.is_idle() {
            race.begin_next(&mut self.watcher, id.token());
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
        link.transport = transport;
        link.peer = peer.into();
        if let Some(address) = peer.address() {
            let usual = keepalive(&address.into());
            // It goes on without.
            let _ = link
                .transport
                .with_socket(|socket| socket.set_tcp_keepalive(&usual));
        }
        // What was noted so far may be of a socket that has lost. To watch it anew tells the edges of this one.
        link.readiness = Readiness {
            writable: true,
            ..Readiness::default()
        };
        let watched = link.transport.rewatch(&mut self.watcher, id.token());
        let Stage::Dialling(dialling) = &mut link.stage else {
            return;
        };
        if let Err(error) = watched {
            return self.unwatched(id, &error);
        }
        dialling.place = Place::Reached;
        let step = dialling.opening.connected(&mut self.out);
        self.follow(id, step);
        self.flush(id);
    }

    fn unwatched(&mut self, id: ConnectionId, error: &io::Error) {
        let told = format!("the socket cannot be watched: {error}");
        self.fail_dial(id, OpeningCause::Transport(told));
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
            Step::Ready => {
                self.ready(id);
                None
            }
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
    #[cold]
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
    #[cold]
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
        let dialling = match &mut link.stage {
            Stage::Dialling(dialling) => dialling,
            Stage::Requesting(_) => return self.consume_response(service, id, input),
            _ => return input.len(),
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
        let Wanted::Session(session) = &mut dialling.wanted else {
            return;
        };
        let chain = match service.answered(session, id, &opened) {
            Ok(chain) => chain,
            Err(why) => return self.unwanted(id, why, opened),
        };
        if let Stage::Dialling(dialling) = std::mem::replace(&mut link.stage, Stage::Lingering)
            && let Wanted::Session(session) = dialling.wanted
        {
            self.upgrade(service, id, session, chain);
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
