//! The say of policies on each request before anything else has one; `admission.rs` has what they say of connections.
//!
//! A vhost without policies pays a look at an empty list. What is kept of a connection or of a request that is being
//! judged lies in tables of the service thread, so that all others keep nothing of it.

use std::{collections::HashMap, sync::Arc};

use crate::{
    context::{
        admission::Watched,
        client::{self, Asks},
        exchange::Exchange,
        handler::Fault,
        handshake::{self, HandshakeCall, Refused},
        instances::{Instances, report},
        policy::{PolicyCall, PolicyHandler, PolicyRoute, RequestSubject, Subject, Verdict},
        roster::SetId,
        routes::Routes,
        serving::{Context, Io},
        site::Site,
        tags::Tags,
        told::Told,
    },
    net::{
        http_port::{Content, HttpPort},
        service,
        token::ConnectionId,
    },
    wire::{fields::Fields, request_head::RequestHead},
};

/// What a policy answers that refuses without saying how.
const REFUSED: u16 = 403;

/// What the policies of a service thread know.
#[derive(Default)]
pub(super) struct Judging {
    pub(super) instances: Instances<dyn PolicyHandler>,
    /// Connections that policies were told of, or have said something of.
    pub(super) connections: HashMap<ConnectionId, Watched>,
    /// Nothing, as is said of most requests: shared by all of them.
    no_tags: Arc<Tags>,
    /// Requests that a policy takes its time with.
    pending: HashMap<ConnectionId, Judged>,
}

/// How far a request has come.
struct Judged {
    routes: Arc<Routes>,
    number: u32,
    /// So many policies have allowed it.
    passed: usize,
    granted: Granted,
    /// What the access log is to tell of it, if there is one.
    told: Option<Box<Told>>,
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
            told: None,
        });
        // Before a policy is asked: another thread of it may know before it has said that it does not.
        let number = SetId(judged.number);
        self.hub.exchanges(self.thread).enter(id, number);
        let ruling = loop {
            let Some(route) = routes.policies.get(judged.passed) else {
                break Ruling::Granted(judged.granted);
            };
            let before = judged.granted.fields.clone();
            match self.ask_of_request(route, &mut judged, head, is_handshake, port) {
                Some(Verdict::Allowed) => judged.passed += 1,
                Some(Verdict::Refused) => break Ruling::Refused,
                Some(Verdict::Pending) => {
                    // It adds them again when it knows.
                    judged.granted.fields = before;
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
        let asks = client::asks(head, port.transport_peer(), self.vhosts.trusted_proxies());
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
            is_peer_hidden: asks == Asks::ForNobodyKnown,
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
        self.take_judged(id);
    }

    fn take_judged(&mut self, id: ConnectionId) -> Option<Judged> {
        let judged = self.judging.take_pending(id)?;
        self.hub.exchanges(self.thread).leave(id);
        Some(judged)
    }

    /// What the access log is to tell of a request, from when it was first looked at.
    pub(super) fn told(&mut self, head: &RequestHead<'_>, port: &HttpPort<'_>) -> Box<Told> {
        let known = self.judging.pending.get_mut(&port.id());
        let known = known.filter(|judged| judged.number == port.number());
        let told = known.and_then(|judged| judged.told.take());
        told.unwrap_or_else(|| Told::of(head).into())
    }

    /// Keeps that for a request that a policy takes its time with.
    pub(super) fn keep_told(&mut self, id: ConnectionId, told: Option<Box<Told>>) {
        if let Some(judged) = self.judging.pending.get_mut(&id) {
            judged.told = told;
        }
    }

    /// Refuses the request that a policy takes its time with, if there is one: it is one of its vhost and its client.
    pub(super) fn overrule(
        &mut self,
        why: &service::Refused,
        port: &mut HttpPort<'_>,
    ) -> Option<Exchange> {
        let Judged {
            routes,
            passed,
            told,
            ..
        } = self.take_judged(port.id())?;
        routes.site.complete(port);
        if let Some(policy) = routes.policies.get(passed) {
            port.note_rule(format!("policy {}: {}", policy.name, why.why));
        }
        Site::refuse(&routes.site, port, why.status, why.why.clone());
        let exchange = Exchange::answered(&routes.site);
        Some(Exchange { told, ..exchange })
    }
}

impl Judging {
    /// Counts a call in. None when the policy is not there, or cannot work on this thread.
    pub(super) fn enter(&mut self, route: &PolicyRoute) -> Option<u32> {
        let entered = self
            .instances
            .enter(route.instance, route.handler.as_ref()?);
        entered.map_err(|fault| tell_fault(route, &fault)).ok()
    }

    /// What is known of a request before any policy was asked.
    fn granted(&self, id: ConnectionId) -> Granted {
        // As on most hosts.
        if self.connections.is_empty() {
            return self.nothing_said();
        }
        let Some(watched) = self.connections.get(&id) else {
            return self.nothing_said();
        };
        Granted {
            tags: Arc::clone(&watched.tags),
            fields: Fields::new(),
            message_bytes: watched.message_bytes,
        }
    }

    fn nothing_said(&self) -> Granted {
        Granted {
            tags: Arc::clone(&self.no_tags),
            fields: Fields::new(),
            message_bytes: None,
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
