//! The way of an opening handshake that has found its protocol: what the protocol says of it, extensions, the answer, and
//! what is kept for the session.

use std::sync::Arc;

use crate::{
    context::{
        exchange::Exchange,
        handler::{RequestFacts, SessionState},
        handshake::{self, Accepted, HandshakeCall, Kept, Refused},
        judging::Granted,
        negotiation::{Negotiated, Negotiator},
        request::{self, Opening},
        routes::Routes,
        serving::Context,
        session::Session,
    },
    net::{http_port::HttpPort, service::Answer},
    wire::{Role, request_head::RequestHead},
};

impl Context {
    /// Answers an opening handshake for an instance on this service thread, which has counted it in.
    pub(super) fn accept(
        &mut self,
        routes: &Routes,
        head: &RequestHead<'_>,
        port: &mut HttpPort<'_>,
        opening: &Opening<'_, '_>,
        (instance, granted): (u32, &Granted),
    ) -> Answer<Session, Exchange> {
        let target = origin_form(head);
        let peer_name = port.peer_name().cloned();
        let mut facts = RequestFacts {
            connection: port.id(),
            vhost: &routes.vhost,
            target: &target,
            peer: port.peer(),
            peer_name: peer_name.as_deref(),
            tls: port.tls(),
            protocol: opening.bound.route.handler.facts(),
            subprotocol: opening.subprotocol(),
            role: Role::Server,
        };
        let accepted = match self.judge(routes, (instance, granted), head, opening, facts) {
            Ok(accepted) => accepted,
            Err(refused) => {
                match refused {
                    Some(refused) => request::turn_away(&refused, port),
                    None => routes.site.fail(port),
                }
                self.instances.leave(instance);
                return Answer::Exchange(Exchange::answered(&routes.site));
            }
        };
        facts.subprotocol = accepted.subprotocol;
        let Negotiated {
            chain,
            answer: extensions,
            instances,
        } = self.negotiate(routes, instance, opening, facts);
        request::accept(opening, &accepted, &extensions, port.switch());
        let set = self.set_index(opening.bound.route.set);
        let own_name = accepted.subprotocol == Some(&**opening.bound.name);
        let other_name = accepted.subprotocol.filter(|_| !own_name);
        let names = &facts.protocol.keep_headers;
        let kept = Kept::of(head, names, other_name, accepted.learnt, granted);
        let mut session = Session {
            own: SessionState(0),
            has_own: false,
            target: (&*target).into(),
            instance,
            extensions: instances.into(),
            set: set as u32,
            member: self.sets[set].members.len() as u32,
            cursor: self.sets[set].frames().len() as u32,
            subprotocol: own_name,
            is_encrypted: port.is_encrypted(),
            kept,
        };
        if let Some(name) = &peer_name {
            session.learn_peer_name(Arc::clone(name));
        }
        Answer::Upgrade(session, chain)
    }

    /// Has the policies and then the protocol judge the opening handshake.
    fn judge<'a>(
        &mut self,
        routes: &Routes,
        (instance, granted): (u32, &'a Granted),
        request: &'a RequestHead<'a>,
        opening: &'a Opening<'_, 'a>,
        facts: RequestFacts<'a>,
    ) -> Result<Accepted<'a>, Option<Refused>> {
        let offered = &opening.upgrade.subprotocols;
        let most = usize::try_from(self.answer_fields_bytes).unwrap_or(usize::MAX);
        let mut call = HandshakeCall::new(request, offered, facts, granted, most);
        self.policies_judge(routes, &mut call)?;
        let instance = self.instances.get(instance).ok_or(None)?;
        handshake::judge(instance, call)
    }

    /// Agrees on extensions with the peer.
    fn negotiate(
        &mut self,
        routes: &Routes,
        instance: u32,
        opening: &Opening<'_, '_>,
        request: RequestFacts<'_>,
    ) -> Negotiated {
        let offers = &opening.upgrade.extensions;
        let Some(instance) = self.instances.get(instance) else {
            return Negotiated::default();
        };
        if offers.is_empty() || routes.extensions.is_empty() {
            return Negotiated::default();
        }
        let negotiator = Negotiator {
            protocol: &*instance.handler,
            thread: instance.thread,
            request,
            instances: &mut self.extensions,
        };
        negotiator.negotiate(&routes.extensions, offers)
    }
}

/// Path and query of a request, whatever the form of its target.
fn origin_form(request: &RequestHead<'_>) -> Box<str> {
    match request.query() {
        Some(query) => format!("{}?{query}", request.path()).into(),
        None => request.path().into(),
    }
}
