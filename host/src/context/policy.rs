//! What the context asks of whoever implements a policy, and what a policy may ask of what it judges.

use std::{fmt, net::SocketAddr, sync::Arc};

use crate::{
    context::{
        handler::{Fault, Hosted, ThreadState},
        handshake::{HandshakeCall, Unsaid, is_refusal},
        tags::{BadTag, Tags},
    },
    net::{
        connection_setup::{ConnectionSetup, SocketOption},
        peer::{AddressBytes, Peer},
        tls::TlsFacts,
        token::ConnectionId,
    },
    wire::{fields::Fields, request_head::RequestHead},
};

/// A policy on one vhost, of one generation. For one connection all hooks are called on the service thread that owns
/// it, never two at once, never nested. A hook that fails refuses.
pub trait PolicyHandler: Hosted {
    /// There is a connection.
    ///
    /// # Errors
    ///
    /// When the hook failed, as in all that follow.
    fn created(&self, call: &mut PolicyCall<'_, '_>) -> Result<(), Fault>;

    /// Whether a connection of which nothing was read may stay.
    ///
    /// # Errors
    ///
    /// As in [`Self::created`].
    fn accept(&self, call: &mut PolicyCall<'_, '_>) -> Result<bool, Fault>;

    /// It stays, as far as those policies are concerned that were asked: options and limits can be set.
    ///
    /// # Errors
    ///
    /// As in [`Self::created`].
    fn connection(&self, call: &mut PolicyCall<'_, '_>) -> Result<bool, Fault>;

    /// Whether a connection may stay whose peer has shown a certificate that the host would accept.
    ///
    /// # Errors
    ///
    /// As in [`Self::created`].
    fn certificate(&self, call: &mut PolicyCall<'_, '_>) -> Result<bool, Fault>;

    /// Judges a request of which the head is there.
    ///
    /// # Errors
    ///
    /// As in [`Self::created`].
    fn request(&self, call: &mut PolicyCall<'_, '_>) -> Result<Verdict, Fault>;

    /// Whether an opening handshake may be accepted that the host would accept.
    ///
    /// # Errors
    ///
    /// As in [`Self::created`].
    fn handshake(&self, call: &mut HandshakeCall<'_>) -> Result<bool, Fault>;

    /// The connection is over; told once for each that was created.
    ///
    /// # Errors
    ///
    /// As in [`Self::created`].
    fn destroyed(&self, call: &mut PolicyCall<'_, '_>) -> Result<(), Fault>;
}

/// What a policy says of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As far as it is concerned.
    Allowed,
    /// It is refused, as [`PolicyCall::refuse`] was told.
    Refused,
    /// It does not know yet.
    Pending,
}

/// A policy of a vhost, in the place that the config gives it.
#[derive(Clone)]
pub struct PolicyRoute {
    /// The name in the config.
    pub name: Arc<str>,
    /// Tells instances apart; never used again.
    pub instance: u64,
    /// What is asked; none when no plugin provides it: then everything is refused.
    pub handler: Option<Arc<dyn PolicyHandler>>,
}

impl fmt::Debug for PolicyRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyRoute")
            .field("name", &self.name)
            .field("instance", &self.instance)
            .field("is_there", &self.handler.is_some())
            .finish()
    }
}

/// What is judged while a hook runs: all that the hook may ask, and what it has said.
pub struct PolicyCall<'a, 's> {
    pub(super) id: ConnectionId,
    pub(super) peer: Peer,
    pub(super) vhost: &'a str,
    pub(super) subject: Subject<'a, 's>,
    pub(super) tls: Option<TlsFacts<'a>>,
    pub(super) is_encrypted: bool,
    pub(super) is_trusted_proxy: bool,
    /// It asks for somebody whom it does not name, or not so that it can be believed.
    pub(super) is_peer_hidden: bool,
    pub(super) local: Option<SocketAddr>,
    pub(super) tags: &'a mut Arc<Tags>,
    /// `limits.tags_bytes`.
    pub(super) tags_bytes: u64,
    pub(crate) thread: ThreadState,
    /// Why the hook is about to fail, in its own words.
    pub(crate) fault: String,
    /// Holds the address that [`Self::peer_ip`] gives.
    pub(super) ip: Option<AddressBytes>,
    /// Holds the address that [`Self::local`] gives.
    pub(super) local_text: String,
}

/// What a hook is asked about.
pub(super) enum Subject<'a, 's> {
    /// A connection that has just come, or is over.
    Bare,
    /// A connection that is made ready.
    Setup(&'a mut ConnectionSetup<'s>, &'a mut Option<u64>),
    /// A connection that speaks TLS now.
    Secured,
    /// A request.
    Request(&'a mut RequestSubject<'s>),
}

/// A request that is judged.
pub(super) struct RequestSubject<'h> {
    pub(super) head: &'h RequestHead<'h>,
    pub(super) number: u32,
    pub(super) is_handshake: bool,
    /// For the answer, whatever it will be.
    pub(super) fields: Fields,
    pub(super) fields_bytes: u64,
    /// Status and content.
    pub(super) refusal: Option<(u16, Vec<u8>)>,
}

/// Something that a policy sets of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionOption {
    /// Of its socket.
    Socket(SocketOption),
    /// Bytes of a message, at most; only below `limits.message_bytes`.
    MessageBytes(u64),
    /// Milliseconds for the first request; only below `limits.opening_handshake_ms`.
    FirstRequestMs(u64),
}

/// What is known.
impl PolicyCall<'_, '_> {
    /// The connection.
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// Which request of its connection it is, counted from 1; none when there is no request.
    #[must_use]
    pub fn number(&self) -> Option<u32> {
        Some(self.request()?.number)
    }

    /// The name of the vhost.
    #[must_use]
    pub fn vhost(&self) -> &str {
        self.vhost
    }

    /// Who is at the other end, or with a request whom it asks for.
    #[must_use]
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// Its address and port; none on a unix socket, and when a trusted proxy asks for somebody whom it does not name.
    #[must_use]
    pub fn peer_address(&self) -> Option<SocketAddr> {
        self.peer.address().filter(|_| !self.is_peer_hidden)
    }

    /// The IP address of the same in network order, 4 or 16 bytes.
    pub fn peer_ip(&mut self) -> Option<&[u8]> {
        let address = self.peer_address()?;
        let bytes = self.ip.insert(AddressBytes::of(address.ip()));
        Some(bytes.as_slice())
    }

    /// Whether the peer of the transport is a proxy that the config trusts.
    #[must_use]
    pub fn is_trusted_proxy(&self) -> bool {
        self.is_trusted_proxy
    }

    /// The address and port that the connection was accepted on.
    pub fn local(&mut self) -> Option<&str> {
        if self.local_text.is_empty() {
            self.local_text = self.local?.to_string();
        }
        Some(&self.local_text)
    }

    /// What was agreed on with TLS; none without it, and while it is not yet.
    #[must_use]
    pub fn tls(&self) -> Option<TlsFacts<'_>> {
        self.tls
    }

    /// Whether TLS is, or is going to be, spoken.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.is_encrypted
    }

    /// The head of the request, if there is one.
    #[must_use]
    pub fn head(&self) -> Option<&RequestHead<'_>> {
        Some(self.request()?.head)
    }

    /// Whether there is a request, and it is an opening handshake.
    #[must_use]
    pub fn is_handshake(&self) -> bool {
        self.request().is_some_and(|request| request.is_handshake)
    }

    /// What a policy has said by that name.
    #[must_use]
    pub fn tag(&self, name: &str) -> Option<&[u8]> {
        self.tags.get(name)
    }

    fn request(&self) -> Option<&RequestSubject<'_>> {
        match &self.subject {
            Subject::Request(request) => Some(request),
            _ => None,
        }
    }
}

/// What is said.
impl PolicyCall<'_, '_> {
    /// Says something of the connection, or of the request.
    ///
    /// # Errors
    ///
    /// When the name is no token, or nothing can be said here; or when it is too much.
    pub fn set_tag(&mut self, name: &str, value: &[u8]) -> Result<(), Unsaid> {
        if matches!(self.subject, Subject::Bare) {
            return Err(Unsaid::Bad);
        }
        let tags = Arc::make_mut(self.tags);
        tags.set(name, value, self.tags_bytes)
            .map_err(|bad| match bad {
                BadTag::Name => Unsaid::Bad,
                BadTag::TooMuch => Unsaid::TooMuch,
            })
    }

    /// Sets an option of the connection; false when it has no such option.
    ///
    /// # Errors
    ///
    /// When the value makes no sense, or nothing can be set here.
    pub fn set_option(&mut self, option: ConnectionOption) -> Result<bool, Unsaid> {
        let Subject::Setup(setup, message_bytes) = &mut self.subject else {
            return Err(Unsaid::Bad);
        };
        match option {
            ConnectionOption::Socket(option) => {
                return setup.set_option(option).map_err(|error| {
                    tracing::debug!(target: "hotsocket::context", peer = %setup.peer(), ?option, %error,
                        "an option of a socket is not taken");
                    Unsaid::Bad
                });
            }
            ConnectionOption::MessageBytes(bytes) => **message_bytes = Some(bytes),
            ConnectionOption::FirstRequestMs(within) => setup.await_first_request(within),
        }
        Ok(true)
    }

    /// Adds a field to the answer to the request, whatever it will be.
    ///
    /// # Errors
    ///
    /// When it cannot stand there, or is the host's own; or when it is too much.
    pub fn add_field(&mut self, name: &str, value: &[u8]) -> Result<(), Unsaid> {
        let Subject::Request(request) = &mut self.subject else {
            return Err(Unsaid::Bad);
        };
        let fields = &mut request.fields;
        // As a line: with a colon, a blank, and the end of the line.
        let bytes = fields.as_bytes().len() + name.len() + value.len() + 4;
        if bytes as u64 > request.fields_bytes {
            return Err(Unsaid::TooMuch);
        }
        fields.add(name, value).map_err(|_| Unsaid::Bad)
    }

    /// How the request is refused, once the hook says that it is.
    ///
    /// # Errors
    ///
    /// When no answer has that status, or that content; or there is no request.
    pub fn refuse(&mut self, status: u32, content: &[u8]) -> Result<(), Unsaid> {
        let Subject::Request(request) = &mut self.subject else {
            return Err(Unsaid::Bad);
        };
        request.refusal = Some((is_refusal(status, content)?, content.to_vec()));
        Ok(())
    }
}
