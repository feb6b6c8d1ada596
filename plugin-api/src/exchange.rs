//! An exchange as its own hooks see it: answering. What it can read of the request is in `request.rs`.

mod request;

use std::{
    borrow::Cow,
    cell::{Cell, RefCell, RefMut},
    fmt,
    os::unix::ffi::OsStrExt,
    path::Path,
    time::Duration,
};

use crate::{
    ExchangeHandle, Fields, Host, Response, Sent, TimerId, abi,
    session::{ThreadState, milliseconds, sent},
};

/// The exchange that a hook is called for: valid during the hook, on its thread.
///
/// To reach the exchange later, or from another thread, keep its [`handle`](Self::handle).
pub struct Exchange {
    raw: abi::Exchange,
    is_answered: Cell<bool>,
    refused: RefCell<Option<String>>,
}

/// Answering.
impl Exchange {
    /// Answers with all of a response. [`Sent::Closed`] when there is an answer already.
    ///
    /// [`Sent::Refused`] when it cannot be sent. It need not be looked at: an exchange whose hook returns without
    /// another answer fails, which means 500 for the peer and the reason in the host's log.
    pub fn respond(&self, response: Response<'_>) -> Sent {
        if let Some(refused) = self.refuse_answer(response.refusal()) {
            return refused;
        }
        let status = response.status().into();
        let content = abi::Bytes::new(response.as_bytes());
        self.answer(response.fields(), |calls| {
            // SAFETY: the calls are valid during the hook; the content outlives this one.
            unsafe { (calls.respond)(self.raw.context, status, content) }
        })
    }

    /// Begins an answer whose content follows by [`send`](Self::send): `length` bytes of it, or as many as come before
    /// [`finish`](Self::finish). As [`respond`](Self::respond); a response with content is refused.
    pub fn start(&self, response: Response<'_>, length: Option<u64>) -> Sent {
        let has_content = !response.as_bytes().is_empty();
        let refusal = response.refusal().or_else(|| {
            has_content.then_some(Cow::Borrowed(
                "an answer that is started has no content yet",
            ))
        });
        if let Some(refused) = self.refuse_answer(refusal) {
            return refused;
        }
        let status = response.status().into();
        let length = length.unwrap_or(abi::LENGTH_UNKNOWN);
        self.answer(response.fields(), |calls| {
            // SAFETY: the calls are valid during the hook.
            unsafe { (calls.start)(self.raw.context, status, length) }
        })
    }

    /// Queues a piece of content of an answer that was started: all of it, or nothing. [`Sent::Full`] when too much is
    /// queued: [`ask_writable`](Self::ask_writable) tells when to try again. [`Sent::Refused`] when nothing was started,
    /// or it is more than was announced.
    pub fn send(&self, piece: impl AsRef<[u8]>) -> Sent {
        let piece = abi::Bytes::new(piece.as_ref());
        // SAFETY: the calls are valid during the hook; the piece outlives this one.
        sent(unsafe { (self.calls().send)(self.raw.context, piece) })
    }

    /// Adds a field behind the content of an answer that was started without a length, before it is finished.
    /// [`Sent::Refused`] when it is no field as [`Fields::field`] has them, or nothing was started.
    pub fn trailer(&self, name: &str, value: impl AsRef<[u8]>) -> Sent {
        let fields = Fields::new().field(name, value);
        // Before the answer, the host would take it for a field of the head.
        if !self.is_answered() || fields.refusal().is_some() {
            return Sent::Refused;
        }
        sent(self.add(&fields))
    }

    /// Ends the content of an answer that was started. [`Sent::Refused`] when less was sent than announced: then the
    /// exchange is cut off, so that the peer can tell.
    pub fn finish(&self) -> Sent {
        // SAFETY: the calls are valid during the hook.
        sent(unsafe { (self.calls().finish)(self.raw.context) })
    }

    /// Answers with a file of the host's machine, which the host sends as fast as the peer takes it: with 200, or as the
    /// conditions and ranges of the request say. A Content-Type that is not among `fields` is taken from the name.
    /// [`on_sent`](crate::HttpHandler::on_sent) tells what became of it; a file that cannot be opened is answered with 404.
    ///
    /// `path` is absolute, and is the plugin's to judge: the host opens what it is given. As
    /// [`respond`](Self::respond).
    pub fn respond_file(&self, path: impl AsRef<Path>, fields: Fields) -> Sent {
        let path = path.as_ref();
        let refusal = fields.refusal().map(Cow::Borrowed).or_else(|| {
            let why = || format!("the path {} is relative", path.display());
            path.is_relative().then(|| why().into())
        });
        if let Some(refused) = self.refuse_answer(refusal) {
            return refused;
        }
        let path = abi::Bytes::new(path.as_os_str().as_bytes());
        self.answer(&fields, |calls| {
            // SAFETY: the calls are valid during the hook; the path outlives this one.
            unsafe { (calls.respond_file)(self.raw.context, path) }
        })
    }

    /// Whether an answer was given, or begun.
    #[must_use]
    pub const fn is_answered(&self) -> bool {
        self.is_answered.get()
    }

    /// Has the connection end with this answer.
    pub fn close_after(&self) {
        // SAFETY: the calls are valid during the hook.
        unsafe { (self.calls().close_after)(self.raw.context) }
    }

    /// Ends the transport after this hook, whatever was sent.
    pub fn abort(&self) {
        // SAFETY: the calls are valid during the hook.
        unsafe { (self.calls().abort)(self.raw.context) }
    }
}

/// Flow control and time.
impl Exchange {
    /// Bytes that were sent and that the peer's transport has not taken yet.
    #[must_use]
    pub fn queued_bytes(&self) -> u64 {
        // SAFETY: the calls are valid during the hook.
        unsafe { (self.calls().queued_bytes)(self.raw.context) }
    }

    /// Asks for one [`on_writable`](crate::HttpHandler::on_writable), when there is room to send: in the next turn of the
    /// service loop if there is room already. Asking again before it came changes nothing.
    pub fn ask_writable(&self) {
        // SAFETY: the calls are valid during the hook.
        unsafe { (self.calls().ask_writable)(self.raw.context) }
    }

    /// Stops reading the body: after this hook no piece comes until [`resume`](Self::resume), and the transport pushes
    /// back on the peer. All other hooks go on.
    pub fn pause(&self) {
        // SAFETY: the calls are valid during the hook.
        unsafe { (self.calls().pause)(self.raw.context) }
    }

    /// Undoes [`pause`](Self::pause). What was read before comes first.
    pub fn resume(&self) {
        // SAFETY: the calls are valid during the hook.
        unsafe { (self.calls().resume)(self.raw.context) }
    }

    /// Sets a timer, or sets it anew: [`on_timer`](crate::HttpHandler::on_timer) is called once, not before that time,
    /// to the millisecond. False when the exchange has as many timers as it may.
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
impl Exchange {
    /// This exchange for other threads and later.
    #[must_use]
    pub fn handle(&self) -> ExchangeHandle {
        ExchangeHandle::new(self.host(), self.id())
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

    /// The state that [`HttpInstance::thread`](crate::HttpInstance::thread), or
    /// [`Instance::thread`](crate::Instance::thread) beside sessions, made on this service thread. None when it is of
    /// another type than `T`, or lent already.
    #[must_use]
    pub fn thread<T: 'static>(&self) -> Option<RefMut<'_, T>> {
        self.thread_state().lend()
    }
}

impl Exchange {
    /// # Safety
    ///
    /// `raw` is what the host gave to the hook that is running, and this value ends with it.
    pub(crate) const unsafe fn from_raw(raw: abi::Exchange, is_answered: bool) -> Self {
        Self {
            raw,
            is_answered: Cell::new(is_answered),
            refused: RefCell::new(None),
        }
    }

    /// Why the answer that the hook gave cannot be sent, if it gave no other.
    pub(crate) fn take_refusal(&self) -> Option<String> {
        self.refused.take()
    }

    /// What to say of an answer without trying it: there is one, or it cannot be sent.
    fn refuse_answer(&self, refusal: Option<Cow<'_, str>>) -> Option<Sent> {
        if self.is_answered() {
            return Some(Sent::Closed);
        }
        refusal.map(|why| self.refuse(&why))
    }

    #[cold]
    fn refuse(&self, why: &str) -> Sent {
        *self.refused.borrow_mut() = Some(format!("the answer cannot be sent: {why}"));
        Sent::Refused
    }

    /// Gives the answer that `call` gives, with these fields.
    fn answer(
        &self,
        fields: &Fields,
        call: impl FnOnce(&abi::ExchangeCalls) -> abi::Status,
    ) -> Sent {
        let given = match self.add(fields) {
            abi::STATUS_OK => call(self.calls()),
            failed => failed,
        };
        if !matches!(given, abi::STATUS_CLOSED) {
            // Or refused by the host, which then has some of its fields already: another answer would carry them.
            self.is_answered.set(true);
        }
        match given {
            abi::STATUS_OK => {
                self.refused.take();
                Sent::Queued
            }
            abi::STATUS_CLOSED => Sent::Closed,
            // To try again would not help, unlike where content is sent.
            abi::STATUS_FULL => self.refuse("its fields are longer than the host takes"),
            _ => self.refuse("the host does not take it"),
        }
    }

    fn add(&self, fields: &Fields) -> abi::Status {
        for (name, value) in fields.iter() {
            let (name, value) = (abi::Bytes::new(name), abi::Bytes::new(value));
            // SAFETY: the calls are valid during the hook; name and value outlive this one.
            let added = unsafe { (self.calls().add_field)(self.raw.context, name, value) };
            if added != abi::STATUS_OK {
                return added;
            }
        }
        abi::STATUS_OK
    }

    fn thread_state(&self) -> &ThreadState {
        // SAFETY: the host hands back what `thread_create` of this instance made on this thread, and frees it after
        // the last exchange there.
        unsafe { ThreadState::from_raw(self.raw.thread) }
    }

    const fn calls(&self) -> &abi::ExchangeCalls {
        // SAFETY: `Exchange::from_raw` promises that the calls are valid during the hook.
        unsafe { &*self.raw.calls }
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("id", &self.id())
            .field("vhost", &self.vhost())
            .field("protocol", &self.protocol())
            .field("method", &self.method())
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}
