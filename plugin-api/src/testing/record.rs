//! A session of the test host: runs its hooks, records what they ask for.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    ffi::c_void,
    ptr,
    rc::Rc,
};

use super::{
    Inner, Instance, ManifestProtocol,
    client::OpenedClient,
    facts::KnownFacts,
    handshake::{Accepted, Learnt, nth},
    host_calls::Post,
    session::{Ending, Outgoing},
    session_calls::CALLS,
};
use crate::{CloseCode, ClosedBy, Piece, abi, handle::kind_to_abi};

/// A piece that waits to be delivered.
pub(super) struct Incoming {
    flags: u32,
    remaining: u64,
    payload: Vec<u8>,
}

impl Incoming {
    pub(super) fn new(piece: Piece<'_>) -> Self {
        let mut flags = kind_to_abi(piece.kind);
        if piece.first {
            flags |= abi::MESSAGE_FIRST;
        }
        if piece.last {
            flags |= abi::MESSAGE_LAST;
        }
        Self {
            flags,
            remaining: piece.remaining,
            payload: piece.payload.to_vec(),
        }
    }
}

/// A session as the test host keeps it. Its hooks change it while they run, hence the cells.
pub(super) struct Record {
    id: u64,
    index: usize,
    host: Rc<Inner>,
    instance: Instance,
    facts: KnownFacts,
    /// What the plugin added to the answer of the opening handshake.
    answer_fields: Vec<(String, Vec<u8>)>,
    /// Those that the manifest names.
    kept_headers: Vec<(String, Vec<u8>)>,
    pub(super) learnt: Learnt,
    /// Where we are the client.
    pub(super) client: Option<OpenedClient>,
    /// None before it is open and after it ended.
    state: Cell<Option<*mut c_void>>,
    inbox: RefCell<VecDeque<Incoming>>,
    sent: RefCell<Vec<Outgoing>>,
    /// A message was begun and not ended.
    in_message: Cell<bool>,
    pub(super) full: Cell<bool>,
    closing: RefCell<Option<Ending>>,
    ending: RefCell<Option<Ending>>,
    deadline: RefCell<Option<(u64, String)>>,
    pub(super) asked_writable: Cell<bool>,
    pub(super) paused: Cell<bool>,
    pub(super) timers: RefCell<BTreeMap<u64, u64>>,
    pub(super) failures: RefCell<Vec<String>>,
}

/// What hooks ask for.
impl Record {
    pub(super) fn send(&self, outgoing: Outgoing) -> abi::Status {
        if self.closing.borrow().is_some() || self.ending.borrow().is_some() {
            return abi::STATUS_CLOSED;
        }
        let (first, last) = match &outgoing {
            Outgoing::Piece { first, last, .. } => (*first, *last),
            Outgoing::Text(_) | Outgoing::Binary(_) => (true, true),
            Outgoing::Ping(_) | Outgoing::Pong(_) => {
                (!self.in_message.get(), !self.in_message.get())
            }
        };
        if first == self.in_message.get() {
            return abi::STATUS_ERROR;
        }
        if self.full.get() {
            return abi::STATUS_FULL;
        }
        self.in_message.set(!last);
        self.sent.borrow_mut().push(outgoing);
        abi::STATUS_OK
    }

    pub(super) fn begin_close(&self, code: u32, reason: &str) -> abi::Status {
        let may_be_sent = matches!(code, 0 | 1000..=1003 | 1007..=1014 | 3000..=4999);
        if !may_be_sent || reason.len() > 123 {
            return abi::STATUS_ERROR;
        }
        if self.closing.borrow().is_some() || self.ending.borrow().is_some() {
            return abi::STATUS_CLOSED;
        }
        let code = match u16::try_from(code).unwrap_or_default() {
            0 => CloseCode::NO_CODE,
            code => CloseCode(code),
        };
        self.close_soon(ClosedBy::Protocol, code, true, reason);
        abi::STATUS_OK
    }

    pub(super) fn hang_up(&self) {
        self.close_soon(ClosedBy::Protocol, CloseCode::ABNORMAL, false, "");
    }

    pub(super) fn queued_bytes(&self) -> u64 {
        self.sent.borrow().iter().map(Outgoing::len).sum::<usize>() as u64
    }

    pub(super) fn set_deadline(&self, after_ms: u64, reason: &str) -> abi::Status {
        if reason.len() > 123 {
            return abi::STATUS_ERROR;
        }
        let at = self.host.shared.now_ms().saturating_add(after_ms);
        *self.deadline.borrow_mut() = (after_ms > 0).then(|| (at, reason.to_owned()));
        abi::STATUS_OK
    }

    pub(super) fn set_timer(&self, id: u64, after_ms: u64) {
        let at = self.host.shared.now_ms().saturating_add(after_ms);
        self.timers.borrow_mut().insert(id, at);
    }

    pub(super) fn number(&self, key: u32) -> Option<u64> {
        match key {
            abi::FACT_ID => Some(self.id),
            abi::FACT_CONNECT => Some(self.client.as_ref()?.number),
            key => self.facts.number(key),
        }
    }

    pub(super) fn bytes(&self, key: u32) -> Option<&[u8]> {
        match key {
            abi::FACT_URL => Some(self.client.as_ref()?.url.as_bytes()),
            key => self.facts.bytes(key),
        }
    }

    pub(super) fn tag(&self, name: &[u8]) -> Option<&[u8]> {
        self.facts.tag(name)
    }
}

/// What happens to it.
impl Record {
    pub(super) fn open(host: &Rc<Inner>, index: usize, accepted: Accepted) -> Rc<Self> {
        let Accepted {
            instance,
            mut handshake,
            fields: answer_fields,
            learnt,
            client,
        } = accepted;
        let id = host.last_id.get() + 1;
        host.last_id.set(id);
        let ManifestProtocol {
            name,
            id: number,
            keep_headers,
            ..
        } = &host.protocols[index];
        let mut kept_headers = std::mem::take(&mut handshake.fields);
        kept_headers.retain(|(name, _)| {
            keep_headers
                .iter()
                .any(|kept| kept.eq_ignore_ascii_case(name))
        });
        let role = match client {
            Some(_) => abi::ROLE_CLIENT,
            None => abi::ROLE_SERVER,
        };
        let facts = KnownFacts::new(handshake, name, *number, role);
        let record = Rc::new(Self {
            id,
            index,
            host: Rc::clone(host),
            instance,
            facts,
            answer_fields,
            kept_headers,
            learnt,
            client,
            state: Cell::default(),
            inbox: RefCell::default(),
            sent: RefCell::default(),
            in_message: Cell::default(),
            full: Cell::default(),
            closing: RefCell::default(),
            ending: RefCell::default(),
            deadline: RefCell::default(),
            asked_writable: Cell::default(),
            paused: Cell::default(),
            timers: RefCell::default(),
            failures: RefCell::default(),
        });
        host.sessions
            .borrow_mut()
            .insert(id, Rc::downgrade(&record));
        host.shared.opened(record.protocol(), id);
        let session = record.raw();
        let mut state = ptr::null_mut();
        // SAFETY: the instance is alive, and the session is ours until the call returns.
        let opened =
            unsafe { (record.block().open)(instance.instance, &raw const session, &raw mut state) };
        if let Some(client) = &record.client {
            client.forget();
        }
        if let Some(failure) = record.learnt.forget() {
            record.failures.borrow_mut().push(failure);
        }
        if opened == abi::STATUS_OK {
            record.state.set(Some(state));
        } else {
            record.finish(Ending::failed());
        }
        record
    }

    pub(super) fn answer_fields(&self) -> &[(String, Vec<u8>)] {
        &self.answer_fields
    }

    pub(super) fn kept_header(&self, name: &[u8], index: u64) -> Option<&[u8]> {
        nth(&self.kept_headers, name, index)
    }

    pub(super) const fn id(&self) -> u64 {
        self.id
    }

    pub(super) const fn index(&self) -> usize {
        self.index
    }

    pub(super) fn host(&self) -> &Inner {
        &self.host
    }

    pub(super) fn take_sent(&self) -> Vec<Outgoing> {
        self.sent.take()
    }

    pub(super) fn ending(&self) -> Option<Ending> {
        self.ending.borrow().clone()
    }

    pub(super) fn receive(&self, incoming: Incoming) {
        self.inbox.borrow_mut().push_back(incoming);
        self.deliver();
    }

    pub(super) fn receive_pong(&self, payload: &[u8]) {
        let payload = abi::Bytes::new(payload);
        // SAFETY: `hook` gives both pointers; the payload outlives the call.
        self.hook(|state, session| unsafe { (self.block().pong)(state, session, payload) });
    }

    /// Does what was posted to it.
    pub(super) fn act(&self, post: &Post) {
        let payload = abi::Bytes::new(&post.payload);
        match post.operation {
            abi::POST_SEND => self.send_posted(post.number, &post.payload),
            abi::POST_CLOSE => {
                let reason = String::from_utf8_lossy(&post.payload);
                self.begin_close(post.number, &reason);
            }
            abi::POST_HANG_UP => self.hang_up(),
            abi::POST_ASK_WRITABLE => self.asked_writable.set(true),
            abi::POST_PAUSE => self.paused.set(true),
            abi::POST_RESUME => self.paused.set(false),
            // SAFETY: `hook` gives both pointers; the payload outlives the call.
            _ => self
                .hook(|state, session| unsafe { (self.block().notify)(state, session, payload) }),
        }
    }

    /// What is done between two hooks: messages that waited, a writable hook that was asked for, a close.
    pub(super) fn settle(&self) {
        self.deliver();
        if self.asked_writable.get() && !self.full.get() {
            self.asked_writable.set(false);
            // SAFETY: `hook` gives both pointers.
            self.hook(|state, session| unsafe { (self.block().writable)(state, session) });
        }
        let closing = self.closing.borrow_mut().take();
        if let Some(closing) = closing {
            self.end(closing);
        }
    }

    /// When the next timer or the deadline is due.
    pub(super) fn next_due(&self) -> Option<u64> {
        self.state.get()?;
        let timer = self.timers.borrow().values().min().copied();
        let deadline = self.deadline.borrow().as_ref().map(|(at, _)| *at);
        timer.into_iter().chain(deadline).min()
    }

    /// Calls the timers that are due, then looks at the deadline.
    pub(super) fn run_due(&self, now_ms: u64) {
        let is_due = |(id, at): (&u64, &u64)| (*at <= now_ms).then_some(*id);
        let due: Vec<u64> = self.timers.borrow().iter().filter_map(is_due).collect();
        for id in due {
            // A hook before may have cancelled it, or set it anew.
            let still_due = self
                .timers
                .borrow()
                .get(&id)
                .is_some_and(|at| *at <= now_ms);
            if still_due {
                self.timers.borrow_mut().remove(&id);
                // SAFETY: `hook` gives both pointers.
                self.hook(|state, session| unsafe { (self.block().timer)(state, session, id) });
            }
        }
        let reached = self.deadline.borrow_mut().take_if(|(at, _)| *at <= now_ms);
        if let Some((_, reason)) = reached {
            self.close_soon(ClosedBy::Host, CloseCode::POLICY, true, &reason);
        }
    }

    /// Ends the session: tells its close, frees its state. Does nothing when it has ended.
    pub(super) fn end(&self, ending: Ending) {
        if self.state.get().is_none() {
            return;
        }
        *self.ending.borrow_mut() = Some(ending.clone());
        let close = abi::Close {
            by: match ending.by {
                ClosedBy::Peer => abi::CLOSE_BY_PEER,
                ClosedBy::Protocol => abi::CLOSE_BY_PROTOCOL,
                ClosedBy::Host => abi::CLOSE_BY_HOST,
                ClosedBy::Drain => abi::CLOSE_BY_DRAIN,
            },
            code: ending.code.0.into(),
            clean: ending.clean.into(),
            reason: abi::Bytes::new(ending.reason.as_bytes()),
        };
        // SAFETY: `hook` gives both pointers; the close outlives the call.
        self.hook(|state, session| unsafe {
            (self.block().close)(state, session, &raw const close)
        });
        self.finish(ending);
    }

    fn deliver(&self) {
        while !self.paused.get() && self.state.get().is_some() {
            let Some(incoming) = self.inbox.borrow_mut().pop_front() else {
                return;
            };
            let (flags, remaining) = (incoming.flags, incoming.remaining);
            let payload = abi::Bytes::new(&incoming.payload);
            // SAFETY: `hook` gives both pointers; the payload outlives the call.
            self.hook(|state, session| unsafe {
                (self.block().message)(state, session, flags, remaining, payload)
            });
        }
    }

    fn send_posted(&self, number: u32, payload: &[u8]) {
        let slow = number & (abi::SLOW_DROP | abi::SLOW_CLOSE);
        if self.full.get() && slow == abi::SLOW_CLOSE {
            self.close_soon(ClosedBy::Host, CloseCode::TRY_AGAIN_LATER, true, "too slow");
        } else if let Some(outgoing) = Outgoing::new(number & !slow, payload) {
            self.send(outgoing);
        }
    }

    /// The first that asks for a close is who began it.
    fn close_soon(&self, by: ClosedBy, code: CloseCode, clean: bool, reason: &str) {
        self.closing.borrow_mut().get_or_insert_with(|| Ending {
            by,
            code,
            clean,
            reason: reason.to_owned(),
        });
    }

    /// Runs a hook of an open session; one that fails ends it.
    fn hook(&self, call: impl FnOnce(*mut c_void, *const abi::Session) -> abi::Status) {
        let Some(state) = self.state.get() else {
            return;
        };
        let session = self.raw();
        if call(state, &raw const session) != abi::STATUS_OK {
            self.finish(Ending::failed());
        }
    }

    /// The session is no more: frees its state.
    fn finish(&self, ending: Ending) {
        *self.ending.borrow_mut() = Some(ending);
        self.host.shared.ended(self.protocol(), self.id);
        if let Some(state) = self.state.take() {
            let session = self.raw();
            // SAFETY: `open` made the state, and this is the last call with it.
            unsafe { (self.block().destroy)(state, &raw const session) };
        }
    }

    /// This session for one hook.
    fn raw(&self) -> abi::Session {
        abi::Session {
            context: ptr::from_ref(self).cast_mut().cast(),
            calls: &CALLS,
            thread: self.instance.thread,
        }
    }

    fn protocol(&self) -> &str {
        self.facts.protocol()
    }

    fn block(&self) -> &abi::SessionBlock {
        // SAFETY: entries lead to static blocks.
        unsafe { &*self.host.entry(self.index).session }
    }
}
