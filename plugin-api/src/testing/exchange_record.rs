//! An exchange of the test host: runs its hooks. What they ask for is recorded in `asked.rs`.

mod asked;

use std::{
    cell::{Cell, OnceCell, RefCell},
    collections::{BTreeMap, VecDeque},
    ffi::c_void,
    path::PathBuf,
    ptr,
    rc::Rc,
};

use super::{
    Inner, Instance, Part,
    exchange::{ExchangeEnding, TestRequest},
    exchange_calls::CALLS,
    facts::KnownFacts,
    host_calls::Post,
    session::Handshake,
};
use crate::{EndedBy, FileSent, abi};

/// Which request of its connection it is: each has one of its own.
const NUMBER: u64 = 1;

/// Names and values.
type List = Vec<(String, String)>;

/// What was answered.
#[derive(Default)]
pub(super) struct Answer {
    pub(super) status: Option<u16>,
    pub(super) fields: List,
    pub(super) trailers: List,
    pub(super) announced: Option<u64>,
    pub(super) content: Vec<u8>,
    /// Content comes by `send`.
    is_started: bool,
    pub(super) is_finished: bool,
    pub(super) file: Option<PathBuf>,
    file_outcome: Option<FileSent>,
    /// Bytes of content that the peer has taken.
    taken: usize,
}

impl Answer {
    /// Whether all of it has been queued.
    const fn is_complete(&self) -> bool {
        self.is_finished && (self.file.is_none() || self.file_outcome.is_some())
    }
}

/// An exchange as the test host keeps it. Its hooks change it while they run, hence the cells.
pub(super) struct ExchangeRecord {
    id: u64,
    host: Rc<Inner>,
    index: usize,
    instance: Instance,
    request: TestRequest,
    facts: KnownFacts,
    local: &'static str,
    mountpoint: String,
    /// None before it is open and after it ended.
    state: Cell<Option<*mut c_void>>,
    /// Pieces of the body that wait, and whether each is the last.
    inbox: RefCell<VecDeque<(Vec<u8>, bool)>>,
    /// The body so far, when the handler wants it whole.
    whole: RefCell<Vec<u8>>,
    body_begun: Cell<bool>,
    body_ended: Cell<bool>,
    incoming_trailers: OnceCell<List>,
    pub(super) answer: RefCell<Answer>,
    pub(super) full: Cell<bool>,
    pub(super) close_after: Cell<bool>,
    pub(super) cut_off: Cell<bool>,
    pub(super) asked_writable: Cell<bool>,
    pub(super) paused: Cell<bool>,
    pub(super) timers: RefCell<BTreeMap<u64, u64>>,
    pub(super) ending: RefCell<Option<ExchangeEnding>>,
    pub(super) failures: RefCell<Vec<String>>,
}

/// What happens to it.
impl ExchangeRecord {
    pub(super) fn open(host: &Rc<Inner>, index: usize, request: TestRequest) -> Rc<Self> {
        let instance = host.instance(Part::Protocol(index));
        let id = host.last_id.get() + 1;
        host.last_id.set(id);
        let protocol = &host.protocols[index];
        let (path, query) = match request.target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (&*request.target, None),
        };
        let own = format!("/{}", protocol.name);
        let mountpoint = request.mountpoint.clone().unwrap_or_else(|| {
            let own = path.starts_with(&own).then_some(own);
            own.unwrap_or_else(|| "/".to_owned())
        });
        let handshake = Handshake {
            query: query.map(str::to_owned),
            peer: request.peer,
            peer_name: request.peer_name.clone(),
            encrypted: request.encrypted,
            peer_certificate: request.peer_certificate.clone(),
            tags: request.tags.clone(),
            ..Handshake::at(path)
        };
        let record = Rc::new(Self {
            id,
            host: Rc::clone(host),
            index,
            instance,
            facts: KnownFacts::new(handshake, &protocol.name, protocol.id, abi::ROLE_SERVER),
            local: request.peer.map_or("/run/test.sock", |_| "127.0.0.1:80"),
            mountpoint,
            request,
            state: Cell::default(),
            inbox: RefCell::default(),
            whole: RefCell::default(),
            body_begun: Cell::default(),
            body_ended: Cell::default(),
            incoming_trailers: OnceCell::new(),
            answer: RefCell::default(),
            full: Cell::default(),
            close_after: Cell::default(),
            cut_off: Cell::default(),
            asked_writable: Cell::default(),
            paused: Cell::default(),
            timers: RefCell::default(),
            ending: RefCell::default(),
            failures: RefCell::default(),
        });
        let weak = Rc::downgrade(&record);
        host.exchanges.borrow_mut().insert(id, weak);
        host.shared.exchange_opened(id, NUMBER);
        record.run_open();
        record
    }

    fn run_open(&self) {
        let exchange = self.raw();
        let mut state = ptr::null_mut();
        let instance = self.instance.instance;
        // SAFETY: the instance is alive, and the exchange is ours until the call returns.
        let opened = unsafe { (self.block().open)(instance, &raw const exchange, &raw mut state) };
        if opened != abi::STATUS_OK {
            self.fail();
            self.close(EndedBy::Handler, "the handler failed");
            return;
        }
        self.state.set(Some(state));
        if let Some(body) = &self.request.body {
            self.inbox.borrow_mut().push_back((body.clone(), true));
        }
    }

    pub(super) fn host(&self) -> &Inner {
        &self.host
    }

    pub(super) fn set_trailers(&self, trailers: &[(&str, &str)]) {
        let trailers = trailers.iter();
        let trailers = trailers.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let set = self.incoming_trailers.set(trailers.collect());
        assert_eq!(set, Ok(()), "a body has one last piece");
    }

    pub(super) fn receive(&self, piece: &[u8], last: bool) {
        assert_eq!(
            self.request.body, None,
            "only the body of a streamed request follows"
        );
        self.inbox.borrow_mut().push_back((piece.to_vec(), last));
    }

    /// Does what was posted to it.
    pub(super) fn act(&self, post: &Post) {
        if !post.is_for_exchange(self.id, NUMBER) {
            return;
        }
        let payload = abi::Bytes::new(&post.payload);
        match post.operation {
            abi::POST_HANG_UP => self.cut_off.set(true),
            abi::POST_ASK_WRITABLE => self.asked_writable.set(true),
            abi::POST_PAUSE => self.paused.set(true),
            abi::POST_RESUME => self.paused.set(false),
            // SAFETY: `hook` gives both pointers; the payload outlives the call.
            _ => self
                .hook(|state, exchange| unsafe { (self.block().notify)(state, exchange, payload) }),
        }
    }

    /// What is done between two hooks: body that waited, a writable hook that was asked for, the end.
    pub(super) fn settle(&self) {
        self.deliver();
        if self.asked_writable.get() && !self.full.get() {
            self.asked_writable.set(false);
            // SAFETY: `hook` gives both pointers.
            self.hook(|state, exchange| unsafe { (self.block().writable)(state, exchange) });
        }
        let is_complete = {
            let answer = &mut *self.answer.borrow_mut();
            if !self.full.get() {
                answer.taken = answer.content.len();
            }
            answer.is_complete() && answer.taken == answer.content.len()
        };
        if self.cut_off.get() {
            self.end(EndedBy::Handler, "the handler aborted");
        } else if is_complete && (self.body_ended.get() || self.paused.get()) {
            self.end(EndedBy::Answer, "");
        }
    }

    pub(super) fn file_sent(&self, outcome: FileSent) {
        let told = {
            let answer = &mut *self.answer.borrow_mut();
            assert!(answer.file.is_some(), "it is not answered with a file");
            answer.file_outcome = Some(outcome);
            match outcome {
                FileSent::Sent => abi::STATUS_OK,
                FileSent::NotFound => {
                    answer.status = Some(404);
                    abi::STATUS_NONE
                }
                FileSent::Failed => abi::STATUS_ERROR,
            }
        };
        let Some(state) = self.state.get() else {
            return;
        };
        let (by, reason) = match outcome {
            FileSent::Failed => (EndedBy::Host, "the file could not be sent"),
            FileSent::Sent | FileSent::NotFound => (EndedBy::Answer, ""),
        };
        let exchange = self.raw();
        // SAFETY: `open` made the state. A failure here is only logged.
        let heard = unsafe { (self.block().sent)(state, &raw const exchange, told) };
        if heard == abi::STATUS_PANIC {
            // It is not called any more, only freed.
            self.close(by, reason);
        } else if by == EndedBy::Host {
            self.end(by, reason);
        }
    }

    /// When the next timer is due.
    pub(super) fn next_due(&self) -> Option<u64> {
        self.state.get()?;
        self.timers.borrow().values().min().copied()
    }

    /// Calls the timers that are due.
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
                self.hook(|state, exchange| unsafe { (self.block().timer)(state, exchange, id) });
            }
        }
    }

    /// Ends the exchange: tells its end, frees its state. Does nothing when it has ended.
    pub(super) fn end(&self, by: EndedBy, reason: &str) {
        let Some(state) = self.state.get() else {
            return;
        };
        let ending = self.ending(by, reason);
        *self.ending.borrow_mut() = Some(ending.clone());
        let end = abi::ExchangeEnd {
            by: match by {
                EndedBy::Answer => abi::EXCHANGE_DONE,
                EndedBy::Peer => abi::EXCHANGE_BY_PEER,
                EndedBy::Handler => abi::EXCHANGE_BY_HANDLER,
                EndedBy::Host => abi::EXCHANGE_BY_HOST,
            },
            status: ending.status.unwrap_or_default().into(),
            sent: ending.sent,
            reason: abi::Bytes::new(ending.reason.as_bytes()),
        };
        let exchange = self.raw();
        // SAFETY: `open` made the state; the end outlives the call. A failure here is only logged.
        unsafe { (self.block().end)(state, &raw const exchange, &raw const end) };
        self.close(by, reason);
    }

    fn deliver(&self) {
        while !self.paused.get() && self.state.get().is_some() {
            let Some((piece, last)) = self.inbox.borrow_mut().pop_front() else {
                return;
            };
            match self.host.protocols[self.index].body_bytes {
                None => self.deliver_piece(&piece, last),
                Some(most) => {
                    self.whole.borrow_mut().extend_from_slice(&piece);
                    if self.whole.borrow().len() > most as usize {
                        self.refuse_body();
                    } else if last {
                        let whole = self.whole.take();
                        self.deliver_piece(&whole, true);
                    }
                }
            }
        }
    }

    fn deliver_piece(&self, piece: &[u8], last: bool) {
        let first = !self.body_begun.replace(true);
        self.body_ended.set(last);
        let mut flags = if first { abi::BODY_FIRST } else { 0 };
        if last {
            flags |= abi::BODY_LAST;
        }
        let piece = abi::Bytes::new(piece);
        // SAFETY: `hook` gives both pointers; the piece outlives the call.
        self.hook(|state, exchange| unsafe { (self.block().body)(state, exchange, flags, piece) });
    }

    fn refuse_body(&self) {
        {
            let answer = &mut *self.answer.borrow_mut();
            if answer.status.is_none() {
                answer.status = Some(413);
                answer.is_finished = true;
            }
        }
        self.end(EndedBy::Host, "the body is larger than the handler takes");
    }

    /// Runs a hook of an open exchange; one that fails ends it.
    fn hook(&self, call: impl FnOnce(*mut c_void, *const abi::Exchange) -> abi::Status) {
        let Some(state) = self.state.get() else {
            return;
        };
        let exchange = self.raw();
        match call(state, &raw const exchange) {
            abi::STATUS_OK => {}
            abi::STATUS_PANIC => {
                self.fail();
                self.close(EndedBy::Handler, "the handler failed");
            }
            _ => {
                self.fail();
                self.end(EndedBy::Handler, "the handler failed");
            }
        }
    }

    /// What the peer sees of a hook that failed.
    fn fail(&self) {
        let answer = &mut *self.answer.borrow_mut();
        if answer.status.is_some() {
            self.cut_off.set(true);
        } else {
            answer.fields.clear();
            answer.status = Some(500);
            answer.is_finished = true;
        }
    }

    fn ending(&self, by: EndedBy, reason: &str) -> ExchangeEnding {
        let answer = self.answer.borrow();
        ExchangeEnding {
            by,
            status: answer.status,
            sent: answer.taken as u64,
            reason: reason.to_owned(),
        }
    }

    /// The exchange is no more: frees its state.
    fn close(&self, by: EndedBy, reason: &str) {
        *self.ending.borrow_mut() = Some(self.ending(by, reason));
        self.host.shared.exchange_ended(self.id, NUMBER);
        if let Some(state) = self.state.take() {
            let exchange = self.raw();
            // SAFETY: `open` made the state, and this is the last call with it.
            unsafe { (self.block().destroy)(state, &raw const exchange) };
        }
    }

    /// This exchange for one hook.
    fn raw(&self) -> abi::Exchange {
        abi::Exchange {
            context: ptr::from_ref(self).cast_mut().cast(),
            calls: &CALLS,
            thread: self.instance.thread,
        }
    }

    fn block(&self) -> &abi::HttpBlock {
        // SAFETY: entries lead to static blocks.
        unsafe { self.host.entry(self.index).http.as_ref() }.expect("it answers HTTP")
    }
}
