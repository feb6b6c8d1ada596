//! An opening handshake as the protocol sees it that it asks for.

use std::{
    any::Any,
    cell::{Cell, RefMut},
    fmt, iter,
    net::SocketAddr,
};

use crate::{
    FieldError, Host, PluginError, Refusal, Tls, Transport, abi, facts::Facts, session::ThreadState,
};

/// An opening handshake that the host would accept: valid during
/// [`Instance::on_handshake`](crate::Instance::on_handshake), on its thread.
///
/// ```standalone_crate
/// use hotsocket_plugin::{prelude::*, testing::{Handshake as Opening, TestHost}};
///
/// /// Lets in who has a name.
/// struct Club;
///
/// struct Member {
///     name: String,
/// }
///
/// impl Instance for Club {
///     type Session = Member;
///     type Options = NoOptions;
///     type Thread = ();
///
///     fn new(_host: &Host, NoOptions {}: NoOptions) -> Result<Self, PluginError> {
///         Ok(Self)
///     }
///
///     fn thread(&self, _host: &Host) {}
///
///     fn on_handshake(&self, request: &mut Handshake) -> Result<(), Refusal> {
///         let Some(name) = request.header_str("X-Name") else {
///             return Err(Refusal::new(403).text("members only"));
///         };
///         request.keep(name.to_owned());
///         Ok(())
///     }
///
///     fn open(&self, session: &mut Session) -> Result<Member, PluginError> {
///         let name = session.learnt().unwrap_or_default();
///         Ok(Member { name })
///     }
/// }
///
/// impl Protocol for Member {
///     const NAME: &'static str = "club";
///
///     fn on_open(&mut self, session: &mut Session) {
///         session.text(format!("welcome, {}", self.name));
///     }
/// }
///
/// export_plugin!(Club);
///
/// let host = TestHost::new(plugin());
/// let refused = host.try_open("club", Opening::at("/club")).err().unwrap();
/// assert_eq!((refused.status, refused.text().as_str()), (403, "members only"));
/// let member = host.open_as("club", Opening::at("/club").with_field("X-Name", "Ada"));
/// assert_eq!(member.sent(), [hotsocket_plugin::testing::Outgoing::text("welcome, Ada")]);
/// ```
pub struct Handshake {
    raw: abi::Handshake,
    kept: Cell<Option<Learnt>>,
}

/// What a protocol keeps of an opening handshake for its session.
pub(crate) type Learnt = Box<dyn Any + Send>;

/// The request.
impl Handshake {
    /// The name of the vhost.
    #[must_use]
    pub fn vhost(&self) -> &str {
        self.words(abi::FACT_VHOST).unwrap_or_default()
    }

    /// The path of the request target, as it came, without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.words(abi::FACT_PATH).unwrap_or_default()
    }

    /// What follows the `?` of the request target, as it came.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.words(abi::FACT_QUERY)
    }

    /// The request target, as it came.
    #[must_use]
    pub fn target(&self) -> &str {
        self.words(abi::FACT_TARGET).unwrap_or_default()
    }

    /// Whom the request is for, host and port, from the target or the Host field.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.words(abi::FACT_HOST).unwrap_or_default()
    }

    /// The address of the peer; none on a unix socket.
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        Facts::peer(self)
    }

    /// The name of the peer's address, where the operator has names looked up (`reverse_names`); it leads back to the address.
    /// None until it is known: a name is looked up beside the first request of an address.
    #[must_use]
    pub fn peer_name(&self) -> Option<&str> {
        Facts::peer_name(self)
    }

    /// The name of the protocol that the session is to have.
    #[must_use]
    pub fn protocol(&self) -> &str {
        self.words(abi::FACT_PROTOCOL).unwrap_or_default()
    }

    /// Its [`Protocol::ID`](crate::Protocol::ID).
    #[must_use]
    pub fn protocol_id(&self) -> u32 {
        Facts::protocol_id(self)
    }

    /// What carries the connection.
    #[must_use]
    pub fn transport(&self) -> Transport {
        Facts::transport(self)
    }

    /// Whether the transport is encrypted.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        Facts::is_encrypted(self)
    }

    /// What was agreed on with TLS; none without it.
    #[must_use]
    pub fn tls(&self) -> Option<Tls<'_>> {
        Facts::tls(self)
    }

    /// The value of a field by its name, in any case of letters; the first one if it is repeated. Need not be UTF-8.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.nth_header(name, 0)
    }

    /// The same, as text; none when it is not UTF-8.
    #[must_use]
    pub fn header_str(&self, name: &str) -> Option<&str> {
        str::from_utf8(self.header(name)?).ok()
    }

    /// The values of a field, in their order.
    pub fn headers(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        (0..).map_while(move |index| self.nth_header(name, index))
    }

    /// Names and values of all fields, in their order.
    pub fn all_headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        (0..).map_while(|index| {
            let (mut name, mut value) = (abi::Bytes::empty(), abi::Bytes::empty());
            // SAFETY: the calls are valid during the hook; both places are ours to write.
            let status = unsafe {
                (self.calls().field_at)(self.raw.context, index, &raw mut name, &raw mut value)
            };
            if status != abi::STATUS_OK {
                return None;
            }
            // SAFETY: the host lends both until the hook returns, which this borrow does not outlive.
            let (name, value) = unsafe { (name.as_slice(), value.as_slice()) };
            Some((str::from_utf8(name).unwrap_or_default(), value))
        })
    }

    /// What a policy has said by that name of the request or its connection; see [`Policy`](crate::Policy).
    #[must_use]
    pub fn tag(&self, name: &str) -> Option<&[u8]> {
        let name = abi::Bytes::new(name.as_bytes());
        let mut out = abi::Bytes::empty();
        // SAFETY: the calls are valid during the hook; the name outlives this one, and `out` is ours to write.
        let status = unsafe { (self.calls().tag)(self.raw.context, name, &raw mut out) };
        // SAFETY: the host lends it until the hook returns, which this borrow does not outlive.
        (status == abi::STATUS_OK).then(|| unsafe { out.as_slice() })
    }

    /// The subprotocols that the peer offers, the preferred one first.
    pub fn offered(&self) -> impl Iterator<Item = &str> {
        let mut index = 0;
        iter::from_fn(move || {
            let mut out = abi::Bytes::empty();
            // SAFETY: the calls are valid during the hook; `out` is ours to write.
            let status = unsafe { (self.calls().offered)(self.raw.context, index, &raw mut out) };
            index += 1;
            // SAFETY: the host lends it until the hook returns, which this borrow does not outlive.
            (status == abi::STATUS_OK)
                .then(|| str::from_utf8(unsafe { out.as_slice() }).unwrap_or_default())
        })
    }
}

/// The answer.
impl Handshake {
    /// The subprotocol that the answer is going to name: the protocol's own name where the peer offers it, until
    /// another one is chosen.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.words(abi::FACT_SUBPROTOCOL)
    }

    /// The answer names this subprotocol, as does [`Session::subprotocol`](crate::Session::subprotocol) later. False
    /// when the peer does not offer it; then nothing changes.
    #[must_use = "false says that the peer does not offer it"]
    pub fn choose(&self, subprotocol: &str) -> bool {
        // An empty name would choose none.
        !subprotocol.is_empty() && self.choose_raw(subprotocol)
    }

    /// The answer names no subprotocol.
    pub fn choose_none(&self) {
        self.choose_raw("");
    }

    /// Adds a field to the answer, be it that the handshake is accepted or refused.
    ///
    /// # Errors
    ///
    /// Why it is not taken; nothing is added.
    pub fn add_field(&self, name: &str, value: impl AsRef<[u8]>) -> Result<(), FieldError> {
        let name = abi::Bytes::new(name.as_bytes());
        let value = abi::Bytes::new(value.as_ref());
        // SAFETY: the calls are valid during the hook; name and value outlive this one.
        match unsafe { (self.calls().add_field)(self.raw.context, name, value) } {
            abi::STATUS_OK => Ok(()),
            abi::STATUS_FULL => Err(FieldError::TooMuch),
            _ => Err(FieldError::Invalid),
        }
    }

    /// Keeps a value for the session, which takes it by [`Session::learnt`](crate::Session::learnt). One that was kept
    /// before is dropped. It is dropped too when the handshake is refused, there never is a session, or nobody takes it.
    pub fn keep(&self, value: impl Any + Send) {
        self.kept.set(Some(Box::new(value)));
    }
}

/// What it belongs to.
impl Handshake {
    /// The host.
    ///
    /// # Panics
    ///
    /// Never with a host that keeps the contract.
    #[must_use]
    pub fn host(&self) -> Host {
        self.thread_state().host
    }

    /// The state that [`Instance::thread`](crate::Instance::thread) made on this service thread. None when it is of
    /// another type than `T`, or lent already.
    #[must_use]
    pub fn thread<T: 'static>(&self) -> Option<RefMut<'_, T>> {
        self.thread_state().lend()
    }
}

impl Handshake {
    /// # Safety
    ///
    /// `raw` is what the host gave to the hook that is running, and this value ends with it.
    pub(crate) const unsafe fn from_raw(raw: abi::Handshake) -> Self {
        Self {
            raw,
            kept: Cell::new(None),
        }
    }

    /// What was kept.
    pub(crate) fn into_learnt(self) -> Option<Learnt> {
        self.kept.into_inner()
    }

    /// Refuses the handshake.
    pub(crate) fn refuse(&self, refusal: &Refusal) -> Result<(), PluginError> {
        if let Some(failure) = &refusal.failure {
            return Err(PluginError::new(failure));
        }
        for (name, value) in &refusal.fields {
            let added = self.add_field(name, value);
            added.map_err(|error| {
                PluginError::new(format!("the refusal's field {name}: {error}"))
            })?;
        }
        let (status, content) = (refusal.status, abi::Bytes::new(&refusal.content));
        // SAFETY: the calls are valid during the hook; the content outlives this one.
        match unsafe { (self.calls().refuse)(self.raw.context, status.into(), content) } {
            abi::STATUS_OK => Ok(()),
            _ => Err(PluginError::new(format!(
                "a handshake cannot be refused with status {status} and {} bytes of content: use 300 to 599, and no \
                 content with 304",
                refusal.content.len()
            ))),
        }
    }

    fn choose_raw(&self, subprotocol: &str) -> bool {
        let subprotocol = abi::Bytes::new(subprotocol.as_bytes());
        // SAFETY: the calls are valid during the hook; the name outlives this one.
        unsafe { (self.calls().choose)(self.raw.context, subprotocol) == abi::STATUS_OK }
    }

    fn nth_header(&self, name: &str, index: u64) -> Option<&[u8]> {
        let name = abi::Bytes::new(name.as_bytes());
        let mut out = abi::Bytes::empty();
        // SAFETY: the calls are valid during the hook; the name outlives this one, and `out` is ours to write.
        let status = unsafe { (self.calls().field)(self.raw.context, name, index, &raw mut out) };
        // SAFETY: the host lends fields until the hook returns, which this borrow does not outlive.
        (status == abi::STATUS_OK).then(|| unsafe { out.as_slice() })
    }

    fn thread_state(&self) -> &ThreadState {
        // SAFETY: the host hands back what `thread_create` of this instance made on this thread, and frees it after
        // the last handshake and session there.
        unsafe { ThreadState::from_raw(self.raw.thread) }
    }

    const fn calls(&self) -> &abi::HandshakeCalls {
        // SAFETY: `from_raw` promises that the calls are valid during the hook.
        unsafe { &*self.raw.calls }
    }
}

impl Facts for Handshake {
    fn number(&self, key: u32) -> Option<u64> {
        let mut out = 0;
        // SAFETY: the calls are valid during the hook; `out` is ours to write.
        let status = unsafe { (self.calls().fact_number)(self.raw.context, key, &raw mut out) };
        (status == abi::STATUS_OK).then_some(out)
    }

    fn bytes(&self, key: u32) -> Option<&[u8]> {
        let mut out = abi::Bytes::empty();
        // SAFETY: the calls are valid during the hook; `out` is ours to write.
        let status = unsafe { (self.calls().fact_bytes)(self.raw.context, key, &raw mut out) };
        // SAFETY: the host lends facts until the hook returns, which this borrow does not outlive.
        (status == abi::STATUS_OK).then(|| unsafe { out.as_slice() })
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake")
            .field("vhost", &self.vhost())
            .field("protocol", &self.protocol())
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}
