//! The way of a connection that we open on a service thread: its turn, the dial, redirects, the last look at the answer,
//! and what follows from a failure.

use std::{
    borrow::Cow,
    collections::{HashMap, VecDeque},
    hash::{BuildHasher, RandomState},
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    sync::Arc,
};

use crate::{
    connection::{
        opening::{Opened, OpeningCause, OpeningError, Stage},
        websocket::ClosedBy,
    },
    context::reconnecting::redirects,
    context::{
        client_request::{ClientRequest, ProxyUse},
        handler::{Fault, ProtocolHandler, RequestFacts, SessionState},
        handshake::Kept,
        instances::{Instance, report},
        negotiation::{Negotiated, Negotiator},
        outgoing::{ClientCall, Connecting, Outgoing, Whose},
        roster::SetId,
        routes::{ExtensionRoute, Routes},
        serving::{Context, Io},
        session::{ExtensionInstances, Session},
    },
    net::{
        dial::{ClientTls, Dial},
        peer::Peer,
        timer_wheel::TimerKey,
        token::ConnectionId,
    },
    wire::{Role, extension::ExtensionChain, proxy::Proxy},
};

/// Who is at the other end of what is not connected, or not known here.
const NOBODY: Peer = Peer::Inet(SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0)));

/// The connections of a service thread that are asked for and not open.
#[derive(Default)]
pub(crate) struct Clients {
    pub(super) places: HashMap<u64, Place>,
    /// Those that wait for their turn, by number, and plain requests that wait for a connection.
    pub(super) queue: VecDeque<u64>,
    /// How many are being dialled, of both.
    pub(super) dialled: u64,
    pub(super) random: RandomState,
    pub(super) drawn: u64,
}

/// Where one of them is.
pub(super) enum Place {
    /// Being dialled. Whoever dials has its session.
    Dialled { id: ConnectionId, is_given_up: bool },
    /// It waits for its turn.
    Queued(Session),
    /// It waits for its time.
    Waiting(Session, TimerKey),
}

impl Clients {
    /// A number that nobody can predict who does not see our memory.
    pub(super) fn random(&mut self) -> u64 {
        self.drawn += 1;
        self.random.hash_one(self.drawn)
    }

    fn nonce(&mut self) -> [u8; 16] {
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&self.random().to_ne_bytes());
        nonce[8..].copy_from_slice(&self.random().to_ne_bytes());
        nonce
    }

    /// It is open, or has failed; says whether it was given up meanwhile.
    pub(super) fn landed(&mut self, number: u64) -> bool {
        match self.places.remove(&number) {
            Some(Place::Dialled { is_given_up, .. }) => {
                self.dialled = self.dialled.saturating_sub(1);
                is_given_up
            }
            _ => false,
        }
    }

    /// Whether the next one is to be dialled.
    fn has_turn(&self, most: u64) -> bool {
        !self.queue.is_empty() && self.dialled < most
    }
}

impl Context {
    /// A connection was asked for.
    pub(super) fn connect(&mut self, connecting: Connecting, io: &mut Io) {
        let Some((key, handler, set)) = self.owner(&connecting) else {
            return;
        };
        let at = match self.instances.enter(key, &handler) {
            Ok(at) => at,
            Err(fault) => return report(&*handler, &fault),
        };
        if !self.vhosts.serves(key) {
            self.instances.retire(at);
        }
        let Connecting {
            number,
            request,
            given,
            seat,
            ..
        } = connecting;
        let outgoing = Outgoing {
            number,
            redirects: redirects(&request, &self.limits),
            request,
            failures: 0,
            is_given_up: false,
            given,
            _seat: seat,
        };
        let session = Session {
            own: SessionState(0),
            has_own: false,
            target: (&*outgoing.request.url.target()).into(),
            instance: at,
            extensions: ExtensionInstances::default(),
            set: self.set_index(set) as u32,
            member: 0,
            cursor: 0,
            subprotocol: false,
            is_encrypted: outgoing.request.url.scheme().is_secure(),
            kept: Some(Box::new(Kept::of_client(outgoing))),
        };
        self.clients.queue.push_back(number);
        self.clients.places.insert(number, Place::Queued(session));
        self.dial_queued(io);
    }

    /// The instance that it is for.
    fn owner(&self, connecting: &Connecting) -> Option<(u64, Arc<dyn ProtocolHandler>, SetId)> {
        match &connecting.whose {
            Whose::Instance { key, handler, set } => Some((*key, handler.upgrade()?, *set)),
            Whose::Protocol(name) => {
                let routes = self.vhosts.iter().next()?;
                let route = routes.protocols.get(&**name);
                let route = route.filter(|route| route.handler.facts().websocket);
                let Some(route) = route else {
                    tracing::error!(target: "hotsocket::context", protocol = name, url = %connecting.request.url,
                        "nothing is connected: no protocol of that name has sessions; load or link its plugin first");
                    return None;
                };
                let given = connecting.given.as_ref();
                if given.is_some_and(|given| given.is_of_program) && !route.handler.is_linked() {
                    tracing::error!(target: "hotsocket::context", protocol = name, url = %connecting.request.url,
                        "nothing is connected: a value was given, and the plugin of the protocol came from a file; \
                         link the plugin, or give no value");
                    return None;
                }
                Some((route.instance, Arc::clone(&route.handler), route.set))
            }
        }
    }

    /// Dials those whose turn it is.
    pub(super) fn dial_queued(&mut self, io: &mut Io) {
        while self.clients.has_turn(self.limits.client_dials_count) {
            let Some(number) = self.clients.queue.pop_front() else {
                return;
            };
            match self.clients.places.remove(&number) {
                Some(Place::Queued(session)) => self.dial(session, io),
                Some(other) => {
                    self.clients.places.insert(number, other);
                }
                None => self.send_request(number, io),
            }
        }
    }

    fn dial(&mut self, session: Session, io: &mut Io) {
        let prepared = self.prepare(&session, io);
        let (number, dial) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return self.client_failed(session, never(self.thread), &error, io),
        };
        match io.dial(Box::new(dial), session) {
            Ok(id) => {
                self.clients.dialled += 1;
                let place = Place::Dialled {
                    id,
                    is_given_up: false,
                };
                self.clients.places.insert(number, place);
            }
            Err((refused, session)) => {
                let error = OpeningError::before(Stage::Connect, refused.to_string());
                self.client_failed(session, never(self.thread), &error, io);
            }
        }
    }

    /// What is to be dialled.
    fn prepare(&mut self, session: &Session, io: &Io) -> Result<(u64, Dial), OpeningError> {
        let failed = |stage, told: String| OpeningError {
            stage,
            cause: OpeningCause::Unwanted(told.into()),
            answer: None,
        };
        let missing = || failed(Stage::Connect, "the instance is gone".to_owned());
        let outgoing = session.outgoing().ok_or_else(missing)?;
        let request = &outgoing.request;
        let tls = match request.url.scheme().is_secure() {
            true => self.hub.clients().tls(&request.trust),
            false => Ok(ClientTls::Plain),
        };
        let tls = tls.map_err(|told| failed(Stage::Tls, told))?;
        let proxy = self.proxy(request);
        let nonce = self.clients.nonce();
        let extensions = self.offered(session, io.next_id());
        let mut dial = Dial::new(request.opening(nonce, extensions, proxy));
        dial.tls = tls;
        dial.within_ms = request.within_ms;
        Ok((outgoing.number, dial))
    }

    pub(super) fn proxy(&self, request: &ClientRequest) -> Option<Proxy> {
        match &request.proxy {
            ProxyUse::Usual => self.vhosts.proxies().proxy_for(&request.url).cloned(),
            ProxyUse::Direct => None,
            ProxyUse::Given(proxy) => Some(proxy.clone()),
        }
    }

    /// The value of Sec-WebSocket-Extensions.
    fn offered(&mut self, session: &Session, id: Option<ConnectionId>) -> String {
        let Some(id) = id else {
            return String::new();
        };
        let vhosts = Arc::clone(&self.vhosts);
        match self.negotiator(session, id, None) {
            Some(mut negotiator) => {
                let routes = extensions_of(vhosts.iter(), negotiator.request.vhost);
                negotiator.offer(routes)
            }
            None => String::new(),
        }
    }

    fn negotiator<'a>(
        &'a mut self,
        session: &'a Session,
        id: ConnectionId,
        subprotocol: Option<&'a str>,
    ) -> Option<Negotiator<'a>> {
        let Self {
            instances,
            extensions,
            ..
        } = self;
        let instance = instances.get(session.instance)?;
        Some(Negotiator {
            protocol: &*instance.handler,
            thread: instance.thread,
            request: facts(instance, session, id, subprotocol),
            instances: extensions,
        })
    }

    /// A server has accepted our opening handshake.
    pub(super) fn client_answered(
        &mut self,
        session: &mut Session,
        id: ConnectionId,
        opened: &Opened,
    ) -> Result<ExtensionChain, Cow<'static, str>> {
        self.look_at_answer(session, id, opened)?;
        let vhosts = Arc::clone(&self.vhosts);
        let subprotocol = opened.subprotocol.as_deref();
        let Some(negotiator) = self.negotiator(session, id, subprotocol) else {
            return Err("the instance is gone".into());
        };
        let facts = negotiator.protocol.facts();
        let is_own = subprotocol == Some(&*facts.name);
        let (names, vhost) = (facts.keep_headers.clone(), negotiator.request.vhost);
        let routes = extensions_of(vhosts.iter(), vhost);
        let Negotiated {
            chain, instances, ..
        } = negotiator
            .confirm(routes, &opened.extensions())
            .map_err(|unconfirmed| {
                format!(
                    "the server answers extension `{}` in a way that cannot stand",
                    unconfirmed.0
                )
            })?;
        session.extensions = instances.into();
        session.subprotocol = is_own;
        if let Some(kept) = &mut session.kept {
            kept.keep_answer(&opened.answer, &names, subprotocol.filter(|_| !is_own));
        }
        Ok(chain)
    }

    /// Has the protocol look at the answer.
    fn look_at_answer(
        &mut self,
        session: &mut Session,
        id: ConnectionId,
        opened: &Opened,
    ) -> Result<(), Cow<'static, str>> {
        let subprotocol = opened.subprotocol.as_deref();
        let judged = self.with_client(session, id, subprotocol, |instance, call| {
            let mut call = call.with_answer(Some(&opened.answer));
            let judged = instance.handler.answered(&mut call);
            (judged, call.refusal)
        });
        match judged {
            Some((Ok(true), _)) => Ok(()),
            Some((Ok(false), why)) if why.is_empty() => {
                Err("the protocol refused the answer".into())
            }
            Some((Ok(false), why)) => Err(why.into()),
            Some((Err(fault), _)) => {
                self.report_of(session, &fault);
                Err("the protocol failed".into())
            }
            None => Err("the instance is gone".into()),
        }
    }

    /// Calls a hook of a connection that is not a session.
    pub(super) fn with_client<R>(
        &self,
        session: &mut Session,
        id: ConnectionId,
        subprotocol: Option<&str>,
        hook: impl FnOnce(&Instance<dyn ProtocolHandler>, ClientCall<'_>) -> R,
    ) -> Option<R> {
        let instance = self.instances.get(session.instance)?;
        let mut kept = session.kept.take()?;
        let answer = kept.client.as_mut().map(|outgoing| {
            let facts = facts(instance, session, id, subprotocol);
            hook(instance, ClientCall::new(outgoing, facts, instance.thread))
        });
        session.kept = Some(kept);
        answer
    }

    pub(super) fn report_of(&self, session: &Session, fault: &Fault) {
        if let Some(instance) = self.instances.get(session.instance) {
            report(&*instance.handler, fault);
        }
    }

    /// What was dialled is a session now.
    pub(super) fn client_opened(&mut self, session: &mut Session) {
        let set = &self.sets[session.set as usize];
        session.member = set.members.len() as u32;
        session.cursor = set.frames().len() as u32;
        if let Some(outgoing) = session.outgoing_mut() {
            outgoing.failures = 0;
            let number = outgoing.number;
            self.clients.landed(number);
        }
    }

    /// Nobody wants a connection any more that is not open.
    pub(super) fn give_up_client(&mut self, number: u64, by: ClosedBy, why: &str, io: &mut Io) {
        match self.clients.places.remove(&number) {
            Some(Place::Dialled { id, .. }) => {
                let place = Place::Dialled {
                    id,
                    is_given_up: true,
                };
                self.clients.places.insert(number, place);
                io.hang_up(id, by, why);
            }
            Some(Place::Waiting(session, key)) => {
                io.take_back(key);
                self.client_given_up(session, why, io);
            }
            Some(Place::Queued(session)) => self.client_given_up(session, why, io),
            None => {}
        }
    }

    fn client_given_up(&mut self, mut session: Session, why: &str, io: &mut Io) {
        if let Some(outgoing) = session.outgoing_mut() {
            outgoing.is_given_up = true;
        }
        let error = OpeningError {
            stage: Stage::Connect,
            cause: OpeningCause::GivenUp(why.to_owned()),
            answer: None,
        };
        self.client_failed(session, never(self.thread), &error, io);
    }

    /// Gives up all connections that are not open, of these instances or of all.
    pub(super) fn give_up_clients(&mut self, keys: Option<&[u64]>, why: &str, io: &mut Io) {
        let numbers: Vec<_> = self.clients.places.keys().copied().collect();
        for number in numbers {
            let session = match self.clients.places.get(&number) {
                None => None,
                Some(Place::Queued(session) | Place::Waiting(session, _)) => Some(session.instance),
                Some(Place::Dialled { id, .. }) => {
                    io.dialled_session(*id).map(|session| session.instance)
                }
            };
            let is_meant = |at: u32| keys.is_none_or(|keys| self.instances.is_among(at, keys));
            if session.is_some_and(is_meant) {
                self.give_up_client(number, ClosedBy::Drain, why, io);
            }
        }
    }

    /// It is over.
    pub(super) fn client_ended(&mut self, session: Session, error: &OpeningError) {
        if let Some(outgoing) = session.outgoing() {
            tracing::debug!(target: "hotsocket::context", url = %outgoing.request.url, connect = outgoing.number, %error,
                "a connection could not be opened");
        }
        let at = session.instance;
        drop(session);
        self.instances.leave(at);
    }

    /// The thread ends: what still waits is freed.
    pub(super) fn forget_clients(&mut self) {
        for (_, place) in std::mem::take(&mut self.clients.places) {
            if let Place::Queued(session) | Place::Waiting(session, _) = place {
                let at = session.instance;
                drop(session);
                self.instances.leave(at);
            }
        }
    }
}

/// What is known of a connection that is not a session.
fn facts<'a>(
    instance: &'a Instance<dyn ProtocolHandler>,
    session: &'a Session,
    connection: ConnectionId,
    subprotocol: Option<&'a str>,
) -> RequestFacts<'a> {
    let protocol = instance.handler.facts();
    RequestFacts {
        connection,
        vhost: &protocol.vhost,
        target: &session.target,
        peer: NOBODY,
        peer_name: None,
        tls: None,
        protocol,
        subprotocol,
        role: Role::Client,
    }
}

fn extensions_of<'a>(
    mut vhosts: impl Iterator<Item = &'a Arc<Routes>>,
    name: &str,
) -> &'a [ExtensionRoute] {
    let found = vhosts.find(|routes| *routes.vhost == *name);
    found.map_or(&[], |routes| &routes.extensions)
}

/// The id of what was never dialled.
fn never(thread: usize) -> ConnectionId {
    ConnectionId::new(thread as u8, 0, u32::MAX)
}
