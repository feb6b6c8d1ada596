//! The host as a plugin sees it.

use std::{
    any::{Any, TypeId},
    ffi::c_void,
    fmt, ptr,
    sync::Arc,
    time::Duration,
};

use crate::{
    ClientRequest, ConnectId, ConnectRefused, ExchangeHandle, ExchangeId, HttpRequest,
    RequestError, RequestHandle, RequestId, ResponseHandler, SessionHandle, SessionId, Sessions,
    WholeResponse, abi,
    client_request::{explain, give, take_back},
    shim,
    whole_response::Gathering,
};

/// The host, as an instance of a protocol sees it. Valid for ever, on all threads; cheap to copy.
#[derive(Clone, Copy)]
pub struct Host {
    raw: &'static abi::Host,
}

impl Host {
    /// # Safety
    ///
    /// `raw` and its calls stay valid for ever, and the calls may be made from any thread.
    pub(crate) const unsafe fn from_raw(raw: *const abi::Host) -> Self {
        Self {
            // SAFETY: the caller promises that it is valid for ever.
            raw: unsafe { &*raw },
        }
    }

    /// Writes a line to the host's log, which adds plugin, version and generation. The macros of `log` and `tracing`
    /// come out there too, unless the plugin is linked into a program, which then has its own logger.
    pub fn log(&self, level: log::Level, text: &str) {
        self.log_as(level, env!("CARGO_PKG_NAME"), text);
    }

    /// The most detailed level that is logged for this plugin now; it may change while the host runs.
    #[must_use]
    pub fn log_level(&self) -> log::LevelFilter {
        // SAFETY: `Host::from_raw` promises the calls.
        match unsafe { (self.calls().log_level)(self.raw.context) } {
            0 => log::LevelFilter::Off,
            abi::LOG_ERROR => log::LevelFilter::Error,
            abi::LOG_WARN => log::LevelFilter::Warn,
            abi::LOG_INFO => log::LevelFilter::Info,
            abi::LOG_DEBUG => log::LevelFilter::Debug,
            _ => log::LevelFilter::Trace,
        }
    }

    /// Adds `by` to the counter `name` of this plugin, which begins at 0 when it is first named. False when the plugin
    /// has as many counters as it may.
    pub fn count(&self, name: &str, by: u64) -> bool {
        let name = abi::Bytes::new(name.as_bytes());
        // SAFETY: `Host::from_raw` promises the calls; the name outlives this one.
        unsafe { (self.calls().count)(self.raw.context, name, by) == abi::STATUS_OK }
    }

    /// The time on a clock that never goes back, with milliseconds.
    #[must_use]
    pub fn now(&self) -> Duration {
        // SAFETY: `Host::from_raw` promises the calls.
        Duration::from_millis(unsafe { (self.calls().now_ms)(self.raw.context) })
    }

    /// The name of the vhost of this instance.
    #[must_use]
    pub fn vhost(&self) -> &'static str {
        self.fact(abi::HOST_FACT_VHOST)
    }

    /// The name of the protocol of this instance.
    #[must_use]
    pub fn protocol(&self) -> &'static str {
        self.fact(abi::HOST_FACT_PROTOCOL)
    }

    /// The version of the host.
    #[must_use]
    pub fn version(&self) -> &'static str {
        self.fact(abi::HOST_FACT_VERSION)
    }

    /// What the program that this plugin is linked into gave its host for plugins, by type. None when it gave nothing of
    /// that type, and in a plugin that was loaded from a file: there the types of the program are unknown.
    #[must_use]
    pub fn data<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let id = TypeId::of::<T>();
        // SAFETY: `Host::from_raw` promises the calls; the id outlives this one.
        let data = unsafe { (self.calls().linked_data)(self.raw.context, (&raw const id).cast()) };
        // SAFETY: null, or an `Arc` of the type with that id, which the host keeps for ever.
        unsafe { data.cast::<Arc<T>>().as_ref() }.cloned()
    }

    /// All sessions of this protocol on this vhost, on all service threads and of all generations.
    #[must_use]
    pub const fn sessions(&self) -> Sessions {
        Sessions::new(*self)
    }

    /// The session of that id, whether it is still there or not.
    #[must_use]
    pub const fn session(&self, id: SessionId) -> SessionHandle {
        SessionHandle::new(*self, id)
    }

    /// Opens a connection as a client, from any thread. What comes of it is a session of the same instance, with
    /// [`Role::Client`](crate::Role::Client): [`Instance::open`](crate::Instance::open) makes its value, and finds `value` by
    /// [`Session::given`](crate::Session::given); `()` for none. Where nothing comes of it
    /// [`Instance::on_connect_error`](crate::Instance::on_connect_error) is told.
    ///
    /// The connection lives on the service thread whose hook is running, and else on the next one in turn. In
    /// [`Instance::new`](crate::Instance::new) it is asked for too, and begun when the instance serves.
    ///
    /// Certificates of authorities that a request names are read from disk by the first one that names them.
    ///
    /// ```standalone_crate
    /// use hotsocket_plugin::{prelude::*, testing::{Outgoing, TestAnswer, TestHost}};
    ///
    /// /// Has each session listen to a feed.
    /// struct Feeds;
    ///
    /// enum Listener {
    ///     /// Who asked for it.
    ///     Peer,
    ///     /// The feed, and whom to tell.
    ///     Feed(SessionHandle),
    /// }
    ///
    /// impl Instance for Feeds {
    ///     type Session = Listener;
    ///     type Options = NoOptions;
    ///     type Thread = ();
    ///
    ///     fn new(_host: &Host, NoOptions {}: NoOptions) -> Result<Self, PluginError> {
    ///         Ok(Self)
    ///     }
    ///
    ///     fn thread(&self, _host: &Host) {}
    ///
    ///     fn open(&self, session: &mut Session) -> Result<Listener, PluginError> {
    ///         if let Some(peer) = session.given() {
    ///             return Ok(Listener::Feed(peer));
    ///         }
    ///         let request = ClientRequest::to("wss://feed.example.org/ticks").subprotocol("ticks");
    ///         session.host().connect(request, session.handle())?;
    ///         Ok(Listener::Peer)
    ///     }
    ///
    ///     fn on_answer(&self, answer: &Client) -> Result<(), PluginError> {
    ///         match answer.subprotocol() {
    ///             Some(_) => Ok(()),
    ///             None => Err(PluginError::new("this is no feed of ticks")),
    ///         }
    ///     }
    ///
    ///     fn on_connect_error(&self, error: &mut ConnectError) -> Next {
    ///         if let Some(peer) = error.client().given::<SessionHandle>() {
    ///             let _ = peer.send(error.reason());
    ///         }
    ///         Next::GiveUp
    ///     }
    /// }
    ///
    /// impl Protocol for Listener {
    ///     const NAME: &'static str = "feeds";
    ///
    ///     fn on_message(&mut self, _session: &mut Session, message: Message<'_>) {
    ///         if let Self::Feed(peer) = self {
    ///             let _ = peer.send(message);
    ///         }
    ///     }
    /// }
    ///
    /// export_plugin!(Feeds);
    ///
    /// let host = TestHost::new(plugin());
    /// let peer = host.open("feeds");
    /// let connect = host.connects().pop().expect("it connects");
    /// assert_eq!(connect.url(), "wss://feed.example.org/ticks");
    /// let feed = connect.accept_with(TestAnswer::new(101).choosing("ticks")).unwrap();
    /// feed.receive("1 up");
    /// assert_eq!(peer.sent(), [Outgoing::text("1 up")]);
    ///
    /// let other = host.open("feeds");
    /// let connect = host.connects().pop().expect("it connects");
    /// let _ = connect.refuse(TestAnswer::new(404));
    /// assert_eq!(other.sent(), [Outgoing::text("the server answered with status 404")]);
    /// ```
    ///
    /// # Errors
    ///
    /// What is wrong with the request, or that nothing more is opened; `value` is dropped.
    pub fn connect(
        &self,
        request: ClientRequest,
        value: impl Any + Send,
    ) -> Result<ConnectId, ConnectRefused> {
        let given = give(Box::new(value));
        let (mut number, mut why) = (0, String::new());
        // SAFETY: `Host::from_raw` promises the calls; the request and both places outlive this one.
        let status = request.lend(|request| unsafe {
            (self.calls().connect)(
                self.raw.context,
                request,
                &raw const given,
                &raw mut number,
                abi::Explain(explain),
                (&raw mut why).cast(),
            )
        });
        if status == abi::STATUS_OK {
            return Ok(ConnectId(number));
        }
        // SAFETY: the host has not taken it.
        drop(unsafe { take_back(given.value) });
        Err(ConnectRefused::new(status, why))
    }

    /// Gives up a connection that is not open yet: [`Instance::on_connect_error`](crate::Instance::on_connect_error) is told,
    /// and it is not tried again. One that is open, or has ended, is left alone.
    pub fn give_up(&self, connect: ConnectId) {
        self.give_up_number(connect.0);
    }

    /// Sends a request in plain HTTP, from any thread. `handler` is told of the answer on the service thread whose hook is
    /// running, and else on the next one in turn; connections that servers keep open are used again. In
    /// [`Instance::new`](crate::Instance::new) it is asked for too, and begun when the instance serves. For an answer that is
    /// wanted whole: [`Self::fetch`].
    ///
    /// ```standalone_crate
    /// use hotsocket_plugin::{prelude::*, testing::{Outgoing, TestAnswer, TestHost}};
    ///
    /// /// Carries what a server says to a session, as fast as it comes.
    /// struct Carry(SessionHandle);
    ///
    /// impl ResponseHandler for Carry {
    ///     fn on_content(&mut self, response: &mut ServerResponse, piece: &[u8]) {
    ///         if self.0.send(piece).is_err() {
    ///             response.give_up("the session has ended");
    ///         }
    ///     }
    ///
    ///     fn on_end(&mut self, end: Result<Trailer<'_>, RequestError>) {
    ///         let _ = self.0.send(&end.map_or_else(|error| error.reason, |_| "done".to_owned()));
    ///     }
    /// }
    ///
    /// #[derive(Default)]
    /// struct Get;
    ///
    /// impl Protocol for Get {
    ///     const NAME: &'static str = "get";
    ///     fn on_message(&mut self, session: &mut Session, message: Message<'_>) {
    ///         if let Message::Text(url) = message
    ///             && let Err(refused) = session.host().request(HttpRequest::get(url), Carry(session.handle()))
    ///         {
    ///             session.text(refused.to_string());
    ///         }
    ///     }
    /// }
    ///
    /// export_plugin!(Get);
    ///
    /// let host = TestHost::new(plugin());
    /// let session = host.open("get");
    /// session.receive("http://example.org/");
    /// let mut asked = host.requests().pop().expect("it asks");
    /// asked.head(TestAnswer::new(200));
    /// asked.content("some");
    /// asked.end();
    /// assert_eq!(session.sent(), [Outgoing::binary(b"some"), Outgoing::text("done")]);
    /// ```
    ///
    /// # Errors
    ///
    /// What is wrong with the request, or that nothing more is sent; the handler is dropped, and told nothing.
    pub fn request(
        &self,
        request: HttpRequest,
        handler: impl ResponseHandler,
    ) -> Result<RequestHandle, ConnectRefused> {
        let asker = shim::request::give(Box::new(handler));
        let (mut number, mut why) = (0, String::new());
        // SAFETY: `Host::from_raw` promises the calls; the request and both places outlive this one.
        let status = request.lend(|request| unsafe {
            (self.calls().request)(
                self.raw.context,
                request,
                &raw const asker,
                &raw mut number,
                abi::Explain(explain),
                (&raw mut why).cast(),
            )
        });
        if status == abi::STATUS_OK {
            return Ok(RequestHandle::new(*self, RequestId(number)));
        }
        // SAFETY: the host has not taken it.
        drop(unsafe { shim::request::take_back(asker) });
        Err(ConnectRefused::new(status, why))
    }

    /// Sends a request in plain HTTP, and gives `done` the whole answer, or why there is none; as [`Self::request`]. Content
    /// above `most_bytes` fails the request, so that a server cannot fill the memory.
    ///
    /// # Errors
    ///
    /// As [`Self::request`].
    pub fn fetch(
        &self,
        request: HttpRequest,
        most_bytes: usize,
        done: impl FnOnce(Result<WholeResponse, RequestError>) + Send + 'static,
    ) -> Result<RequestHandle, ConnectRefused> {
        self.request(request, Gathering::new(most_bytes, done))
    }

    pub(crate) fn give_up_number(&self, number: u64) {
        // SAFETY: `Host::from_raw` promises the calls.
        unsafe { (self.calls().give_up)(self.raw.context, number) };
    }

    pub(crate) fn post_request(&self, number: u64, operation: u32, payload: &[u8]) -> abi::Status {
        let payload = abi::Bytes::new(payload);
        // SAFETY: `Host::from_raw` promises the calls; the payload outlives this one.
        unsafe { (self.calls().post_request)(self.raw.context, number, operation, payload) }
    }

    /// The exchange of that id, whether it is still there or not.
    #[must_use]
    pub const fn exchange(&self, id: ExchangeId) -> ExchangeHandle {
        ExchangeHandle::new(*self, id)
    }

    pub(crate) fn log_as(&self, level: log::Level, target: &str, text: &str) {
        let target = abi::Bytes::new(target.as_bytes());
        let text = abi::Bytes::new(text.as_bytes());
        // SAFETY: `Host::from_raw` promises the calls; the texts outlive this one.
        unsafe { (self.calls().log)(self.raw.context, level as u32, target, text) }
    }

    /// Tells why the hook that is running is about to fail.
    pub(crate) fn fail(&self, text: &str) {
        // SAFETY: `Host::from_raw` promises the calls; the text outlives this one.
        unsafe { (self.calls().fail)(self.raw.context, abi::Bytes::new(text.as_bytes())) }
    }

    pub(crate) fn post(&self, id: u64, operation: u32, number: u32, payload: &[u8]) -> abi::Status {
        let payload = abi::Bytes::new(payload);
        // SAFETY: `Host::from_raw` promises the calls; the payload outlives this one.
        unsafe { (self.calls().post)(self.raw.context, id, operation, number, payload) }
    }

    pub(crate) fn post_exchange(
        &self,
        id: ExchangeId,
        operation: u32,
        payload: &[u8],
    ) -> abi::Status {
        let (connection, number) = (id.connection(), id.number());
        let payload = abi::Bytes::new(payload);
        // SAFETY: `Host::from_raw` promises the calls; the payload outlives this one.
        unsafe {
            (self.calls().post_exchange)(self.raw.context, connection, number, operation, payload)
        }
    }

    pub(crate) fn post_all(&self, operation: u32, number: u32, payload: &[u8]) -> abi::Status {
        let payload = abi::Bytes::new(payload);
        // SAFETY: `Host::from_raw` promises the calls; the payload outlives this one.
        unsafe { (self.calls().post_all)(self.raw.context, operation, number, payload) }
    }

    /// # Safety
    ///
    /// `visit` may be called with `data` until this returns, and does not unwind.
    pub(crate) unsafe fn for_each(&self, visit: abi::Visit, data: *mut c_void) -> abi::Status {
        // SAFETY: `Host::from_raw` promises the calls, the caller that `visit` and `data` fit.
        unsafe { (self.calls().for_each)(self.raw.context, visit, data) }
    }

    pub(crate) const fn as_raw(&self) -> *const abi::Host {
        ptr::from_ref(self.raw)
    }

    fn fact(&self, key: u32) -> &'static str {
        let mut out = abi::Bytes::empty();
        // SAFETY: `Host::from_raw` promises the calls; `out` is ours to write.
        let status = unsafe { (self.calls().fact_bytes)(self.raw.context, key, &raw mut out) };
        if status != abi::STATUS_OK {
            return "";
        }
        // SAFETY: the host lends its facts for ever.
        str::from_utf8(unsafe { out.as_slice() }).unwrap_or_default()
    }

    const fn calls(&self) -> &'static abi::HostCalls {
        // SAFETY: `Host::from_raw` promises that the calls stay valid for ever.
        unsafe { &*self.raw.calls }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("vhost", &self.vhost())
            .field("protocol", &self.protocol())
            .finish()
    }
}
