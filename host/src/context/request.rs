//! What a request gets: a protocol, the page at `/`, or a refusal that says what is missing.

use std::sync::Arc;

use crate::{
    context::{
        handshake::{Accepted, Refused},
        page,
        routes::{Bound, Route, Routes},
    },
    net::http_port::{Content, HttpPort},
    wire::{
        fields::Fields,
        handshake::{self, Refusal, Upgrade},
        request_head::RequestHead,
    },
};

/// An opening handshake and the protocol it gets.
pub(crate) struct Opening<'r, 'h> {
    pub(crate) bound: Bound<'r>,
    pub(crate) upgrade: Upgrade<'h>,
}

/// The protocol that answers a request, if it asks for no WebSocket and one is mounted there; and its mountpoint.
pub(crate) fn mounted<'r>(
    routes: &'r Routes,
    request: &RequestHead<'_>,
) -> Option<(&'r Arc<str>, &'r Route)> {
    match handshake::judge_request(request) {
        Err(Refusal::NotUpgrade) => routes.mounted(request.path()),
        _ => None,
    }
}

/// Finds the protocol for an opening handshake; whatever else it is, the answer has been written.
pub(crate) fn answer<'r, 'h>(
    routes: &'r Routes,
    request: &RequestHead<'h>,
    port: &mut HttpPort<'_>,
) -> Option<Opening<'r, 'h>> {
    let upgrade = match handshake::judge_request(request) {
        Ok(upgrade) => upgrade,
        Err(Refusal::NotUpgrade) => {
            plain(routes, request, port);
            return None;
        }
        Err(refusal) => {
            refuse_with(
                port,
                refusal.status(),
                refusal.fields(),
                &refusal.to_string(),
            );
            return None;
        }
    };
    let offered = upgrade.subprotocols.iter().copied();
    let Some(bound) = routes.bind(request.path(), offered) else {
        let known = known(routes);
        let text = format!(
            "no protocol here: known are {known}; name one as the path or as the subprotocol"
        );
        refuse(port, 404, &text);
        return None;
    };
    if let Some(origin) = upgrade.origin
        && !routes.allowed_origins.allow(origin, request.host())
    {
        tracing::warn!(target: "hotsocket::context", peer = %port.peer(), origin, host = request.host(),
            "opening handshake refused: pages of this origin are not allowed; \
             to allow them, add it to `allowed_origins` in the config");
        let text = "pages of this origin may not connect: \
                    to allow them, add the origin to `allowed_origins` in the config of the server";
        refuse(port, 403, text);
        return None;
    }
    Some(Opening { bound, upgrade })
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
    let accept = &opening.upgrade.accept;
    let (subprotocol, fields) = (accepted.subprotocol, &accepted.fields);
    handshake::put_switching_protocols(out, accept, subprotocol, extensions, fields);
}

/// Writes the answer of a protocol that refuses.
pub(crate) fn turn_away(refused: &Refused, port: &mut HttpPort<'_>) {
    let content = Content::Whole(&refused.content);
    port.answer(refused.status, &refused.fields, content);
}

/// Writes the answer for a protocol that cannot serve.
pub(crate) fn fail(port: &mut HttpPort<'_>) {
    refuse(port, 500, "the protocol failed");
}

/// A request that asks for no WebSocket.
fn plain(routes: &Routes, request: &RequestHead<'_>, port: &mut HttpPort<'_>) {
    let is_read = matches!(request.method, "GET" | "HEAD");
    if request.path() == "/" && is_read {
        let mut names: Vec<_> = routes.with_sessions().collect();
        names.sort_unstable();
        let mut fields = Fields::new();
        for (name, value) in page::PAGE_FIELDS {
            fields.set(name, value);
        }
        port.answer(200, &fields, Content::Whole(&page::page(names)));
        return;
    }
    if request.path() == "/" {
        let text = "this page can only be read";
        return refuse_with(port, 405, &[("Allow", "GET, HEAD")], text);
    }
    if routes.by_path(request.path()).is_some() {
        let refusal = Refusal::NotUpgrade;
        let text = refusal.to_string();
        return refuse_with(port, refusal.status(), refusal.fields(), &text);
    }
    refuse(port, 404, "there is nothing here");
}

/// Answers with one line of text.
pub(crate) fn refuse(port: &mut HttpPort<'_>, status: u16, text: &str) {
    refuse_with(port, status, &[], text);
}

/// The same with further fields.
fn refuse_with(port: &mut HttpPort<'_>, status: u16, more: &[(&str, &str)], text: &str) {
    let mut fields = Fields::new();
    fields.set("Content-Type", "text/plain; charset=utf-8");
    for (name, value) in more {
        fields.set(name, value);
    }
    let content = format!("{text}\n");
    port.answer(status, &fields, Content::Whole(content.as_bytes()));
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
