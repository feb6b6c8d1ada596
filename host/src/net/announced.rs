//! Connections that a proxy announces: the header of the PROXY protocol ahead of everything else says who has connected.
//!
//! It is looked at where it lies, in the socket, and taken out when all of it is there. So what is behind it is read as
//! on any other connection, TLS or not.

use crate::{
    connection::websocket::ClosedBy,
    net::{io::Io, peer::Peer, token::ConnectionId},
    wire::proxy_header::ProxyHeader,
};

/// A listener that is spoken to wrongly is told of in the log at most once in so many milliseconds and service thread:
/// whoever reaches it could fill the log.
const TELL_AGAIN_MS: u64 = 60_000;

/// What follows from what there is of a header.
enum Step {
    /// It is complete, of so many bytes; it names who has connected, or leaves it at the proxy.
    Named(usize, Option<Peer>),
    /// More of it has to come.
    Wait,
    /// The connection ends.
    End(&'static str),
    /// There was not even a beginning: somebody looked whether the port is open.
    Leave,
}

impl<T, E> Io<T, E> {
    /// Looks at the header of a connection that awaits one. Whether what is behind it may be read.
    pub(super) fn read_announcement(&mut self, id: ConnectionId) -> bool {
        let most = usize::try_from(self.settings.limits.proxy_header_bytes);
        let Some(link) = self.slots.get_mut(id) else {
            return false;
        };
        if !link.readiness.readable {
            return false;
        }
        let room = &mut self.input[self.input_at..];
        let most = most.unwrap_or(usize::MAX).clamp(1, room.len());
        let step = match link.transport.peek(&mut room[..most]) {
            Ok(0) => Step::Leave,
            Ok(count) => match ProxyHeader::decode(&room[..count], most) {
                ProxyHeader::Proxied { source, len, .. } => {
                    Step::Named(len, Some(Peer::Inet(source)))
                }
                ProxyHeader::Unnamed { len } => Step::Named(len, None),
                ProxyHeader::Incomplete if count == most => Step::End(TOO_LONG),
                // No edge tells of it again.
                ProxyHeader::Incomplete if link.readiness.read_closed => Step::End(CUT_OFF),
                ProxyHeader::Incomplete => Step::Wait,
                ProxyHeader::Malformed => Step::End(MALFORMED),
                ProxyHeader::TooLong => Step::End(TOO_LONG),
            },
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Step::Wait,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => return false,
            Err(error) => {
                self.lose(id, &error);
                return false;
            }
        };
        match step {
            Step::Named(len, who) => return self.announce(id, len, who),
            Step::Wait => link.readiness.readable = false,
            Step::End(why) => {
                let peer = link.peer.get();
                self.tell_unannounced(peer, why);
                self.abandon(id, ClosedBy::Peer, why);
            }
            Step::Leave => self.abandon(id, ClosedBy::Peer, "it has left"),
        }
        false
    }

    /// Takes the header out of the socket; from here on the connection is that of `who`.
    fn announce(&mut self, id: ConnectionId, len: usize, who: Option<Peer>) -> bool {
        let Some(link) = self.slots.get_mut(id) else {
            return false;
        };
        // All of it was there a moment ago.
        match link
            .transport
            .take_ahead(&mut self.input[self.input_at..][..len])
        {
            Ok(count) if count == len => link.awaits_announcement = false,
            Ok(_) => {
                self.abandon(id, ClosedBy::Peer, CUT_OFF);
                return false;
            }
            Err(error) => {
                self.lose(id, &error);
                return false;
            }
        }
        let Some(who) = who else {
            return true;
        };
        let most = self.settings.limits.max_connections_per_address;
        if !self.shared.addresses.enter(who, most) {
            tracing::debug!(target: "hotsocket::net", peer = %who, proxy = %link.peer.get(), most,
                "connection refused: its address has limits.max_connections_per_address");
            self.abandon(id, ClosedBy::Host, "limits.max_connections_per_address");
            return false;
        }
        self.shared.addresses.leave(link.peer.get());
        link.peer = who.into();
        true
    }

    /// Tells that a connection is refused at a listener for proxies, and what would mend it.
    pub(super) fn tell_unannounced(&mut self, peer: Peer, why: &str) {
        let is_due = self.tell_unannounced_from <= self.now;
        if !is_due {
            tracing::debug!(target: "hotsocket::net", %peer, "connection refused: {why}");
            return;
        }
        self.tell_unannounced_from = self.now + TELL_AGAIN_MS;
        tracing::warn!(target: "hotsocket::net", %peer,
            "connection refused: {why}; further ones within a minute are told at level debug");
    }
}

/// A peer that may not announce anybody.
pub(super) const UNTRUSTED: &str = "`proxy_protocol` is set for the listener, and the peer is in none of \
     `trusted_proxies`; add the proxy there, or send others to a listener without it";
const MALFORMED: &str = "it does not begin with a header of the PROXY protocol; have the proxy send it \
     (haproxy: `send-proxy-v2`, nginx: `proxy_protocol on`), or set `proxy_protocol` to false";
const TOO_LONG: &str = "its header of the PROXY protocol is longer than limits.proxy_header_bytes";
const CUT_OFF: &str = "it has ended within its header of the PROXY protocol";
