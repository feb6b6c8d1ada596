//! The context of one service thread: [`Service`] carried out with protocols.

use std::{borrow::Cow, fs::File, ops::Range, sync::Arc};

use crate::{
    connection::{
        inbound::InboundRules,
        opening::{Opened, OpeningError},
        websocket::CloseReport,
    },
    context::{
        broadcast::Set,
        client::{self, Asks},
        connecting::Clients,
        exchange::{Doing, Exchange},
        files::FileCache,
        handler::{ExtensionHandler, ProtocolHandler},
        hub::{Command, Hub, TurnQueue},
        instances::{Instances, report},
        judging::{Judging, Ruling},
        offload::{OffloadDesk, OffloadThreads},
        request::{self, Asked},
        requests::Requests,
        routes::Routes,
        session::{Session, SessionCall},
        site::Site,
        told::Told,
        vhosts::Vhosts,
    },
    limits::Limits,
    net::{
        connection_setup::ConnectionSetup,
        frames::{Frames, Heard},
        http_port::HttpPort,
        io,
        peer::Peer,
        port::Port,
        requesting::{EndedRequest, RequestPort},
        resolve::Lookup,
        seats::Full,
        service::{Answer, ExchangeEnd, Refused, Service},
        token::ConnectionId,
    },
    wire::{
        answer_head::AnswerHead,
        extension::ExtensionChain,
        fields::Fields,
        handshake::{self, Refusal},
        request_head::RequestHead,
    },
};

/// The connections of a service thread.
pub(crate) type Io = io::Io<Session, Exchange>;

/// How many rounds of commands that hooks queue for their own thread are done in one turn.
const ROUNDS: usize = 8;
/// When a client that found no room may ask again, in seconds: long enough to matter when all do, and short for a person
/// who waits.
const RETRY_AFTER_S: &str = "5";
/// From so many commands on they are not left to the end of the turn.
const PRESSING: usize = 1024;

/// What one service thread serves.
pub struct Context {
    pub(super) thread: usize,
    pub(super) hub: Arc<Hub>,
    pub(super) vhosts: Arc<Vhosts>,
    pub(super) instances: Instances<dyn ProtocolHandler>,
    pub(super) extensions: Instances<dyn ExtensionHandler>,
    pub(super) sets: Vec<Set>,
    /// Indices of the sets that have frames to deliver in this turn.
    pub(super) gathered: Vec<usize>,
    pub(super) message_bytes: u64,
    pub(super) answer_fields_bytes: u64,
    pub(super) tags_bytes: u64,
    pub(super) judging: Judging,
    pub(super) desk: OffloadDesk,
    pub(super) files: FileCache,
    pub(super) clients: Clients,
    pub(super) requests: Requests,
    pub(super) limits: Arc<Limits>,
    /// Nothing new is begun.
    pub(super) is_draining: bool,
    /// Emptied and filled again and again.
    commands: Vec<Command>,
    queue: TurnQueue,
}

impl Context {
    /// The context of service thread `thread`. What waits for a disk is left to `files`.
    #[must_use]
    pub fn new(
        thread: usize,
        hub: Arc<Hub>,
        vhosts: Arc<Vhosts>,
        files: Arc<OffloadThreads>,
        limits: &Limits,
    ) -> Self {
        Self {
            desk: OffloadDesk::new(files, Arc::clone(&hub), thread),
            thread,
            hub,
            vhosts,
            instances: Instances::default(),
            extensions: Instances::default(),
            sets: Vec::new(),
            gathered: Vec::new(),
            message_bytes: limits.message_bytes,
            answer_fields_bytes: limits.answer_fields_bytes,
            tags_bytes: limits.tags_bytes,
            judging: Judging::default(),
            files: FileCache::default(),
            clients: Clients::default(),
            requests: Requests::default(),
            limits: Arc::new(limits.clone()),
            is_draining: false,
            commands: Vec::new(),
            queue: TurnQueue::default(),
        }
    }
}

impl Context {
    /// The name of who asks, where names are looked up and if it is known.
    fn peer_name(&self, port: &HttpPort<'_>) -> Option<Arc<str>> {
        let names = self.vhosts.peer_names()?;
        names.ask(port.id(), port.peer().address()?.ip())
    }

    /// What a request gets.
    fn answer(
        &mut self,
        routes: &Arc<Routes>,
        head: &RequestHead<'_>,
        port: &mut HttpPort<'_>,
    ) -> Answer<Session, Exchange> {
        if let Err(full) = port.enter(routes.seats) {
            self.give_up_judging(port.id());
            return Answer::Exchange(turn_away(routes, port, full));
        }
        let upgrade = handshake::judge_request(head);
        let is_handshake = !matches!(upgrade, Err(Refusal::NotUpgrade));
        let granted = match self.rule(routes, head, is_handshake, port) {
            Ruling::Granted(granted) => granted,
            Ruling::Refused => return Answer::Exchange(Exchange::answered(&routes.site)),
            Ruling::Pending => return Answer::Pending,
        };
        let opening = match request::judge(routes, head, upgrade, &granted, port) {
            Asked::Opening(opening) => opening,
            Asked::Plain => return Answer::Exchange(self.plain(routes, head, &granted, port)),
            Asked::Refused => return Answer::Exchange(Exchange::answered(&routes.site)),
        };
        let route = opening.bound.route;
        match self.instances.enter(route.instance, &route.handler) {
            Ok(at) => self.accept(routes, head, port, &opening, (at, &granted)),
            Err(fault) => {
                report(&*route.handler, &fault);
                routes.site.fail(port);
                Answer::Exchange(Exchange::answered(&routes.site))
            }
        }
    }
}

/// Refuses a request by a listener whose vhosts are gone. RFC 9110 section 15.5.20: by another connection it may be
/// answered.
fn serve_nowhere(port: &mut HttpPort<'_>) -> Exchange {
    let site = Arc::default();
    Site::refuse(
        &site,
        port,
        421,
        "nothing is served by this connection any more",
    );
    Exchange::answered(&site)
}

/// Refuses a request whose vhost has as many connections as it may, and ends the connection.
#[cold]
fn turn_away(routes: &Routes, port: &mut HttpPort<'_>, full: Full) -> Exchange {
    let (vhost, peer, most) = (&*routes.vhost, port.peer(), routes.seats.most);
    if full.is_news {
        tracing::warn!(target: "hotsocket::context", vhost, %peer, most,
            "a vhost is full: further connections are answered 503 until some have ended; \
             to allow more, raise `max_connections` of the vhost in the config");
    } else {
        tracing::debug!(target: "hotsocket::context", vhost, %peer, most, "connection refused: its vhost is full");
    }
    port.close_after();
    let fields = [("Retry-After", RETRY_AFTER_S)];
    let text = "this host has all the connections it may have; try again later";
    routes.site.refuse_with(port, 503, &fields, text);
    Exchange::answered(&routes.site)
}

impl Service for Context {
    type Session = Session;

    type Exchange = Exchange;

    fn accepted(&mut self, setup: &mut ConnectionSetup<'_>) -> bool {
        self.welcome(setup)
    }

    fn secured(&mut self, setup: &mut ConnectionSetup<'_>) -> bool {
        self.certified(setup)
    }

    fn gone(&mut self, id: ConnectionId, peer: Peer) {
        self.part(id, peer);
    }

    fn request(
        &mut self,
        head: &RequestHead<'_>,
        port: &mut HttpPort<'_>,
    ) -> Answer<Session, Exchange> {
        let asks = client::asks(head, port.transport_peer(), self.vhosts.trusted_proxies());
        port.asks_for(match asks {
            Asks::For(client) => Some(client),
            Asks::Itself | Asks::ForNobodyKnown => None,
        });
        port.note_peer_name(self.peer_name(port));
        let Some(routes) = self.vhosts.of_request(port.listener(), head) else {
            self.give_up_judging(port.id());
            return Answer::Exchange(serve_nowhere(port));
        };
        let routes = Arc::clone(routes);
        routes.site.complete(port);
        let log = routes.site.access_log.as_ref();
        let told = log.map(|_| self.told(head, port));
        let misdirection = self.vhosts.misdirection(&routes, port);
        if let Some(why) = misdirection {
            self.give_up_judging(port.id());
            routes.site.refuse(port, 421, why);
            let exchange = Exchange::answered(&routes.site);
            return Answer::Exchange(Exchange { told, ..exchange });
        }
        match self.answer(&routes, head, port) {
            Answer::Exchange(exchange) => Answer::Exchange(Exchange { told, ..exchange }),
            Answer::Pending => {
                self.keep_told(port.id(), told);
                Answer::Pending
            }
            upgrade => {
                if let (Some(log), Some(told)) = (log, told) {
                    let peer_name = port.peer_name().cloned();
                    let end = ExchangeEnd {
                        peer_name,
                        ..ExchangeEnd::upgraded()
                    };
                    told.tell(log, port.peer(), &end);
                }
                upgrade
            }
        }
    }

    fn trusts(&self, peer: Peer) -> bool {
        client::is_trusted(self.vhosts.trusted_proxies(), peer)
    }

    fn unreadable(&mut self, why: &Refused, port: &mut HttpPort<'_>) -> Exchange {
        if let Some(exchange) = self.overrule(why, port) {
            return exchange;
        }
        // What a request before it said is over.
        port.asks_for(None);
        let Some(routes) = self.vhosts.default_of(port.listener()) else {
            return serve_nowhere(port);
        };
        let site = &routes.site;
        site.complete(port);
        site.refuse(port, why.status, why.why.clone());
        let log = site.access_log.as_ref();
        Exchange {
            told: log.map(|_| Box::new(Told::unread())),
            ..Exchange::answered(site)
        }
    }

    fn refuse(&mut self, exchange: &mut Exchange, port: &mut HttpPort<'_>, why: &Refused) {
        match exchange.handled() {
            Some(handled) => self.refuse_handled(handled, port, why),
            None if port.is_answered() => {}
            None => exchange.site.refuse(port, why.status, why.why.clone()),
        }
    }

    fn body(&mut self, exchange: &mut Exchange, port: &mut HttpPort<'_>, piece: &[u8]) {
        if let Some(handled) = exchange.handled() {
            self.give_piece(handled, port, piece);
        }
    }

    fn body_end(&mut self, exchange: &mut Exchange, port: &mut HttpPort<'_>, trailer: Fields) {
        if let Some(handled) = exchange.handled() {
            self.end_body(handled, port, trailer);
        }
    }

    fn http_writable(&mut self, exchange: &mut Exchange, port: &mut HttpPort<'_>) {
        if let Some(handled) = exchange.handled() {
            self.call_exchange(handled, port, |http, state, call| {
                http.writable(state, call)
            });
        }
    }

    fn http_timer(&mut self, exchange: &mut Exchange, port: &mut HttpPort<'_>, id: u64) {
        if let Some(handled) = exchange.handled() {
            self.call_exchange(handled, port, |http, state, call| {
                http.timer(state, call, id)
            });
        }
    }

    fn exchange_ended(
        &mut self,
        exchange: Exchange,
        id: ConnectionId,
        peer: Peer,
        end: &ExchangeEnd,
    ) {
        if let (Some(log), Some(told)) = (&exchange.site.access_log, &exchange.told) {
            told.tell(log, peer, end);
        }
        if let Doing::Handler(handled) = exchange.doing {
            self.end_handled(*handled, (id, peer), end);
        }
    }

    fn warm(&mut self, id: ConnectionId, number: u32, file: &Arc<File>, range: Range<u64>) {
        self.desk.warm((id, number), file, range);
    }

    fn resolve(&mut self, id: ConnectionId, lookup: Lookup) -> bool {
        self.desk.resolve(id, lookup)
    }

    fn answered(
        &mut self,
        session: &mut Session,
        id: ConnectionId,
        opened: &Opened,
    ) -> Result<ExtensionChain, Cow<'static, str>> {
        self.client_answered(session, id, opened)
    }

    fn dial_failed(
        &mut self,
        session: Session,
        id: ConnectionId,
        error: Box<OpeningError>,
        io: &mut Io,
    ) {
        self.dial_ended(session, id, &error, io);
        self.dial_queued(io);
    }

    fn request_reached(&mut self, number: u64) {
        self.request_is_sent(number);
    }

    fn response_head(&mut self, number: u64, head: &AnswerHead<'_>, port: &mut RequestPort<'_>) {
        self.tell_head(number, head, port);
    }

    fn response_content(&mut self, number: u64, piece: &[u8], port: &mut RequestPort<'_>) {
        self.tell_content(number, piece, port);
    }

    fn request_writable(&mut self, number: u64, port: &mut RequestPort<'_>) {
        self.tell_writable(number, port);
    }

    fn request_ended(&mut self, ended: EndedRequest, io: &mut Io) {
        self.request_over(ended, io);
        self.dial_queued(io);
    }

    fn called(&mut self, number: u64, io: &mut Io) {
        self.client_due(number, io);
    }

    fn opened(&mut self, session: &mut Session, port: &mut Port<'_>) {
        self.client_opened(session);
        let set = &mut self.sets[session.set as usize];
        set.members.push(port.id());
        self.hub.roster(self.thread).enter(port.id(), set.id);
        let Some(instance) = self.instances.get(session.instance) else {
            return;
        };
        let mut call = SessionCall {
            id: port.id(),
            peer: port.peer(),
            set: &self.sets[session.set as usize],
            session,
            port: Some(port),
            instance,
            fault: String::new(),
            ip: None,
        };
        let opened = instance.handler.open(&mut call);
        session.forget_learnt();
        match opened {
            Ok(state) => session.set_state(state),
            Err(fault) => {
                // Nobody is to find a session that never was one.
                self.hub.roster(self.thread).leave(port.id());
                self.fail(instance, session, port, &fault);
            }
        }
    }

    #[inline]
    fn hear(&mut self, session: &mut Session, port: &mut Port<'_>, frames: &mut Frames<'_>) {
        let (most, mut is_heard) = (self.message_bytes, false);
        self.call(session, port, |instance, state, call| {
            let facts = instance.handler.facts();
            let rules = InboundRules {
                role: call.role(),
                message_bytes: call.session.message_bytes(most),
                delivery: facts.delivery,
            };
            while let Some(port) = &mut call.port
                && let Some(heard) = frames.next(&rules, port)
            {
                match heard {
                    Heard::Message(message) => instance.handler.message(state, call, message)?,
                    Heard::Pong(payload) if facts.pongs => {
                        instance.handler.pong(state, call, payload)?;
                    }
                    Heard::Pong(_) | Heard::Nothing => {}
                }
            }
            is_heard = true;
            Ok(())
        });
        if !is_heard {
            frames.give_up();
        }
    }

    fn writable(&mut self, session: &mut Session, port: &mut Port<'_>) {
        self.call(session, port, |instance, state, call| {
            instance.handler.writable(state, call)
        });
    }

    fn timer(&mut self, session: &mut Session, port: &mut Port<'_>, id: u64) {
        self.call(session, port, |instance, state, call| {
            instance.handler.timer(state, call, id)
        });
    }

    fn closed(
        &mut self,
        mut session: Session,
        id: ConnectionId,
        peer: Peer,
        close: &CloseReport,
        io: &mut Io,
    ) {
        self.hub.roster(self.thread).leave(id);
        self.leave_set(&session, id, io);
        if let Some(instance) = self.instances.get(session.instance)
            && let Some(state) = session.take_state()
        {
            let mut call = self.farewell(instance, &mut session, id, peer);
            if let Err(fault) = instance.handler.close(state, &mut call, close) {
                report(&*instance.handler, &fault);
            }
            self.destroy(instance, &mut session, id, peer, state);
        }
        session.forget_learnt();
        self.instances.leave(session.instance);
        for at in session.extensions.as_slice() {
            self.extensions.leave(*at);
        }
    }

    fn turn_begins(&mut self) {
        let queue = std::mem::take(&mut self.queue);
        self.hub.begin_turn(self.thread, queue);
    }

    fn woken(&mut self, io: &mut Io) {
        let mut commands = std::mem::take(&mut self.commands);
        self.hub.mailbox(self.thread).take(&mut commands);
        for command in commands.drain(..) {
            self.command(command, io);
            self.connection_served(io);
        }
        self.commands = commands;
    }

    fn connection_served(&mut self, io: &mut Io) {
        if self.hub.waiting_in_turn() >= PRESSING {
            self.round(io);
        }
    }

    fn events_served(&mut self, io: &mut Io) {
        for _ in 0..ROUNDS {
            if !self.round(io) {
                break;
            }
        }
        // Some may have been opened, so that it is the turn of others.
        self.dial_queued(io);
        self.deliver_all(io);
    }

    fn turn_ends(&mut self) -> bool {
        self.queue = self.hub.end_turn();
        !self.queue.is_empty()
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        self.forget_clients();
        self.requests.forget();
        self.instances.clear();
        self.extensions.clear();
        self.judging.clear();
    }
}
