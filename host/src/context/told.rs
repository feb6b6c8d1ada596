//! What the access log is to tell of an exchange, kept from its head to its end. Only where there is an access log.

use std::time::{Instant, SystemTime};

use crate::{
    access_log::{AccessLogger, Entry},
    net::{peer::Peer, service::ExchangeEnd},
    wire::request_head::RequestHead,
};

/// What stood in the head of a request.
#[derive(Debug)]
pub(super) struct Told {
    time: SystemTime,
    began: Instant,
    http_minor: u8,
    method: Box<[u8]>,
    target: Box<[u8]>,
    host: Box<[u8]>,
    referer: Box<[u8]>,
    user_agent: Box<[u8]>,
}

impl Told {
    /// Of a request.
    pub(super) fn of(head: &RequestHead<'_>) -> Self {
        let field = |name| head.field(name).unwrap_or_default().into();
        Self {
            http_minor: head.minor_version,
            method: head.method.as_bytes().into(),
            target: head.target.as_bytes().into(),
            host: head.host().as_bytes().into(),
            referer: field("Referer"),
            user_agent: field("User-Agent"),
            ..Self::unread()
        }
    }

    /// Of a request that could not be read.
    pub(super) fn unread() -> Self {
        Self {
            time: SystemTime::now(),
            began: Instant::now(),
            http_minor: 1,
            method: Box::default(),
            target: Box::default(),
            host: Box::default(),
            referer: Box::default(),
            user_agent: Box::default(),
        }
    }

    /// Tells it, at the end of the exchange.
    pub(super) fn tell(&self, log: &AccessLogger, peer: Peer, end: &ExchangeEnd) {
        let why = (!end.why.is_empty()).then_some(&*end.why);
        log.tell(&Entry {
            time: self.time,
            peer: peer.address(),
            peer_name: end.peer_name.as_deref(),
            method: &self.method,
            target: &self.target,
            http_minor: self.http_minor,
            status: end.status,
            sent_bytes: end.sent,
            duration: self.began.elapsed(),
            referer: &self.referer,
            user_agent: &self.user_agent,
            host: &self.host,
            mount: end.mount.as_deref(),
            rule: end.rule.as_deref().or(why),
        });
    }
}
