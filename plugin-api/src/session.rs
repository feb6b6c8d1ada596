//! A session as its own hooks see it.

use std::{
    any::Any,
    cell::{RefCell, RefMut},
    ffi::c_void,
    fmt,
    net::SocketAddr,
    time::Duration,
};

use crate::{
    CloseCode, ConnectId, Host, Kind, Message, SessionHandle, SessionId, Sessions, Tls, abi,
    client_request::take_back,
    facts::Facts,
    handle::{code_to_abi, kind_to_abi, whole},
    shim::handshake::take_over,
};

/// The session that a hook is called for: valid during the hook, on its thread.
///
/// `send` and its kin queue at once; everything else that is asked is done after the hook has returned. To reach the
/// session later, or from another thread, keep its [`handle`](Self::handle).
pub struct Session {
    raw: abi::Session,
}

/// What a service thread keeps for an instance; [`abi::Session::thread`] points to it. That the host is found here
/// and not in each session is why a session costs no more memory than its value.
pub(crate) struct ThreadState {
    pub(crate) host: Host,
    pub(crate) value: RefCell<Box<dyn Any>>,
}

impl ThreadState {
    /// # Safety
    ///
    /// `raw` is what `thread_create` made on this thread, and it is not freed for `'a`.
    pub(crate) unsafe fn from_raw<'a>(raw: *mut c_void) -> &'a Self {
        // SAFETY: the caller promises it.
        unsafe { raw.cast::<Self>().as_ref() }
            .expect("the host makes the thread's state before the first hook there")
    }

    /// The author's value. None when it is no `T`, or lent already.
    pub(crate) fn lend<T: 'static>(&self) -> Option<RefMut<'_, T>> {
        let value = self.value.try_borrow_mut().ok()?;
        RefMut::filter_map(value, |value| value.downcast_mut()).ok()
    }
}

/// Sending.
impl Session {
    /// Queues a message: all of it, or nothing. Give it the message that was received, `&str` or `&String` for text,
    /// `&[u8]` or `&Vec<u8>` for binary.
    #[inline]
    pub fn send<'m>(&self, message: impl Into<Message<'m>>) -> Sent {
        let message = message.into();
        self.send_flagged(whole(message.kind()), message.as_bytes())
    }

    /// Queues a text message.
    pub fn text(&self, text: impl AsRef<str>) -> Sent {
        self.send(Message::Text(text.as_ref()))
    }

    /// Queues a binary message.
    pub fn binary(&self, bytes: impl AsRef<[u8]>) -> Sent {
        self.send(Message::Binary(bytes.as_ref()))
    }

    /// Queues one fragment of a message, so that a long one need not exist as a whole. `first` and `last` say where the
    /// message begins and ends, `kind` is the same in all of them; until the last one only pings, pongs and a close may
    /// come between. Text as a whole is UTF-8, which the host checks no more.
    pub fn send_piece(&self, kind: Kind, first: bool, last: bool, payload: &[u8]) -> Sent {
        let mut flags = kind_to_abi(kind);
        if first {
            flags |= abi::MESSAGE_FIRST;
        }
        if last {
            flags |= abi::MESSAGE_LAST;
        }
        self.send_flagged(flags, payload)
    }

    /// Queues a ping of at most 125 bytes. The host pings idle peers by itself.
    pub fn ping(&self, payload: &[u8]) -> Sent {
        self.send_flagged(abi::MESSAGE_PING | abi::MESSAGE_WHOLE, payload)
    }

    /// Queues a pong of at most 125 bytes that nobody asked for. The host answers pings by itself.
    pub fn pong(&self, payload: &[u8]) -> Sent {
        self.send_flagged(abi::MESSAGE_PONG | abi::MESSAGE_WHOLE, payload)
    }

    /// Begins the closing handshake, after what was queued before. `reason` has at most 123 bytes. Nothing can be sent
    /// afterwards; [`on_close`](crate::Protocol::on_close) comes when the session has ended.
    pub fn close(&self, code: impl Into<CloseCode>, reason: &str) -> Sent {
        let reason = abi::Bytes::new(reason.as_bytes());
        let code = code_to_abi(code.into());
        // SAFETY: the calls are valid during the hook; the reason outlives this one.
        sent(unsafe { (self.calls().close)(self.raw.context, code, reason) })
    }

    /// Ends the transport without a closing handshake. What is queued may be lost.
    pub fn hang_up(&self) {
        // SAFETY: the calls are valid during the hook.
        unsafe { (self.calls().hang_up)(self.raw.context) }
    }
}

/// Flow control and time.
impl Session {
    /// Bytes that were sent and that the peer's transport has not taken yet.
    #[must_use]
    pub fn queued_bytes(&self) -> u64 {
        // SAFETY: the calls are valid during the hook.
        unsafe { (self.calls().queued_bytes)(self.raw.context) }
    }

    /// Asks for one [`on_writable`](crate::Protocol::on_writable), when there is room to send: in the next turn of the
    /// service loop if there is room already. Asking again before it came changes nothing.
    pub fn ask_writable(&self) {
        // SAFETY: the calls are valid during the hook.
        unsafe { (self.calls().ask_writable)(self.raw.context) }
    }

    /// Stops reading from the peer: after this hook no message comes until [`resume`](Self::resume), and the transport
    /// pushes back on the peer. All other hooks go on.
    pub fn pause(&self) {
        // SAFETY: the calls are valid during the hook.
        unsafe { (self.calls().pause)(self.raw.context) }
    }

    /// Undoes [`pause`](Self::pause). What was read before comes first.
    pub fn resume(&self) {
        // SAFETY: the calls are valid during the hook.
        unsafe { (self.calls().resume)(self.raw.context) }
    }

    /// Has the session closed with 1008 and `reason` after that time, unless this is called again before or the
    /// deadline is cleared. False when the reason is above 123 bytes; then nothing changes.
    pub fn set_deadline(&self, after: Duration, reason: &str) -> bool {
        // 0 would take the deadline back.
        let after_ms = milliseconds(after).max(1);
        let reason = abi::Bytes::new(reason.as_bytes());
        // SAFETY: the calls are valid during the hook; the reason outlives this one.
        unsafe { (self.calls().set_deadline)(self.raw.context, after_ms, reason) == abi::STATUS_OK }
    }

    /// Takes the deadline back.
    pub fn clear_deadline(&self) {
        // SAFETY: the calls are valid during the hook.
        unsafe { (self.calls().set_deadline)(self.raw.context, 0, abi::Bytes::empty()) };
    }

    /// Sets a timer, or sets it anew: [`on_timer`](crate::Protocol::on_timer) is called once, not before that time,
    /// to the millisecond. False when the session has as many timers as it may.
    pub fn set_timer(&self, timer: TimerId, after: Duration) -> bool {
        let after_ms = milliseconds(after);
        // SAFETY: the calls are valid during the hook.
        unsafe { (self.calls().set_timer)(self.raw.context, timer.0, after_ms) == abi::STATUS_OK }
    }

    /// Takes a timer back: its hook is not called, even if it was due. False when it was not set.
    pub fn cancel_timer(&self, timer: TimerId) -> bool {
        // SAFETY: the calls are valid during the hook.
        unsafe { (self.calls().cancel_timer)(self.raw.context, timer.0) == abi::STATUS_OK }
    }
}

/// What it belongs to.
impl Session {
    /// This session for other threads, other sessions and later.
    #[must_use]
    pub fn handle(&self) -> SessionHandle {
        SessionHandle::new(self.host(), self.id())
    }

    /// The host.
    ///
    /// # Panics
    ///
    /// Never with a host that keeps the contract.
    #[must_use]
    pub fn host(&self) -> Host {
        self.thread_state().host
    }

    /// All sessions of this protocol on this vhost, this one included.
    #[must_use]
    pub fn all(&self) -> Sessions {
        Sessions::new(self.host())
    }

    /// The state that [`Instance::thread`](crate::Instance::thread) made on this service thread. None when it is of
    /// another type than `T`, or lent already.
    #[must_use]
    pub fn thread<T: 'static>(&self) -> Option<RefMut<'_, T>> {
        self.thread_state().lend()
    }

    /// What a policy has said by that name of its opening handshake or its connection; see [`Policy`](crate::Policy).
    #[must_use]
    pub fn tag(&self, name: &str) -> Option<&[u8]> {
        let name = abi::Bytes::new(name.as_bytes());
        let mut out = abi::Bytes::empty();
        // SAFETY: the calls are valid during the hook; the name outlives this one, and `out` is ours to write.
        let status = unsafe { (self.calls().tag)(self.raw.context, name, &raw mut out) };
        // SAFETY: the host lends it until the hook returns, which this borrow does not outlive.
        (status == abi::STATUS_OK).then(|| unsafe { out.as_slice() })
    }

    /// What [`Instance::on_handshake`](crate::Instance::on_handshake) has kept for this session: in
    /// [`Instance::open`](crate::Instance::open) and [`on_open`](crate::Protocol::on_open), once. None when it was taken
    /// before, or nothing was kept; or what was kept is no `T`, and is dropped.
    #[must_use]
    pub fn learnt<T: Any>(&self) -> Option<T> {
        // SAFETY: the calls are valid during the hook.
        let learnt = unsafe { (self.calls().take_learnt)(self.raw.context) };
        // SAFETY: the host hands back what `request` of the same plugin made, once; it is ours from then on.
        let learnt = unsafe { take_over(learnt) }?;
        learnt.downcast().ok().map(|value| *value)
    }

    /// What [`Host::connect`] was given for this session: in [`Instance::open`](crate::Instance::open) and
    /// [`on_open`](crate::Protocol::on_open), once. None where we are the server, and when it was taken before; or what was
    /// given is no `T`, and is dropped.
    #[must_use]
    pub fn given<T: Any>(&self) -> Option<T> {
        // SAFETY: the calls are valid during the hook.
        let given = unsafe { (self.calls().take_given)(self.raw.context) };
        // SAFETY: the host hands back what `connect` of the same plugin gave, once; it is ours from then on.
        let given = unsafe { take_back(given) }?;
        given.downcast().ok().map(|value| *value)
    }
}

/// Facts.
impl Session {
    /// Names this session; never used again for another one while the host runs.
    ///
    /// # Panics
    ///
    /// Never with a host that keeps the contract.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.number(abi::FACT_ID)
            .and_then(SessionId::new)
            .expect("the host gives each session an id")
    }

    /// The name of its vhost.
    #[must_use]
    pub fn vhost(&self) -> &str {
        self.words(abi::FACT_VHOST).unwrap_or_default()
    }

    /// The name of its protocol.
    #[must_use]
    pub fn protocol(&self) -> &str {
        self.words(abi::FACT_PROTOCOL).unwrap_or_default()
    }

    /// [`Protocol::ID`](crate::Protocol::ID).
    #[must_use]
    pub fn protocol_id(&self) -> u32 {
        Facts::protocol_id(self)
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

    /// The address of the peer; none on a unix socket.
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        Facts::peer(self)
    }

    /// The name of the peer's address, where the operator has names looked up (`reverse_names`); it leads back to the address.
    /// None until it is known, and no hook tells when that is: a name is looked up beside the first request of an address.
    #[must_use]
    pub fn peer_name(&self) -> Option<&str> {
        Facts::peer_name(self)
    }

    /// The subprotocol that was agreed on.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.words(abi::FACT_SUBPROTOCOL)
    }

    /// The value of a field of the opening handshake that [`KEEP_HEADERS`](crate::Protocol::KEEP_HEADERS) names, in any
    /// case of letters; the first one if it was repeated. Need not be UTF-8.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.nth_header(name, 0)
    }

    /// The same, as text; none when it is not UTF-8.
    #[must_use]
    pub fn header_str(&self, name: &str) -> Option<&str> {
        str::from_utf8(self.header(name)?).ok()
    }

    /// The values of such a field, in their order.
    pub fn headers(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        (0..).map_while(move |index| self.nth_header(name, index))
    }

    /// Which side of the connection we are.
    #[must_use]
    pub fn role(&self) -> Role {
        Facts::role(self)
    }

    /// Of a client session: what [`Host::connect`] gave for it.
    #[must_use]
    pub fn connect_id(&self) -> Option<ConnectId> {
        self.number(abi::FACT_CONNECT).map(ConnectId)
    }

    /// Of a client session: the URL that it was opened to, after redirects, without name and password.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        self.words(abi::FACT_URL)
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

    /// What was agreed on with TLS; none without it, and in `on_close` of a connection that is gone.
    #[must_use]
    pub fn tls(&self) -> Option<Tls<'_>> {
        Facts::tls(self)
    }
}

impl Facts for Session {
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
        // SAFETY: the host lends facts until the hook returns, which this borrow of the session does not outlive.
        (status == abi::STATUS_OK).then(|| unsafe { out.as_slice() })
    }
}

impl Session {
    /// # Safety
    ///
    /// `raw` is what the host gave to the hook that is running, and this value ends with it.
    pub(crate) const unsafe fn from_raw(raw: abi::Session) -> Self {
        Self { raw }
    }

    #[inline]
    fn send_flagged(&self, flags: u32, payload: &[u8]) -> Sent {
        let payload = abi::Bytes::new(payload);
        // SAFETY: the calls are valid during the hook; the payload outlives this one.
        sent(unsafe { (self.calls().send)(self.raw.context, flags, payload) })
    }

    fn nth_header(&self, name: &str, index: u64) -> Option<&[u8]> {
        let name = abi::Bytes::new(name.as_bytes());
        let mut out = abi::Bytes::empty();
        // SAFETY: the calls are valid during the hook; the name outlives this one, and `out` is ours to write.
        let status = unsafe { (self.calls().field)(self.raw.context, name, index, &raw mut out) };
        // SAFETY: the host lends fields until the hook returns, which this borrow of the session does not outlive.
        (status == abi::STATUS_OK).then(|| unsafe { out.as_slice() })
    }

    fn thread_state(&self) -> &ThreadState {
        // SAFETY: the host hands back what `thread_create` of this instance made on this thread, and frees it after
        // the last session there.
        unsafe { ThreadState::from_raw(self.raw.thread) }
    }

    #[inline]
    const fn calls(&self) -> &abi::SessionCalls {
        // SAFETY: `Session::from_raw` promises that the calls are valid during the hook.
        unsafe { &*self.raw.calls }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.id())
            .field("vhost", &self.vhost())
            .field("protocol", &self.protocol())
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}

/// What became of a `send`. Need not be looked at: a session that is closing ends by itself, and a protocol that sends
/// no faster than it receives is held back by the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sent {
    /// All of it is queued.
    Queued,
    /// Nothing is: the connection is above its high mark. [`Session::ask_writable`] tells when to try again.
    Full,
    /// Nothing is: the session is closing, or the exchange is over.
    Closed,
    /// Nothing is: it makes no sense. An answer to HTTP with a field that is none, a ping above 125 bytes, a message begun inside another, a close code that
    /// must not be sent, a reason above 123 bytes.
    Refused,
}

/// Names a timer within its session; the number is the author's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimerId(pub u64);

/// A side of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The peer opened the connection.
    Server,
    /// We opened the connection.
    Client,
}

/// What carries a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transport {
    /// TCP.
    Tcp,
    /// A unix socket.
    Unix,
    /// Something that this version of the crate does not know.
    Other,
}

#[inline]
pub(crate) const fn sent(status: abi::Status) -> Sent {
    match status {
        abi::STATUS_OK => Sent::Queued,
        abi::STATUS_FULL => Sent::Full,
        abi::STATUS_CLOSED => Sent::Closed,
        _ => Sent::Refused,
    }
}

/// Rounded up, so that nothing is due too early.
pub(crate) fn milliseconds(duration: Duration) -> u64 {
    let rounded = duration.as_nanos().div_ceil(1_000_000);
    u64::try_from(rounded).unwrap_or(u64::MAX)
}
