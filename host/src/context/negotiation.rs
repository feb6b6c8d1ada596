//! Which extensions a session gets (RFC 6455 section 9.1): in the order of the host, each with the first of the
//! peer's offers that it accepts and that neither the protocol nor an extension before it stands against.

use std::sync::Arc;

use crate::{
    context::{
        handler::{Agreed, ExtensionHandler, Fault, ProtocolHandler, RequestFacts, ThreadState},
        instances::{Instances, report},
        routes::ExtensionRoute,
    },
    wire::{extension::ExtensionChain, header_list::ExtensionOffer},
};

/// The most offers of one extension that we send as client.
const ALTERNATIVES: u32 = 8;

/// The extensions that were agreed on.
#[derive(Default)]
pub(crate) struct Negotiated {
    /// They, with their states.
    pub(crate) chain: ExtensionChain,
    /// The value of Sec-WebSocket-Extensions in the answer; empty for none.
    pub(crate) answer: String,
    /// Their instances on this service thread, which the session counts in.
    pub(crate) instances: Vec<u32>,
}

/// Who negotiates.
pub(crate) struct Negotiator<'a> {
    pub(crate) protocol: &'a dyn ProtocolHandler,
    /// The protocol's state on this service thread.
    pub(crate) thread: ThreadState,
    pub(crate) request: RequestFacts<'a>,
    pub(crate) instances: &'a mut Instances<dyn ExtensionHandler>,
}

impl Negotiator<'_> {
    /// Agrees on what it can.
    pub(crate) fn negotiate(
        mut self,
        routes: &[ExtensionRoute],
        offers: &[ExtensionOffer<'_>],
    ) -> Negotiated {
        let mut agreed = Negotiated::default();
        for route in routes {
            let name = route.handler.name();
            if !self.protocol.facts().extensions.include(name) {
                continue;
            }
            for offer in offers.iter().filter(|offer| offer.name == name) {
                if self.accept(route, offer, &mut agreed) {
                    break;
                }
            }
        }
        agreed
    }

    /// Judges one offer; true when it was agreed on.
    fn accept(
        &mut self,
        route: &ExtensionRoute,
        offer: &ExtensionOffer<'_>,
        agreed: &mut Negotiated,
    ) -> bool {
        let parameters = written(offer);
        if !self.is_allowed(offer.name, &parameters) {
            return false;
        }
        let judge = |handler: Arc<dyn ExtensionHandler>, thread, request: &RequestFacts<'_>| {
            handler.accept(thread, request, &parameters)
        };
        self.take(route, judge, agreed)
    }

    /// Takes an extension in if it agrees; true when it does.
    fn take(
        &mut self,
        route: &ExtensionRoute,
        judge: impl FnOnce(
            Arc<dyn ExtensionHandler>,
            ThreadState,
            &RequestFacts<'_>,
        ) -> Result<Option<Agreed>, Fault>,
        agreed: &mut Negotiated,
    ) -> bool {
        let Some((at, thread)) = self.enter(route) else {
            return false;
        };
        let answer = judge(Arc::clone(&route.handler), thread, &self.request);
        let answer = answer.unwrap_or_else(|fault| {
            report(&*route.handler, &fault);
            None
        });
        let taken = answer.is_some_and(|answer| agreed.push(route.handler.name(), answer));
        if taken {
            agreed.instances.push(at);
        } else {
            self.instances.leave(at);
        }
        taken
    }

    fn enter(&mut self, route: &ExtensionRoute) -> Option<(u32, ThreadState)> {
        match self.instances.enter(route.instance, &route.handler) {
            Ok(at) => Some((at, self.instances.get(at)?.thread)),
            Err(fault) => {
                report(&*route.handler, &fault);
                None
            }
        }
    }

    fn is_allowed(&self, name: &str, parameters: &str) -> bool {
        let allowed = self
            .protocol
            .allows_extension(self.thread, &self.request, name, parameters);
        allowed.unwrap_or_else(|fault| {
            report(self.protocol, &fault);
            false
        })
    }
}

/// As client.
impl Negotiator<'_> {
    /// The value of Sec-WebSocket-Extensions in our request: all that the protocol lets through.
    pub(crate) fn offer(&mut self, routes: &[ExtensionRoute]) -> String {
        let mut value = String::new();
        for route in routes {
            let name = route.handler.name();
            let Some((at, thread)) = self
                .protocol
                .facts()
                .extensions
                .include(name)
                .then(|| self.enter(route))
                .flatten()
            else {
                continue;
            };
            for alternative in 0..ALTERNATIVES {
                match route.handler.offer(thread, &self.request, alternative) {
                    Ok(Some(parameters)) => {
                        if self.is_allowed(name, &parameters) {
                            add(&mut value, name, &parameters);
                        }
                    }
                    Ok(None) => break,
                    Err(fault) => {
                        report(&*route.handler, &fault);
                        break;
                    }
                }
            }
            self.instances.leave(at);
        }
        value
    }

    /// Takes the server's answer, in its order; fails when anything of it cannot stand (RFC 6455 section 9.1).
    pub(crate) fn confirm(
        mut self,
        routes: &[ExtensionRoute],
        answer: &[ExtensionOffer<'_>],
    ) -> Result<Negotiated, Unconfirmed> {
        let mut agreed = Negotiated::default();
        for chosen in answer {
            let parameters = written(chosen);
            let route = routes
                .iter()
                .find(|route| route.handler.name() == chosen.name);
            let judge = |handler: Arc<dyn ExtensionHandler>, thread, request: &RequestFacts<'_>| {
                handler.confirm(thread, request, &parameters)
            };
            if !route.is_some_and(|route| self.take(route, judge, &mut agreed)) {
                for at in agreed.instances {
                    self.instances.leave(at);
                }
                return Err(Unconfirmed(chosen.name.to_owned()));
            }
        }
        Ok(agreed)
    }
}

/// The server chose this extension in a way that cannot stand: the connection fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unconfirmed(pub(crate) String);

impl Negotiated {
    /// Adds an extension behind the others; false, with a line in the log, when it owns what another one owns.
    fn push(&mut self, name: &str, agreed: Agreed) -> bool {
        match self.chain.push(agreed.extension) {
            Ok(()) => {
                add(&mut self.answer, name, &agreed.parameters);
                true
            }
            Err(conflict) => {
                tracing::warn!(target: "hotsocket::context", extension = name, %conflict,
                    "an extension was declined beside another one");
                false
            }
        }
    }
}

/// The parameters of an offer, without quotes.
fn written(offer: &ExtensionOffer<'_>) -> String {
    let mut text = String::new();
    for parameter in &offer.parameters {
        if !text.is_empty() {
            text.push_str("; ");
        }
        text.push_str(parameter.name);
        if let Some(value) = &parameter.value {
            text.push('=');
            text.push_str(value);
        }
    }
    text
}

/// Appends an extension to the answer.
fn add(answer: &mut String, name: &str, parameters: &str) {
    if !answer.is_empty() {
        answer.push_str(", ");
    }
    answer.push_str(name);
    if !parameters.is_empty() {
        answer.push_str("; ");
        answer.push_str(parameters);
    }
}
