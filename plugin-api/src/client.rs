//! Connections that a plugin opens: what is told of one before it is a session.

use std::{any::Any, cell::RefMut, fmt, net::SocketAddr, time::Duration};

use crate::{
    ClientRequest, ConnectId, Host, PluginError, Tls, Transport, abi,
    client_request::{GivenValue, explain, take_back},
    facts::Facts,
    session::{ThreadState, milliseconds},
};

/// A connection that is opened, before it is a session: valid during the hook that it is lent to.
pub struct Client {
    raw: abi::Client,
}

/// What was asked for.
impl Client {
    /// What [`Host::connect`](crate::Host::connect) gave for it.
    #[must_use]
    pub fn connect_id(&self) -> ConnectId {
        ConnectId(self.number(abi::FACT_CONNECT).unwrap_or_default())
    }

    /// The URL, after redirects, without name and password.
    #[must_use]
    pub fn url(&self) -> &str {
        self.words(abi::FACT_URL).unwrap_or_default()
    }

    /// The value that was given. None when nothing was, or no `T`.
    #[must_use]
    pub fn given<T: Any>(&self) -> Option<&T> {
        // SAFETY: the calls are valid during the hook.
        let given = unsafe { (self.calls().given)(self.raw.context) };
        // SAFETY: `give` made it, and the host lends it until the hook returns, which this borrow does not outlive;
        // taking it away needs this value mutably.
        let given = unsafe { given.cast::<GivenValue>().as_ref() }?;
        given.downcast_ref()
    }

    /// Takes the value that was given. None as with [`given`](Self::given), and when it was taken before; what is no `T` is
    /// dropped.
    #[must_use]
    pub fn take_given<T: Any>(&mut self) -> Option<T> {
        // SAFETY: the calls are valid during the hook.
        let given = unsafe { (self.calls().take_given)(self.raw.context) };
        // SAFETY: the host hands back what `give` made, once; it is ours from then on.
        let given = unsafe { take_back(given) }?;
        given.downcast().ok().map(|value| *value)
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

    /// The state that [`Instance::thread`](crate::Instance::thread) made on this service thread. None when it is of
    /// another type than `T`, or lent already.
    #[must_use]
    pub fn thread<T: 'static>(&self) -> Option<RefMut<'_, T>> {
        self.thread_state().lend()
    }
}

/// What was answered.
impl Client {
    /// The status of the answer; none when nothing was answered.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.number(abi::FACT_STATUS)?.try_into().ok()
    }

    /// The subprotocol that the server chose.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.words(abi::FACT_SUBPROTOCOL)
    }

    /// The value of a field of the answer by its name, in any case of letters; the first one if it is repeated. Need not be
    /// UTF-8.
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

    /// The beginning of the content of the answer, as much as `limits.refusal_content_bytes` says.
    #[must_use]
    pub fn content(&self) -> &[u8] {
        self.bytes(abi::FACT_CONTENT).unwrap_or_default()
    }

    /// The address of the server, or of the proxy; none on a unix socket, and while there is no connection.
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        Facts::peer(self)
    }

    /// What carries the connection.
    #[must_use]
    pub fn transport(&self) -> Transport {
        Facts::transport(self)
    }

    /// What was agreed on with TLS; none without it.
    #[must_use]
    pub fn tls(&self) -> Option<Tls<'_>> {
        Facts::tls(self)
    }
}

impl Client {
    /// # Safety
    ///
    /// `raw` is what the host gave to the hook that is running, and this value ends with it.
    pub(crate) const unsafe fn from_raw(raw: abi::Client) -> Self {
        Self { raw }
    }

    /// Why the answer will not do.
    pub(crate) fn refuse(&self, why: &PluginError) {
        let why = why.to_string();
        // SAFETY: the calls are valid during the hook; the text outlives this one.
        unsafe { (self.calls().refuse)(self.raw.context, abi::Bytes::new(why.as_bytes())) }
    }

    /// What is done next.
    pub(crate) fn go_on(&self, next: &Next) -> Result<(), PluginError> {
        match next {
            Next::Usual => Ok(()),
            Next::GiveUp => {
                // SAFETY: the calls are valid during the hook.
                unsafe { (self.calls().give_up)(self.raw.context) };
                Ok(())
            }
            Next::Again(after) => {
                // SAFETY: the calls are valid during the hook.
                unsafe { (self.calls().again)(self.raw.context, milliseconds(*after)) };
                Ok(())
            }
            Next::To(request) => {
                let mut why = String::new();
                // SAFETY: the calls are valid during the hook; the request and the text outlive this one.
                let status = request.lend(|request| unsafe {
                    let (explain, data) = (abi::Explain(explain), (&raw mut why).cast());
                    (self.calls().retarget)(self.raw.context, request, explain, data)
                });
                match status {
                    abi::STATUS_OK => Ok(()),
                    _ => Err(PluginError::new(why)),
                }
            }
        }
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
        // the last connection there.
        unsafe { ThreadState::from_raw(self.raw.thread) }
    }

    const fn calls(&self) -> &abi::ClientCalls {
        // SAFETY: `from_raw` promises that the calls are valid during the hook.
        unsafe { &*self.raw.calls }
    }
}

impl Facts for Client {
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

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("connect_id", &self.connect_id())
            .field("url", &self.url())
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

/// A connection that could not be opened: valid during
/// [`Instance::on_connect_error`](crate::Instance::on_connect_error).
pub struct ConnectError {
    client: Client,
}

impl ConnectError {
    /// What was asked for, and what was answered, if anything.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// How far it came.
    #[must_use]
    pub fn stage(&self) -> ConnectStage {
        match self.client.number(abi::FACT_STAGE) {
            Some(abi::STAGE_RESOLVE) => ConnectStage::Resolve,
            Some(abi::STAGE_CONNECT) => ConnectStage::Connect,
            Some(abi::STAGE_PROXY) => ConnectStage::Proxy,
            Some(abi::STAGE_TLS) => ConnectStage::Tls,
            Some(abi::STAGE_STATUS) => ConnectStage::Status,
            _ => ConnectStage::Handshake,
        }
    }

    /// What happened, for people.
    #[must_use]
    pub fn reason(&self) -> &str {
        self.client.words(abi::FACT_REASON).unwrap_or_default()
    }

    /// How many failures there were in a row, this one included.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.client.number(abi::FACT_FAILURES).unwrap_or(1)
    }

    /// Whether the same may succeed later: the server could not be reached, was too busy, or did not answer.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        self.client.number(abi::FACT_MAY_PASS) == Some(1)
    }

    /// As [`Client::take_given`]; there is nothing left of it for a further try.
    #[must_use]
    pub fn take_given<T: Any>(&mut self) -> Option<T> {
        self.client.take_given()
    }

    pub(crate) const fn new(client: Client) -> Self {
        Self { client }
    }
}

impl fmt::Debug for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectError")
            .field("client", &self.client)
            .field("stage", &self.stage())
            .field("reason", &self.reason())
            .finish()
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

/// How far a connection came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectStage {
    /// The addresses of the host were looked up.
    Resolve,
    /// The transport was connected.
    Connect,
    /// The proxy was looked up, connected to or asked for a tunnel.
    Proxy,
    /// TLS was agreed on.
    Tls,
    /// The opening handshake was sent, or its answer looked at.
    Handshake,
    /// The server answered with another status than 101.
    Status,
}

/// What follows from a connection that could not be opened.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one of them per failure, which is looked at where it was made"
)]
pub enum Next {
    /// What the request says of further tries, for a failure that may pass.
    Usual,
    /// Nothing: what was given is dropped.
    GiveUp,
    /// The same is tried again after this time.
    Again(Duration),
    /// It is tried elsewhere, at once, with what was given. A request that makes no sense gives up, and is logged.
    To(ClientRequest),
}
