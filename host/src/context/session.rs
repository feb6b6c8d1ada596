//! One open WebSocket as a protocol knows it.

use std::sync::Arc;

use crate::{
    connection::websocket::ClosedBy,
    context::{
        broadcast::Set,
        handler::{LearntState, ProtocolFacts, ProtocolHandler, SessionState},
        handshake::Kept,
        instances::Instance,
        outgoing::Outgoing,
        target::Target,
    },
    net::{
        peer::{AddressBytes, Peer},
        port::{Port, Sent},
        tls::TlsFacts,
        token::ConnectionId,
    },
    wire::{MessageKind, Role, close_code::REASON_BYTES},
};

/// What is kept of a session while it is open. One in each connection, so it is small.
#[derive(Debug)]
pub struct Session {
    /// The handler's own state, while there is one. Apart from whether there is: that takes one byte here, not eight.
    pub(super) own: SessionState,
    pub(super) has_own: bool,
    /// The request target, as it came.
    pub(crate) target: Target,
    /// Its instance on this service thread.
    pub(crate) instance: u32,
    /// The instances of its extensions on this service thread.
    pub(crate) extensions: ExtensionInstances,
    /// Its set on this service thread.
    pub(crate) set: u32,
    /// Its place among the members of the set.
    pub(crate) member: u32,
    /// How many bytes of what the set sends in this turn it has been given.
    pub(crate) cursor: u32,
    /// Whether the protocol's name was agreed on as the subprotocol.
    pub(crate) subprotocol: bool,
    /// Whether the transport is, or was, encrypted.
    pub(crate) is_encrypted: bool,
    /// What else is kept of the opening handshake.
    pub(crate) kept: Option<Box<Kept>>,
}

/// Instances of extensions, in the order in which they were agreed on; one pointer where there are none, as for most
/// sessions.
#[derive(Debug, Default)]
pub(crate) struct ExtensionInstances(Option<Box<Box<[u32]>>>);

impl ExtensionInstances {
    pub(crate) fn as_slice(&self) -> &[u32] {
        self.0.as_deref().map_or(&[], |instances| instances)
    }
}

impl From<Vec<u32>> for ExtensionInstances {
    fn from(instances: Vec<u32>) -> Self {
        let instances = Some(instances).filter(|instances| !instances.is_empty());
        Self(instances.map(|instances| Box::new(instances.into())))
    }
}

impl Session {
    /// The handler's own state; none before it is open, and after a hook has panicked.
    #[inline]
    pub(crate) fn state(&self) -> Option<SessionState> {
        self.has_own.then_some(self.own)
    }

    /// It is open, and has this state.
    pub(crate) fn set_state(&mut self, state: SessionState) {
        (self.own, self.has_own) = (state, true);
    }

    /// The state, which is not called any more.
    pub(crate) fn take_state(&mut self) -> Option<SessionState> {
        let state = self.state();
        self.has_own = false;
        state
    }

    /// Bytes of a message, at most, when the limit of all is `most`.
    #[inline]
    pub(crate) fn message_bytes(&self, most: u64) -> u64 {
        let own = self.kept.as_ref().and_then(|kept| kept.message_bytes);
        own.map_or(most, |own| own.min(most))
    }

    /// The name of its peer is known.
    pub(crate) fn learn_peer_name(&mut self, name: Arc<str>) {
        self.kept.get_or_insert_default().peer_name = Some(name);
    }

    /// What is kept of it as a client.
    pub(crate) fn outgoing(&self) -> Option<&Outgoing> {
        self.kept.as_ref()?.client.as_deref()
    }

    pub(crate) fn outgoing_mut(&mut self) -> Option<&mut Outgoing> {
        self.kept.as_mut()?.client.as_deref_mut()
    }

    /// Our side of the connection.
    #[inline]
    pub(crate) fn role(&self) -> Role {
        match self.outgoing() {
            Some(_) => Role::Client,
            None => Role::Server,
        }
    }

    /// It is open, or will never be: what was learnt or given and not taken is freed.
    pub(crate) fn forget_learnt(&mut self) {
        if let Some(kept) = &mut self.kept {
            kept.learnt = None;
            if let Some(outgoing) = &mut kept.client {
                outgoing.given = None;
            }
        }
        self.kept.take_if(|kept| kept.is_empty());
    }
}

/// A session while one of its hooks runs: all that the hook may ask.
pub struct SessionCall<'a, 'p> {
    pub(crate) session: &'a mut Session,
    pub(crate) id: ConnectionId,
    pub(crate) peer: Peer,
    /// The connection; none once the session has ended.
    pub(crate) port: Option<&'a mut Port<'p>>,
    pub(crate) set: &'a Set,
    pub(crate) instance: &'a Instance<dyn ProtocolHandler>,
    /// Why the hook is about to fail, in its own words.
    pub(crate) fault: String,
    /// Holds the address that [`Self::peer_ip`] gives.
    pub(crate) ip: Option<AddressBytes>,
}

impl SessionCall<'_, '_> {
    /// Sends a message or a piece of one, behind what was broadcast to the session before.
    #[inline]
    pub fn send(&mut self, kind: MessageKind, first: bool, last: bool, payload: &[u8]) -> Sent {
        self.catch_up();
        match &mut self.port {
            Some(port) => port.send(kind, first, last, payload),
            None => Sent::Closed,
        }
    }

    /// Sends a whole message that was posted from outside: behind a message that the session has begun.
    pub(crate) fn send_posted(&mut self, kind: MessageKind, payload: &[u8]) -> Sent {
        self.catch_up();
        match &mut self.port {
            Some(port) => port.send_between(kind, payload),
            None => Sent::Closed,
        }
    }

    /// Sends a ping.
    pub fn ping(&mut self, payload: &[u8]) -> Sent {
        self.port
            .as_mut()
            .map_or(Sent::Closed, |port| port.ping(payload))
    }

    /// Sends a pong that nobody asked for.
    pub fn pong(&mut self, payload: &[u8]) -> Sent {
        self.port
            .as_mut()
            .map_or(Sent::Closed, |port| port.pong(payload))
    }

    /// Begins the closing handshake; code 0 sends an empty Close frame.
    pub fn close(&mut self, code: u16, reason: &str) -> Sent {
        self.catch_up();
        self.port.as_mut().map_or(Sent::Closed, |port| {
            port.close(ClosedBy::Protocol, code, reason)
        })
    }

    /// Ends the transport once the hook has returned.
    pub fn hang_up(&mut self) {
        if let Some(port) = &mut self.port {
            port.hang_up();
        }
    }

    /// Bytes the socket has not taken.
    #[must_use]
    pub fn queued_bytes(&self) -> u64 {
        self.port
            .as_ref()
            .map_or(0, |port| port.queued_bytes() as u64)
    }

    /// Asks for one call when there is room to send.
    pub fn ask_writable(&mut self) {
        if let Some(port) = &mut self.port {
            port.ask_writable();
        }
    }

    /// No messages until [`Self::resume`].
    pub fn pause(&mut self) {
        if let Some(port) = &mut self.port {
            port.pause();
        }
    }

    /// Messages again.
    pub fn resume(&mut self) {
        if let Some(port) = &mut self.port {
            port.resume();
        }
    }

    /// Closes the session with 1008 and `reason` after so many milliseconds; 0 takes it back.
    pub fn set_deadline(&mut self, after_ms: u64, reason: &str) -> Sent {
        if reason.len() > REASON_BYTES {
            return Sent::Refused;
        }
        match &mut self.port {
            Some(port) => {
                port.set_deadline(after_ms, reason);
                Sent::Queued
            }
            None => Sent::Closed,
        }
    }

    /// Sets a timer, or sets it anew.
    pub fn set_timer(&mut self, id: u64, after_ms: u64) -> Sent {
        self.port
            .as_mut()
            .map_or(Sent::Closed, |port| port.set_timer(id, after_ms))
    }

    /// Takes a timer back; false when it was not set.
    pub fn cancel_timer(&mut self, id: u64) -> bool {
        self.port.as_mut().is_some_and(|port| port.cancel_timer(id))
    }

    /// The session's id.
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// The name of its vhost.
    #[must_use]
    pub fn vhost(&self) -> &str {
        &self.protocol().vhost
    }

    /// Its protocol.
    #[must_use]
    pub fn protocol(&self) -> &ProtocolFacts {
        self.instance.handler.facts()
    }

    /// The path of the request target, as it came.
    #[must_use]
    pub fn path(&self) -> &str {
        let target = &*self.session.target;
        target.split_once('?').map_or(target, |(path, _)| path)
    }

    /// What follows the `?` of the request target.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.session.target.split_once('?').map(|(_, query)| query)
    }

    /// The peer's address.
    #[must_use]
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// Whether the transport is, or was, encrypted.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.session.is_encrypted
    }

    /// What was agreed on with TLS; none without it, and once the session has ended.
    #[must_use]
    pub fn tls(&self) -> Option<TlsFacts<'_>> {
        self.port.as_ref()?.tls()
    }

    /// The peer's IP address in network order, 4 or 16 bytes; none on a unix socket.
    pub fn peer_ip(&mut self) -> Option<&[u8]> {
        let address = self.peer.address()?;
        let bytes = self.ip.insert(AddressBytes::of(address.ip()));
        Some(bytes.as_slice())
    }

    /// The name of the peer, where names are looked up and once it is known.
    #[must_use]
    pub fn peer_name(&self) -> Option<&str> {
        self.session.kept.as_ref()?.peer_name.as_deref()
    }

    /// The subprotocol that was agreed on.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        let chosen = || self.session.kept.as_ref()?.subprotocol.as_deref();
        match self.session.subprotocol {
            true => Some(&self.protocol().name),
            false => chosen(),
        }
    }

    /// The value with this index of the fields of that name in the opening handshake, if the manifest names it.
    #[must_use]
    pub fn field(&self, name: &str, index: usize) -> Option<&[u8]> {
        let kept = self.session.kept.as_ref()?;
        kept.field(&self.protocol().keep_headers, name, index)
    }

    /// What a policy has said by that name of the connection or of its opening handshake.
    #[must_use]
    pub fn tag(&self, name: &str) -> Option<&[u8]> {
        self.session.kept.as_ref()?.tag(name)
    }

    /// Our side of the connection.
    #[must_use]
    pub fn role(&self) -> Role {
        self.session.role()
    }

    /// As a client: the number of the connection.
    #[must_use]
    pub fn connect_number(&self) -> Option<u64> {
        Some(self.session.outgoing()?.number)
    }

    /// As a client: the URL.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        Some(self.session.outgoing()?.request.url.as_str())
    }

    /// In `open`: what was given for the session, once.
    pub fn take_given(&mut self) -> Option<usize> {
        let given = self.session.outgoing_mut()?.given.take()?;
        Some(given.take())
    }

    /// In `open`: what was learnt of the opening handshake, once.
    pub fn take_learnt(&mut self) -> Option<LearntState> {
        let kept = self.session.kept.as_mut()?;
        kept.learnt.take()?.into_state()
    }

    /// Gives the session what was broadcast to it in this turn and not delivered yet. One that is above its high mark
    /// is dealt with as the broadcast says.
    #[inline]
    fn catch_up(&mut self) {
        let frames = self.set.frames();
        let had = self.session.cursor as usize;
        if had < frames.len()
            && let Some(port) = &mut self.port
            && port.send_frames(&frames[had..])
        {
            self.session.cursor = frames.len() as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_takes_no_more_of_its_connection_than_it_did() {
        let session = size_of::<Session>();
        assert!(session <= 72, "{session} bytes");
    }

    #[test]
    fn extensions_are_nothing_on_the_heap_where_there_are_none() {
        assert!(ExtensionInstances::from(Vec::new()).0.is_none());
        assert_eq!(ExtensionInstances::from(vec![3, 1]).as_slice(), [3, 1]);
    }
}
