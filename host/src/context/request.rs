//! What an opening handshake gets: a protocol, or a refusal that says what is missing.

use std::sync::Arc;

use crate::{
    context::{
        handshake::{Accepted, Refused},
        judging::Granted,
        routes::{Bound, Routes},
    },
    net::http_port::{Content, HttpPort},
    wire::{
        handshake::{self, Refusal, Upgrade},
        request_head::RequestHead,
    },
};

/// An opening handshake and the protocol it gets.
pub(crate) struct Opening<'r, 'h> {
    pub(crate) bound: Bound<'r>,
    pub(crate) upgrade: Upgrade<'h>,
}

/// What a request asks for.
pub(crate) enum Asked<'r, 'h> {
    /// No WebSocket.
    Plain,
    /// A WebSocket, and this is the protocol it gets.
    Opening(Opening<'r, 'h>),
    /// A WebSocket that it does not get; the answer has been written.
    Refused,
}

/// Finds the protocol for an opening handshake that was judged to be `upgrade`.
pub(crate) fn judge<'r, 'h>(
    routes: &'r Routes,
    request: &RequestHead<'h>,
    upgrade: Result<Upgrade<'h>, Refusal>,
    granted: &Granted,
    port: &mut HttpPort<'_>,
) -> Asked<'r, 'h> {
    let site = &routes.site;
    // The answer to a handshake that succeeds is not the port's.
    if !granted.fields.is_empty() {
        port.complete_with(&Arc::new(granted.fields.clone()));
    }
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(Refusal::NotUpgrade) => return Asked::Plain,
        Err(refusal) => {
            let text = refusal.to_string();
            site.refuse_with(port, refusal.status(), refusal.fields(), text);
            return Asked::Refused;
        }
    };
    let offered = upgrade.subprotocols.iter().copied();
    let Some(bound) = routes.bind(request.path(), offered) else {
        let known = known(routes);
        let text = format!(
            "no protocol here: known are {known}; name one as the path or as the subprotocol"
        );
        site.refuse(port, 404, text);
        return Asked::Refused;
    };
    if let Some(origin) = upgrade.origin
        && !routes.allowed_origins.allow(origin, request.host())
    {
        tracing::warn!(target: "hotsocket::context", peer = %port.peer(), origin, host = request.host(),
            "opening handshake refused: pages of this origin are not allowed; \
             to allow them, add it to `allowed_origins` in the config");
        let text = "pages of this origin may not connect: \
                    to allow them, add the origin to `allowed_origins` in the config of the server";
        site.refuse(port, 403, text);
        return Asked::Refused;
    }
    Asked::Opening(Opening { bound, upgrade })
}

impl<'r> Opening<'r, '_> {
    /// The subprotocol that the answer names, unless the protocol says otherwise.
    pub(crate) fn subprotocol(&self) -> Option<&'r str> {
        self.bound.subprotocol.then_some(&**self.bound.name)
    }
}

/// Writes the answer that makes the connection a WebSocket.
pub(crate) fn accept(
    opening: &Opening<'_, '_>,
    accepted: &Accepted<'_>,
    extensions: &str,
    out: &mut Vec<u8>,
) {
    let accept = opening.upgrade.accept.as_bytes();
    let (subprotocol, fields) = (accepted.subprotocol, &accepted.fields);
    handshake::put_switching_protocols(out, accept, subprotocol, extensions, fields);
}

/// Writes the answer of a protocol that refuses.
pub(crate) fn turn_away(refused: &Refused, port: &mut HttpPort<'_>) {
    let content = Content::Whole(&refused.content);
    port.answer(refused.status, &refused.fields, content);
}

fn known(routes: &Routes) -> String {
    let mut names: Vec<_> = routes
        .with_sessions()
        .map(|name| format!("`{name}`"))
        .collect();
    names.sort_unstable();
    if names.is_empty() {
        return "none".into();
    }
    names.join(", ")
}
