//! What a request gets: a protocol, the page at `/`, or a refusal that says what is missing.

use std::net::SocketAddr;

use crate::{
    context::{
        handshake::{Accepted, Refused},
        page,
        routes::{Bound, Routes},
    },
    wire::{
        handshake::{self, Refusal, Upgrade},
        request_head::RequestHead,
        response_head::{Response, put_field, put_status},
    },
};

/// An opening handshake and the protocol it gets.
pub(crate) struct Opening<'r, 'h> {
    pub(crate) bound: Bound<'r>,
    pub(crate) upgrade: Upgrade<'h>,
}

/// Finds the protocol for an opening handshake; whatever else it is, the answer has been written.
pub(crate) fn answer<'r, 'h>(
    routes: &'r Routes,
    request: &RequestHead<'h>,
    peer: SocketAddr,
    out: &mut Vec<u8>,
) -> Option<Opening<'r, 'h>> {
    let upgrade = match handshake::judge_request(request) {
        Ok(upgrade) => upgrade,
        Err(Refusal::NotUpgrade) => {
            plain(routes, request, out);
            return None;
        }
        Err(refusal) => {
            refuse(
                request,
                refusal.status(),
                refusal.fields(),
                &refusal.to_string(),
                out,
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
        refuse(request, 404, &[], &text, out);
        return None;
    };
    if let Some(origin) = upgrade.origin
        && !routes.allowed_origins.allow(origin, request.host())
    {
        tracing::warn!(target: "hotsocket::context", %peer, origin, host = request.host(),
            "opening handshake refused: pages of this origin are not allowed; \
             to allow them, add it to `allowed_origins` in the config");
        let text = "pages of this origin may not connect: \
                    to allow them, add the origin to `allowed_origins` in the config of the server";
        refuse(request, 403, &[], text, out);
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
pub(crate) fn turn_away(refused: &Refused, out: &mut Vec<u8>) {
    put_status(out, refused.status);
    out.extend_from_slice(refused.fields.as_bytes());
    // Of 304 it would be the length that 200 has (RFC 9110 section 8.6), which nobody knows.
    if refused.status != 304 {
        put_field(out, "Content-Length", refused.content.len());
    }
    put_field(out, "Connection", "close");
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(&refused.content);
}

/// Writes the answer for a protocol that cannot serve.
pub(crate) fn fail(request: &RequestHead<'_>, out: &mut Vec<u8>) {
    refuse(request, 500, &[], "the protocol failed", out);
}

/// A request that asks for no WebSocket.
fn plain(routes: &Routes, request: &RequestHead<'_>, out: &mut Vec<u8>) {
    let is_read = matches!(request.method, "GET" | "HEAD");
    if request.path() == "/" && is_read {
        let mut names: Vec<_> = routes.protocols.keys().map(|name| &**name).collect();
        names.sort_unstable();
        let page = Response {
            status: 200,
            fields: page::PAGE_FIELDS,
            content: &page::page(names),
        };
        return page.encode(out, request.method == "HEAD");
    }
    if request.path() == "/" {
        let text = "this page can only be read";
        return refuse(request, 405, &[("Allow", "GET, HEAD")], text, out);
    }
    if routes.by_path(request.path()).is_some() {
        let refusal = Refusal::NotUpgrade;
        return refuse(
            request,
            refusal.status(),
            refusal.fields(),
            &refusal.to_string(),
            out,
        );
    }
    refuse(request, 404, &[], "there is nothing here", out);
}

fn refuse(
    request: &RequestHead<'_>,
    status: u16,
    fields: &[(&str, &str)],
    text: &str,
    out: &mut Vec<u8>,
) {
    put_text(out, status, fields, text, request.method == "HEAD");
}

/// Writes an answer of one line of text.
pub(crate) fn put_text(
    out: &mut Vec<u8>,
    status: u16,
    fields: &[(&str, &str)],
    text: &str,
    to_head: bool,
) {
    let content = format!("{text}\n");
    let mut all = vec![("Content-Type", "text/plain; charset=utf-8")];
    all.extend_from_slice(fields);
    let response = Response {
        status,
        fields: &all,
        content: content.as_bytes(),
    };
    response.encode(out, to_head);
}

fn known(routes: &Routes) -> String {
    let mut names: Vec<_> = routes
        .protocols
        .keys()
        .map(|name| format!("`{name}`"))
        .collect();
    names.sort_unstable();
    if names.is_empty() {
        return "none".into();
    }
    names.join(", ")
}
