//! Connections of a service thread that are kept for further plain requests.

use std::collections::VecDeque;

use crate::{
    context::{client_request::ServerTrust, http_request::HttpRequest},
    net::token::ConnectionId,
    wire::{proxy::Proxy, url_host::Host},
};

/// What a connection leads to, and how: requests that have this in common may follow each other on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Way {
    host: Host,
    port: u16,
    proxy: Option<Proxy>,
    /// How the server is known; none without TLS.
    trust: Option<ServerTrust>,
}

impl Way {
    pub(super) fn of(request: &HttpRequest, proxy: Option<&Proxy>) -> Self {
        let url = request.url();
        let is_secure = url.scheme().is_secure();
        Self {
            host: url.host().clone(),
            port: url.port(),
            proxy: proxy.cloned(),
            trust: is_secure.then(|| request.to.trust.clone()),
        }
    }
}

/// See the module; the one that was used last is the last.
#[derive(Debug, Default)]
pub(super) struct Kept(VecDeque<(Way, ConnectionId)>);

impl Kept {
    /// A connection of that way, the one that was used last: it is the least likely to have been closed by its server.
    pub(super) fn take(&mut self, way: &Way) -> Option<ConnectionId> {
        let at = self.0.iter().rposition(|(other, _)| other == way)?;
        self.0.remove(at).map(|(_, id)| id)
    }

    /// Whether there may be one of that way.
    pub(super) fn has(&self, way: &Way) -> bool {
        self.0.iter().any(|(other, _)| other == way)
    }

    /// Keeps one more, at most so many; gives one that has to go. Those that are there no longer are forgotten.
    pub(super) fn put(
        &mut self,
        way: Way,
        id: ConnectionId,
        most: u64,
        mut is_there: impl FnMut(ConnectionId) -> bool,
    ) -> Option<ConnectionId> {
        self.0.retain(|(_, id)| is_there(*id));
        self.0.push_back((way, id));
        let is_full = self.0.len() as u64 > most;
        is_full.then(|| self.0.pop_front().map(|(_, id)| id))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::http_request::HttpRequest;

    fn way(url: &str) -> Way {
        Way::of(&HttpRequest::get(url).unwrap(), None)
    }

    fn id(slot: u32) -> ConnectionId {
        ConnectionId::new(0, slot, 1)
    }

    #[test]
    fn a_connection_is_found_by_where_it_leads_and_how() {
        let mut kept = Kept::default();
        for (slot, url) in (1..).zip(["http://h/", "https://h/", "http://h:81/", "http://g/"]) {
            assert_eq!(kept.put(way(url), id(slot), 9, |_| true), None);
        }
        assert_eq!(kept.take(&way("http://H:80/other")), Some(id(1)));
        assert_eq!(kept.take(&way("http://h/")), None);
        let pinned = HttpRequest::get("https://h/").unwrap();
        let pinned = pinned.trust(ServerTrust::Pinned([0; 32]));
        assert_eq!(kept.take(&Way::of(&pinned, None)), None);
        let proxy = Proxy::parse("p:1").unwrap();
        let through = HttpRequest::get("http://g/").unwrap();
        assert_eq!(kept.take(&Way::of(&through, Some(&proxy))), None);
        assert_eq!(kept.take(&way("https://h/")), Some(id(2)));
    }

    #[test]
    fn above_the_bound_the_oldest_goes_and_what_is_gone_already_takes_no_room() {
        let mut kept = Kept::default();
        let url = || way("http://h/");
        assert_eq!(kept.put(url(), id(1), 2, |_| true), None);
        assert_eq!(kept.put(url(), id(2), 2, |_| true), None);
        assert_eq!(kept.put(url(), id(3), 2, |_| true), Some(id(1)));
        assert_eq!(kept.put(url(), id(4), 2, |other| other != id(2)), None);
        assert_eq!(kept.take(&url()), Some(id(4)));
        assert_eq!(kept.put(url(), id(5), 0, |_| false), Some(id(5)));
    }
}
