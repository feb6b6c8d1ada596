//! Connections that a plugin opens in the test host: recorded, and answered or failed by the test.

use std::{cell::RefCell, ffi::c_void, fmt, ptr, rc::Rc, time::Duration};

use super::{
    Inner, Instance, Part, TestSession,
    client_calls::CALLS,
    handshake::{Accepted, Learnt},
    session::Handshake,
};
use crate::{ConnectStage, abi};

/// What a plugin has asked for by [`Host::connect`](crate::Host::connect).
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) url: String,
    pub(super) subprotocols: Vec<String>,
    pub(super) fields: Vec<(String, Vec<u8>)>,
    pub(super) retries: u64,
}

impl Asked {
    /// # Safety
    ///
    /// A request that is lent for this call.
    pub(super) unsafe fn read(request: *const abi::ConnectRequest<'_>) -> Self {
        // SAFETY: the caller promises it, and that arrays are as long as they say.
        unsafe {
            let request = &*request;
            let text =
                |bytes: abi::Bytes<'_>| String::from_utf8_lossy(bytes.as_slice()).into_owned();
            let subprotocols = 0..request.subprotocol_count;
            let fields = 0..request.field_count;
            Self {
                url: text(request.url),
                subprotocols: subprotocols
                    .map(|at| text(request.subprotocols.add(at).read()))
                    .collect(),
                fields: fields
                    .map(|at| request.fields.add(at).read())
                    .map(|field| (text(field.name), field.value.as_slice().to_vec()))
                    .collect(),
                retries: request.retries,
            }
        }
    }

    /// What is wrong with it at first sight; the real host looks closer.
    pub(super) fn refusal(&self) -> Option<String> {
        let is_fine = ["ws://", "wss://"]
            .iter()
            .any(|scheme| self.url.len() > scheme.len() && self.url.starts_with(scheme));
        (!is_fine).then(|| format!("the URL `{}` is none of a WebSocket", self.url))
    }
}

/// What was given, and what frees it if nobody takes it.
pub(super) struct TestGiven {
    value: *mut c_void,
    free: abi::FreeGiven,
}

// SAFETY: what is given to a host is `Send`, and only handed on here.
unsafe impl Send for TestGiven {}

impl TestGiven {
    /// # Safety
    ///
    /// Null, or a value of the plugin's that is the host's from here on.
    pub(super) unsafe fn new(given: *const abi::Given) -> Option<Self> {
        // SAFETY: the caller promises it.
        let given = unsafe { given.as_ref() }?;
        Some(Self {
            value: given.value,
            free: given.free,
        })
    }
}

/// The same on the thread of the test.
pub(super) struct Kept {
    given: RefCell<Option<TestGiven>>,
    host: *const abi::Host,
}

impl Kept {
    pub(super) fn look(&self) -> *mut c_void {
        let given = self.given.borrow();
        given.as_ref().map_or(ptr::null_mut(), |given| given.value)
    }

    pub(super) fn take(&self) -> *mut c_void {
        let given = self.given.take();
        given.map_or(ptr::null_mut(), |given| given.value)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(given) = self.given.take() {
            // SAFETY: the plugin gave both, nobody has taken the value, and the host is that of its instance.
            unsafe { (given.free.0)(given.value, self.host) };
        }
    }
}

/// A connection that was asked for, with its place in the queue of the host.
pub(super) struct Waiting {
    pub(super) protocol: String,
    pub(super) number: u64,
    pub(super) asked: Asked,
    pub(super) given: Option<TestGiven>,
}

/// A connection that the plugin opens, seen from the server. Dropped, what was given is dropped with it, and nobody is told.
pub struct TestConnect {
    host: Rc<Inner>,
    index: usize,
    instance: Instance,
    number: u64,
    asked: Asked,
    kept: Kept,
    failures: u64,
}

/// What a server answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TestAnswer {
    /// The status; 101 where it is accepted.
    pub status: u16,
    /// Names and values of fields.
    pub fields: Vec<(String, Vec<u8>)>,
    /// The subprotocol that it chose.
    pub subprotocol: Option<String>,
    /// The content.
    pub content: Vec<u8>,
}

impl TestAnswer {
    /// One with this status.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }

    /// With one more field.
    #[must_use]
    pub fn with_field(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.fields.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// With this subprotocol.
    #[must_use]
    pub fn choosing(mut self, subprotocol: &str) -> Self {
        self.subprotocol = Some(subprotocol.to_owned());
        self
    }
}

/// What the plugin wants after a failure.
#[derive(Debug)]
pub enum AfterFailure {
    /// It leaves it to its request, which asks for so many further tries.
    Usual(Box<TestConnect>, u64),
    /// Nothing: what was given is dropped.
    GivenUp,
    /// The same again after this time.
    Again(Box<TestConnect>, Duration),
    /// Another server, at once.
    To(Box<TestConnect>),
}

impl AfterFailure {
    /// The connection that is tried again.
    ///
    /// # Panics
    ///
    /// If there is none.
    #[must_use]
    pub fn connect(self) -> TestConnect {
        match self {
            Self::Usual(connect, _) | Self::Again(connect, _) | Self::To(connect) => *connect,
            Self::GivenUp => panic!("the plugin has given up"),
        }
    }
}

/// A connection while a hook looks at it. Its calls come while it is shared, hence the cells.
pub(super) struct Look<'a> {
    pub(super) connect: &'a TestConnect,
    pub(super) answer: Option<&'a TestAnswer>,
    pub(super) stage: Option<ConnectStage>,
    pub(super) reason: String,
    pub(super) location: Option<&'a str>,
    pub(super) refusal: RefCell<Option<String>>,
    pub(super) next: RefCell<Next>,
    pub(super) fault: RefCell<String>,
}

#[derive(Debug, Default)]
pub(super) enum Next {
    #[default]
    Usual,
    GiveUp,
    Again(u64),
    To(Asked),
}

impl TestConnect {
    pub(super) fn new(host: &Rc<Inner>, waiting: Waiting) -> Self {
        let index = host.index(&waiting.protocol);
        let instance = host.instance(Part::Protocol(index));
        Self {
            host: Rc::clone(host),
            index,
            instance,
            number: waiting.number,
            asked: waiting.asked,
            kept: Kept {
                given: RefCell::new(waiting.given),
                host: instance.host,
            },
            failures: 0,
        }
    }

    /// The URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.asked.url
    }

    /// The subprotocols that are offered.
    #[must_use]
    pub fn subprotocols(&self) -> &[String] {
        &self.asked.subprotocols
    }

    /// Names and values of the fields that the plugin adds.
    #[must_use]
    pub fn fields(&self) -> &[(String, Vec<u8>)] {
        &self.asked.fields
    }

    /// The number of its [`ConnectId`](crate::ConnectId).
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// The server accepts it.
    ///
    /// # Errors
    ///
    /// What follows when the plugin refuses the answer.
    pub fn accept(self) -> Result<TestSession, AfterFailure> {
        self.accept_with(TestAnswer::new(101))
    }

    /// The server accepts it with this answer.
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept).
    pub fn accept_with(self, answer: TestAnswer) -> Result<TestSession, AfterFailure> {
        if let Some(block) = self.block() {
            let look = self.look(Some(&answer));
            let status = look.call(|client| {
                // SAFETY: the instance is alive, and the client is ours until the call returns.
                unsafe { (block.answered)(self.instance.instance, client) }
            });
            if status != abi::STATUS_OK {
                let refusal = look.refusal.take();
                let why = refusal.unwrap_or_else(|| look.fault.take());
                drop(look);
                return Err(self.failed(ConnectStage::Handshake, &why, Some(&answer)));
            }
        }
        Ok(self.open(answer))
    }

    /// The server answers with another status than 101.
    #[must_use]
    pub fn refuse(self, answer: TestAnswer) -> AfterFailure {
        let why = format!("the server answered with status {}", answer.status);
        self.failed(ConnectStage::Status, &why, Some(&answer))
    }

    /// It fails before there is an answer.
    #[must_use]
    pub fn fail(self, stage: ConnectStage, why: &str) -> AfterFailure {
        self.failed(stage, why, None)
    }

    /// The server redirects to another URL: the connection goes on there, or what follows when the plugin does not want
    /// that.
    ///
    /// # Errors
    ///
    /// What follows then.
    pub fn redirect(mut self, to: &str) -> Result<Self, AfterFailure> {
        let answer = TestAnswer::new(302).with_field("Location", to);
        let followed = self.block().is_none_or(|block| {
            let look = Look {
                location: Some(to),
                ..self.look(Some(&answer))
            };
            let status = look.call(|client| {
                // SAFETY: as in `accept_with`.
                unsafe { (block.redirected)(self.instance.instance, client) }
            });
            status == abi::STATUS_OK
        });
        if !followed {
            let why = format!("the redirect to {to} is not wanted");
            return Err(self.failed(ConnectStage::Status, &why, Some(&answer)));
        }
        to.clone_into(&mut self.asked.url);
        Ok(self)
    }

    fn failed(
        mut self,
        stage: ConnectStage,
        why: &str,
        answer: Option<&TestAnswer>,
    ) -> AfterFailure {
        self.failures += 1;
        let Some(block) = self.block() else {
            let retries = self.asked.retries;
            return AfterFailure::Usual(Box::new(self), retries);
        };
        let look = Look {
            stage: Some(stage),
            reason: why.to_owned(),
            ..self.look(answer)
        };
        let status = look.call(|client| {
            // SAFETY: as in `accept_with`.
            unsafe { (block.failed)(self.instance.instance, client) }
        });
        let next = look.next.take();
        drop(look);
        let host = Rc::clone(&self.host);
        let after = match next {
            _ if status != abi::STATUS_OK => AfterFailure::GivenUp,
            Next::GiveUp => AfterFailure::GivenUp,
            Next::Usual => {
                let retries = self.asked.retries;
                AfterFailure::Usual(Box::new(self), retries)
            }
            Next::Again(after_ms) => {
                AfterFailure::Again(Box::new(self), Duration::from_millis(after_ms))
            }
            Next::To(asked) => {
                self.asked = asked;
                AfterFailure::To(Box::new(self))
            }
        };
        host.turn();
        after
    }

    fn open(self, answer: TestAnswer) -> TestSession {
        let target = self.asked.url.splitn(4, '/').nth(3).unwrap_or_default();
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        let handshake = Handshake {
            query,
            subprotocol: answer.subprotocol,
            fields: answer.fields,
            encrypted: self.asked.url.starts_with("wss:"),
            ..Handshake::at(&format!("/{path}"))
        };
        let accepted = Accepted {
            instance: self.instance,
            handshake,
            fields: Vec::new(),
            learnt: Learnt::nothing(&self.host, self.index, self.instance),
            client: Some(OpenedClient {
                number: self.number,
                url: self.asked.url,
                kept: self.kept,
            }),
        };
        TestSession::open(&self.host, self.index, accepted)
    }

    fn look<'a>(&'a self, answer: Option<&'a TestAnswer>) -> Look<'a> {
        Look {
            connect: self,
            answer,
            stage: None,
            reason: String::new(),
            location: None,
            refusal: RefCell::default(),
            next: RefCell::default(),
            fault: RefCell::default(),
        }
    }

    fn block(&self) -> Option<&'static abi::ClientBlock> {
        // SAFETY: entries lead to static blocks, or have none.
        unsafe { self.host.entry(self.index).client.as_ref() }
    }
}

impl fmt::Debug for TestConnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestConnect")
            .field("number", &self.number)
            .field("url", &self.asked.url)
            .finish_non_exhaustive()
    }
}

impl Look<'_> {
    fn call(&self, hook: impl FnOnce(*const abi::Client) -> abi::Status) -> abi::Status {
        let client = abi::Client {
            context: ptr::from_ref(self).cast_mut().cast(),
            calls: &CALLS,
            thread: self.connect.instance.thread,
        };
        hook(&client)
    }

    pub(super) fn number(&self, key: u32) -> Option<u64> {
        match key {
            abi::FACT_ROLE => Some(abi::ROLE_CLIENT),
            abi::FACT_CONNECT => Some(self.connect.number),
            abi::FACT_STATUS => Some(self.answer?.status.into()),
            abi::FACT_FAILURES => Some(self.connect.failures),
            abi::FACT_MAY_PASS => Some(self.may_pass().into()),
            abi::FACT_STAGE => Some(match self.stage? {
                ConnectStage::Resolve => abi::STAGE_RESOLVE,
                ConnectStage::Connect => abi::STAGE_CONNECT,
                ConnectStage::Proxy => abi::STAGE_PROXY,
                ConnectStage::Tls => abi::STAGE_TLS,
                ConnectStage::Handshake => abi::STAGE_HANDSHAKE,
                ConnectStage::Status => abi::STAGE_STATUS,
            }),
            _ => None,
        }
    }

    fn may_pass(&self) -> bool {
        match self.answer {
            Some(answer) => matches!(answer.status, 408 | 425 | 429 | 500 | 502..=504),
            None => self.stage != Some(ConnectStage::Tls),
        }
    }

    pub(super) fn bytes(&self, key: u32) -> Option<&[u8]> {
        match key {
            abi::FACT_URL => Some(self.connect.asked.url.as_bytes()),
            abi::FACT_REASON => Some(self.reason.as_bytes()),
            abi::FACT_LOCATION => self.location.map(str::as_bytes),
            abi::FACT_CONTENT => Some(&self.answer?.content),
            abi::FACT_SUBPROTOCOL => self.answer?.subprotocol.as_ref().map(String::as_bytes),
            abi::FACT_VHOST => Some(b"test"),
            abi::FACT_PROTOCOL => Some(
                self.connect.host.protocols[self.connect.index]
                    .name
                    .as_bytes(),
            ),
            _ => None,
        }
    }

    pub(super) fn kept(&self) -> &Kept {
        &self.connect.kept
    }
}

/// What a session has that was opened so.
pub(super) struct OpenedClient {
    pub(super) number: u64,
    pub(super) url: String,
    pub(super) kept: Kept,
}

impl OpenedClient {
    /// It is open: what nobody took is freed.
    pub(super) fn forget(&self) {
        let given = self.kept.given.take();
        drop(Kept {
            given: RefCell::new(given),
            host: self.kept.host,
        });
    }
}
