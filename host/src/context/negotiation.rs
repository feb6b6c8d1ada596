//! Which extensions a session gets (RFC 6455 section 9.1): in the order of the host, each with the first of the
//! peer's offers that it accepts and that neither the protocol nor an extension before it stands against.

use crate::{
    context::{
        handler::{Agreed, ExtensionHandler, ProtocolHandler, RequestFacts, ThreadState},
        instances::{Instances, report},
        routes::ExtensionRoute,
    },
    wire::{extension::ExtensionChain, header_list::ExtensionOffer},
};

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
        let at = match self.instances.enter(route.instance, &route.handler) {
            Ok(at) => at,
            Err(fault) => {
                report(&*route.handler, &fault);
                return false;
            }
        };
        let taken = self.ask(at, &parameters).is_some_and(|answer| {
            let Agreed {
                extension,
                parameters,
            } = answer;
            match agreed.chain.push(extension) {
                Ok(()) => {
                    add(&mut agreed.answer, offer.name, &parameters);
                    true
                }
                Err(conflict) => {
                    tracing::warn!(target: "hotsocket::context", extension = offer.name, %conflict,
                        "an extension was declined beside another one");
                    false
                }
            }
        });
        if taken {
            agreed.instances.push(at);
        } else {
            self.instances.leave(at);
        }
        taken
    }

    fn ask(&self, at: u32, parameters: &str) -> Option<Agreed> {
        let instance = self.instances.get(at)?;
        let handler = std::sync::Arc::clone(&instance.handler);
        let accepted = handler.accept(instance.thread, &self.request, parameters);
        accepted.unwrap_or_else(|fault| {
            report(&*instance.handler, &fault);
            None
        })
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
