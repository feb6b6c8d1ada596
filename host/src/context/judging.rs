//! The say of policies: on a connection from its beginning to its end, and on each request before anything else has one.
//!
//! A vhost without policies pays a look at an empty list. What is kept of a connection or of a request that is being
//! judged lies in tables of the service thread, so that all others keep nothing of it.

use std::{collections::HashMap, sync::Arc};

use crate::{
    context::{
        handler::Fault,
        handshake::{self, HandshakeCall, Refused},
        instances::{Instances, report},
        policy::{PolicyCall, PolicyHandler, PolicyRoute, RequestSubject, Subject, Verdict},
        roster::SetId,
        routes::Routes,
        serving::{Context, Io},
        tags::Tags,
    },
    net::{
        connection_setup::ConnectionSetup,
        http_port::{Content, HttpPort},
        peer::Peer,
        token::ConnectionId,
    },
    wire::{fields::Fields, request_head::RequestHead},
};

/// What a policy answers that refuses without saying how.
const REFUSED: u16 = 403;

/// What the policies of a service thread know.
#[derive(Default)]
pub(super) struct Judging {
    instances: Instances<dyn PolicyHandler>,
    /// Connections that policies were told of, or have said something of.
    connections: HashMap<ConnectionId, Watched>,
    /// Requests that a policy takes its time with.
    pending: HashMap<ConnectionId, Judged>,
}

/// What is kept of a connection.
#[derive(Default)]
struct Watched {
    /// The instances that were told of it, and are to be told of its end.
    told: Vec<u32>,
    tags: Arc<Tags>,
    message_bytes: Option<u64>,
}

/// How far a request has come.
struct Judged {
    routes: Arc<Routes>,
    number: u32,
    /// So many policies have allowed it.
    passed: usize,
    granted: Granted,
}

/// What policies that allow a request have said of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Granted {
    pub(super) tags: Arc<Tags>,
    /// For the answer, whatever it will be.
    pub(super) fields: Fields,
    pub(super) message_bytes: Option<u64>,
}

/// What becomes of a request.
pub(super) enum Ruling {
    Granted(Granted),
    /// It has its answer.
    Refused,
    /// Some policy does not know yet.
    Pending,
}

impl Context {
    /// Tells the policies of a new connection, and asks them whether it may stay.
    pub(super) fn welcome(&mut self, setup: &mut ConnectionSetup<'_>) -> bool {
        // Where nothing is served any more requests are told so.
        let Some(routes) = self.vhosts.default_of(setup.listener()).cloned() else {
            return true;
        };
        if routes.policies.is_empty() {
            return true;
        }
        setup.watch();
        let mut watched = Watched::default();
        let mut is_welcome = true;
        for route in &*routes.policies {
            match self.judging.enter(route) {
                Some(at) => watched.told.push(at),
                // One that is not there refuses all requests, and says so.
                None => is_welcome &= route.handler.is_none(),
            }
        }
        let created: Hook = |policy, call| policy.created(call).map(|()| true);
        for at in watched.told.clone() {
            is_welcome &=
                self.ask_of_setup(&routes, setup, &mut watched, (at, Which::Bare), created);
        }
        let hooks: [(Which, Hook); 2] = [
            (Which::Bare, |policy, call| policy.accept(call)),
            (Which::Setup, |policy, call| policy.connection(call)),
        ];
        for (which, hook) in hooks {
            for at in watched.told.clone() {
                is_welcome = is_welcome
                    && self.ask_of_setup(&routes, setup, &mut watched, (at, which), hook);
            }
        }
        self.judging.connections.insert(setup.id(), watched);
        if !is_welcome {
            tracing::debug!(target: "hotsocket::context", peer = %setup.peer(),
                "connection refused by a policy");
        }
        is_welcome
    }

    /// Asks the policies of the vhost that was asked for with TLS about the certificate that was shown.
    pub(super) fn certified(&mut self, setup: &mut ConnectionSetup<'_>) -> bool {
        let Some(tls) = setup.tls().filter(|tls| tls.peer_certificate.is_some()) else {
            return true;
        };
        let name = tls.server_name.unwrap_or_default();
        let Some(routes) = self.vhosts.find(setup.listener(), name).cloned() else {
            return true;
        };
        if routes.policies.is_empty() {
            return true;
        }
        let before = self.judging.connections.remove(&setup.id());
        let mut watched = before.unwrap_or_default();
        let is_welcome = routes.policies.iter().all(|route| {
            let Some(at) = self.judging.enter(route) else {
                return false;
            };
            let which = (at, Which::Secured);
            let hook: Hook = |policy, call| policy.certificate(call);
            let allows = self.ask_of_setup(&routes, setup, &mut watched, which, hook);
            self.judging.instances.leave(at);
            allows
        });
        setup.watch();
        self.judging.connections.insert(setup.id(), watched);
        if !is_welcome {
            tracing::debug!(target: "hotsocket::context", peer = %setup.peer(),
                "connection refused by a policy for its certificate");
        }
        is_welcome
    }

    /// Calls a hook that concerns a whole connection. One that fails refuses.
    fn ask_of_setup(
        &self,
        routes: &Routes,
        setup: &mut ConnectionSetup<'_>,
        watched: &mut Watched,
        (at, which): (u32, Which),
        hook: Hook,
    ) -> bool {
        let Some(instance) = self.judging.instances.get(at) else {
            return false;
        };
        let Watched {
            tags,
            message_bytes,
            ..
        } = watched;
        let mut call = PolicyCall {
            id: setup.id(),
            peer: setup.peer(),
            vhost: &routes.vhost,
            tls: setup.tls(),
            is_encrypted: setup.is_encrypted(),
            is_trusted_proxy: self.vhosts.trusts(setup.peer()),
            local: setup.local(),
            subject: match which {
                Which::Bare => Subject::Bare,
                Which::Setup => Subject::Setup(setup, message_bytes),
                Which::Secured => Subject::Secured,
            },
            tags,
            tags_bytes: self.tags_bytes,
            thread: instance.thread,
            fault: String::new(),
            ip: None,
            local_text: String::new(),
        };
        hook(&*instance.handler, &mut call).unwrap_or_else(|fault| {
            report(&*instance.handler, &fault);
            false
        })
    }

    /// Asks the policies of its vhost about a request, from where they were left.
    pub(super) fn rule(
        &mut self,
        routes: &Arc<Routes>,
        head: &RequestHead<'_>,
        is_handshake: bool,
        port: &mut HttpPort<'_>,
    ) -> Ruling {
        let id = port.id();
        if routes.policies.is_empty() {
            self.give_up_judging(id);
            return Ruling::Granted(self.judging.granted(id));
        }
        let judged = self.judging.take_pending(id);
        // What other policies have said before is not what these would say.
        let judged = judged
            .filter(|judged| judged.number == port.number() && Arc::ptr_eq(&judged.routes, routes));
        let mut judged = judged.unwrap_or_else(|| Judged {
            routes: Arc::clone(routes),
            number: port.number(),
            passed: 0,
            granted: self.judging.granted(id),
        });
        // Before a policy is asked: another thread of it may know before it has said that it does not.
        let number = SetId(judged.number);
        self.hub.exchanges(self.thread).enter(id, number);
        let ruling = loop {
            let Some(route) = routes.policies.get(judged.passed) else {
                break Ruling::Granted(judged.granted);
            };
            match self.ask_of_request(route, &mut judged, head, is_handshake, port) {
                Some(Verdict::Allowed) => judged.passed += 1,
                Some(Verdict::Refused) => break Ruling::Refused,
                Some(Verdict::Pending) => {
                    self.judging.pending.insert(id, judged);
                    port.watch();
                    return Ruling::Pending;
                }
                None => {
                    routes.site.refuse(port, 500, "a policy failed");
                    break Ruling::Refused;
                }
            }
        };
        self.hub.exchanges(self.thread).leave(id);
        ruling
    }

    /// Asks one policy. None when it failed, which was reported.
    fn ask_of_request(
        &mut self,
        route: &PolicyRoute,
        judged: &mut Judged,
        head: &RequestHead<'_>,
        is_handshake: bool,
        port: &mut HttpPort<'_>,
    ) -> Option<Verdict> {
        if route.handler.is_none() {
            let text = "a policy of this server is not there: it lets nothing pass until it is";
            judged.routes.site.refuse(port, 503, text);
            return Some(Verdict::Refused);
        }
        let at = self.judging.enter(route)?;
        let instance = self.judging.instances.get(at)?;
        let Granted { tags, fields, .. } = &mut judged.granted;
        let mut request = RequestSubject {
            head,
            number: judged.number,
            is_handshake,
            fields: std::mem::take(fields),
            fields_bytes: self.answer_fields_bytes,
            refusal: None,
        };
        let mut call = PolicyCall {
            id: port.id(),
            peer: port.peer(),
            vhost: &judged.routes.vhost,
            tls: port.tls(),
            is_encrypted: port.is_encrypted(),
            is_trusted_proxy: self.vhosts.trusts(port.transport_peer()),
            local: port.local(),
            subject: Subject::Request(&mut request),
            tags,
            tags_bytes: self.tags_bytes,
            thread: instance.thread,
            fault: String::new(),
            ip: None,
            local_text: String::new(),
        };
        let verdict = instance.handler.request(&mut call);
        let verdict = verdict.map_err(|fault| report(&*instance.handler, &fault));
        self.judging.instances.leave(at);
        let RequestSubject {
            fields: said,
            refusal,
            ..
        } = request;
        if verdict == Ok(Verdict::Refused) {
            refuse(&judged.routes, &route.name, said, refusal, port);
        } else {
            *fields = said;
        }
        verdict.ok()
    }

    /// Asks the policies of its vhost about an opening handshake, before its protocol is asked.
    ///
    /// # Errors
    ///
    /// The answer when it is refused; none when a hook failed, which has been reported.
    pub(super) fn policies_judge(
        &mut self,
        routes: &Routes,
        call: &mut HandshakeCall<'_>,
    ) -> Result<(), Option<Refused>> {
        for route in &*routes.policies {
            let at = self.judging.enter(route).ok_or(None)?;
            let asked = match self.judging.instances.get(at) {
                Some(instance) => handshake::ask_policy(instance, call),
                None => Err(None),
            };
            self.judging.instances.leave(at);
            asked?;
        }
        Ok(())
    }

    /// A policy knows more of a request.
    pub(super) fn ask_again(&mut self, id: ConnectionId, number: u32, io: &mut Io) {
        let pending = self.judging.pending.get(&id);
        if pending.is_some_and(|judged| judged.number == number) {
            io.ask_again(id, number);
        }
    }

    /// Other policies may judge now: those that have taken their time may be of a plugin that does not answer any more.
    pub(super) fn ask_all_again(&self, io: &mut Io) {
        for (id, judged) in &self.judging.pending {
            io.ask_again(*id, judged.number);
        }
    }

    /// No policy has to say anything more of the request that it took its time with.
    pub(super) fn give_up_judging(&mut self, id: ConnectionId) {
        if self.judging.take_pending(id).is_some() {
            self.hub.exchanges(self.thread).leave(id);
        }
    }

    /// Tells the policies that were told of a connection that it is over.
    pub(super) fn part(&mut self, id: ConnectionId, peer: Peer) {
        self.give_up_judging(id);
        let Some(mut watched) = self.judging.connections.remove(&id) else {
            return;
        };
        for at in watched.told {
            if let Some(instance) = self.judging.instances.get(at) {
                let mut call = PolicyCall {
                    id,
                    peer,
                    vhost: "",
                    subject: Subject::Bare,
                    tls: None,
                    is_encrypted: false,
                    is_trusted_proxy: self.vhosts.trusts(peer),
                    local: None,
                    tags: &mut watched.tags,
                    tags_bytes: 0,
                    thread: instance.thread,
                    fault: String::new(),
                    ip: None,
                    local_text: String::new(),
                };
                if let Err(fault) = instance.handler.destroyed(&mut call) {
                    report(&*instance.handler, &fault);
                }
            }
            self.judging.instances.leave(at);
        }
    }
}

/// A hook that concerns a whole connection.
type Hook = fn(&dyn PolicyHandler, &mut PolicyCall<'_, '_>) -> Result<bool, Fault>;

/// Which part of a connection's life a hook is about.
#[derive(Clone, Copy)]
enum Which {
    Bare,
    Setup,
    Secured,
}

impl Judging {
    /// Counts a call in. None when the policy is not there, or cannot work on this thread.
    fn enter(&mut self, route: &PolicyRoute) -> Option<u32> {
        let entered = self
            .instances
            .enter(route.instance, route.handler.as_ref()?);
        entered.map_err(|fault| tell_fault(route, &fault)).ok()
    }

    /// What is known of a request before any policy was asked.
    fn granted(&self, id: ConnectionId) -> Granted {
        // As on most hosts.
        if self.connections.is_empty() {
            return Granted::default();
        }
        let Some(watched) = self.connections.get(&id) else {
            return Granted::default();
        };
        Granted {
            tags: Arc::clone(&watched.tags),
            fields: Fields::new(),
            message_bytes: watched.message_bytes,
        }
    }

    fn take_pending(&mut self, id: ConnectionId) -> Option<Judged> {
        // As for most requests.
        if self.pending.is_empty() {
            return None;
        }
        self.pending.remove(&id)
    }

    /// From now on connections are judged by those that `serves` names.
    pub(super) fn install(&mut self, serves: impl Fn(u64) -> bool) {
        self.instances.install(serves);
    }

    /// The thread ends.
    pub(super) fn clear(&mut self) {
        self.instances.clear();
    }
}

fn tell_fault(route: &PolicyRoute, fault: &Fault) {
    if let Some(handler) = &route.handler {
        report(&**handler, fault);
    }
}

/// Answers a request that a policy refuses.
fn refuse(
    routes: &Routes,
    policy: &str,
    mut fields: Fields,
    refusal: Option<(u16, Vec<u8>)>,
    port: &mut HttpPort<'_>,
) {
    let rule = format!("policy {policy}");
    match refusal {
        Some((status, content)) if status < 400 || !content.is_empty() => {
            port.answer(status, &fields, Content::Whole(&content));
        }
        refusal => {
            let status = refusal.map_or(REFUSED, |(status, _)| status);
            fields.set("Content-Type", "text/plain; charset=utf-8");
            routes.site.say(port, status, fields, "not allowed here");
        }
    }
    port.note_rule(rule);
}
