//! The say of policies on a connection: from its beginning, before anything was read, to its end.

use std::sync::Arc;

use crate::{
    context::{
        handler::Fault,
        instances::report,
        policy::{PolicyCall, PolicyHandler, Subject},
        routes::Routes,
        serving::Context,
        tags::Tags,
    },
    net::{connection_setup::ConnectionSetup, peer::Peer, token::ConnectionId},
};

/// What is kept of a connection.
#[derive(Default)]
pub(super) struct Watched {
    /// The instances that were told of it, and are to be told of its end.
    told: Vec<u32>,
    pub(super) tags: Arc<Tags>,
    pub(super) message_bytes: Option<u64>,
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
            is_peer_hidden: false,
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
                    is_peer_hidden: false,
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
