//! A request that asks for no WebSocket: the mount that answers it, or the page at `/`.

use std::sync::{Arc, atomic::Ordering};

use crate::{
    context::{
        exchange::Exchange,
        files::{FilesRoot, Given, Reach},
        judging::Granted,
        mounts::{Mount, MountKind},
        page,
        redirect::Redirect,
        routes::Routes,
        serving::Context,
    },
    net::http_port::{Content, HttpPort},
    wire::{fields::Fields, handshake::Refusal, request_head::RequestHead},
};

/// The methods that are known (RFC 9110 section 9, RFC 5789). Others are the business of handlers.
const KNOWN: &[&str] = &[
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE",
];
/// Those that may do something here, somewhere.
const SERVED: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

impl Context {
    /// Answers a request that asks for no WebSocket.
    pub(super) fn plain(
        &mut self,
        routes: &Routes,
        head: &RequestHead<'_>,
        granted: &Granted,
        port: &mut HttpPort<'_>,
    ) -> Exchange {
        let site = &routes.site;
        if matches!(head.method, "CONNECT" | "TRACE") {
            // We are no proxy, and what a request carried is nobody's to read back.
            let text = "neither CONNECT nor TRACE is allowed here";
            site.refuse_with(port, 405, &[("Allow", SERVED)], text);
            return Exchange::answered(&routes.site);
        }
        if head.target == "*" {
            let mut fields = Fields::new();
            fields.set("Allow", SERVED);
            port.answer(204, &fields, Content::Whole(b""));
            return Exchange::answered(&routes.site);
        }
        match site.mounts.find(head.path()) {
            Ok(Some((mount, rest))) => self.mounted(routes, mount, rest, (head, granted), port),
            Ok(None) => self.unmounted(routes, (head, granted), port),
            Err(unclear) => {
                site.refuse(port, 404, unclear.to_string());
                Exchange::answered(&routes.site)
            }
        }
    }

    /// What a mount answers.
    fn mounted(
        &mut self,
        routes: &Routes,
        mount: &Mount<Arc<FilesRoot>>,
        rest: &str,
        (head, granted): (&RequestHead<'_>, &Granted),
        port: &mut HttpPort<'_>,
    ) -> Exchange {
        let site = &routes.site;
        port.complete_with(&mount.fields);
        if site.access_log.is_some() {
            port.note_mount(&mount.point);
        }
        let is_known = KNOWN.contains(&head.method);
        match &mount.kind {
            MountKind::Protocol { name, body_bytes } => {
                return self.handled(
                    routes,
                    (&mount.point, name, *body_bytes),
                    (head, granted),
                    port,
                );
            }
            _ if !is_known => site.refuse(port, 501, "this method is not known here"),
            MountKind::Files(root) => self.file(routes, root, rest, head, port),
            MountKind::Redirect(redirect) => redirected(routes, redirect, rest, head, port),
            MountKind::Status {
                status,
                text: Some(text),
            } => {
                let mut fields = Fields::new();
                fields.set("Content-Type", "text/plain; charset=utf-8");
                port.answer(*status, &fields, Content::Whole(text.as_bytes()));
            }
            MountKind::Status { status, text: None } => {
                site.say(port, *status, Fields::new(), "");
            }
        }
        Exchange::answered(&routes.site)
    }

    /// What the protocol of a mount answers.
    fn handled(
        &mut self,
        routes: &Routes,
        (point, name, body_bytes): (&Arc<str>, &Arc<str>, Option<u64>),
        asked: (&RequestHead<'_>, &Granted),
        port: &mut HttpPort<'_>,
    ) -> Exchange {
        match routes.answering(name) {
            Some(route) => self.handle(routes, route, point, body_bytes, asked, port),
            None => {
                warn_once(routes);
                let text = "the protocol of this mount is not there, or does not answer HTTP";
                routes.site.refuse(port, 404, text);
                Exchange::answered(&routes.site)
            }
        }
    }

    /// What a file answers: at once when all that is needed is in memory, and else from a thread that may wait.
    fn file(
        &mut self,
        routes: &Routes,
        root: &Arc<FilesRoot>,
        rest: &str,
        head: &RequestHead<'_>,
        port: &mut HttpPort<'_>,
    ) {
        let given = (self.files).answer(root, (head, rest), port.limits(), port.now());
        let request = match given {
            Given::Whole(fields, content) => {
                port.answer_again(fields, content);
                return;
            }
            Given::Answer(answer) => return routes.site.send_files(port, answer),
            Given::Cold(request) => request,
        };
        let root = Arc::clone(root);
        let of = (port.id(), port.number());
        let make = move || root.answer(&request, Reach::Disk);
        if !self.desk.answer(of, make) {
            let text = "too many files are waited for: see limits.file_jobs_count";
            routes.site.refuse(port, 503, text);
        }
    }

    /// What no mount takes.
    fn unmounted(
        &mut self,
        routes: &Routes,
        (head, granted): (&RequestHead<'_>, &Granted),
        port: &mut HttpPort<'_>,
    ) -> Exchange {
        let site = &routes.site;
        if let Some(name) = &site.default_http {
            return self.handled(routes, (&"/".into(), name, None), (head, granted), port);
        }
        let path = head.path();
        if !KNOWN.contains(&head.method) {
            site.refuse(port, 501, "this method is not known here");
        } else if path == "/" {
            page_at_root(routes, head, port);
        } else if routes.by_path(path).is_some() {
            let refusal = Refusal::NotUpgrade;
            let text = refusal.to_string();
            site.refuse_with(port, refusal.status(), refusal.fields(), text);
        } else {
            site.refuse(port, 404, "there is nothing here");
        }
        Exchange::answered(&routes.site)
    }
}

fn redirected(
    routes: &Routes,
    redirect: &Redirect,
    rest: &str,
    head: &RequestHead<'_>,
    port: &mut HttpPort<'_>,
) {
    let site = &routes.site;
    if redirect.begins_tls() && port.is_encrypted() {
        let text = "this leads to https, and https is spoken already";
        return site.refuse(port, 404, text);
    }
    let Some(location) = redirect.location(head.host(), rest, head.query()) else {
        let text = "this leads to https on the host that is asked for, and the request names none";
        return site.refuse(port, 400, text);
    };
    let mut fields = Fields::new();
    fields.set("Location", &location);
    let text = format!("this is at {location}");
    site.say(port, redirect.status(), fields, &text);
}

/// The page on which a browser can talk to the protocols.
fn page_at_root(routes: &Routes, head: &RequestHead<'_>, port: &mut HttpPort<'_>) {
    if !matches!(head.method, "GET" | "HEAD") {
        let text = "this page can only be read";
        let allow = [("Allow", "GET, HEAD")];
        return routes.site.refuse_with(port, 405, &allow, text);
    }
    let mut names: Vec<_> = routes.with_sessions().collect();
    names.sort_unstable();
    let mut fields = Fields::new();
    for (name, value) in page::PAGE_FIELDS {
        fields.set(name, value);
    }
    port.answer(200, &fields, Content::Whole(&page::page(names)));
}

/// Tells the operator of all mounts that lead nowhere, once for each state of the host.
fn warn_once(routes: &Routes) {
    if routes.has_warned.swap(true, Ordering::Relaxed) {
        return;
    }
    for mount in routes.site.mounts.iter() {
        if let MountKind::Protocol { name, .. } = &mount.kind
            && routes.answering(name).is_none()
        {
            tracing::warn!(target: "hotsocket::context", mount = &*mount.point, protocol = &**name,
                "a mount leads nowhere: no plugin serves this protocol, or it does not answer HTTP; \
                 put the plugin into the directory, or name another one in `mounts`");
        }
    }
    if let Some(name) = &routes.site.default_http
        && routes.answering(name).is_none()
    {
        tracing::warn!(target: "hotsocket::context", protocol = &**name,
            "`default_http` leads nowhere: no plugin serves this protocol, or it does not answer HTTP; \
             put the plugin into the directory, or name another one");
    }
}
