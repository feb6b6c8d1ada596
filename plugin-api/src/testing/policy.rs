//! A connection of the test host that a policy judges, as its peer sees it.

use std::{cell::RefCell, ffi::c_void, net::SocketAddr, ptr, rc::Rc, time::Duration};

use super::{
    Inner, Instance, Part,
    exchange::TestRequest,
    facts::KnownFacts,
    handshake::{Opening, Refused},
    handshake_calls,
    policy_calls::{CALLS, JudgedRequest, Judging, Stage},
    session::Handshake,
};
use crate::{
    ConnectionOption,
    abi::{self, Status},
};

/// So long a test waits for the thread of a policy that takes its time.
const PATIENCE: Duration = Duration::from_secs(20);

/// Who connects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestPeer {
    /// Its address; none on a unix socket.
    pub address: Option<SocketAddr>,
    /// Whether it speaks TLS.
    pub encrypted: bool,
    /// Whether it is a proxy that the config trusts: then a request says who the client is.
    pub is_trusted_proxy: bool,
}

impl Default for TestPeer {
    fn default() -> Self {
        Self {
            address: Some(([127, 0, 0, 1], 50_000).into()),
            encrypted: false,
            is_trusted_proxy: false,
        }
    }
}

impl TestPeer {
    /// From that address, without TLS.
    #[must_use]
    pub fn at(address: impl Into<SocketAddr>) -> Self {
        Self {
            address: Some(address.into()),
            ..Self::default()
        }
    }

    /// Through a unix socket.
    #[must_use]
    pub fn unix() -> Self {
        Self {
            address: None,
            ..Self::default()
        }
    }

    /// With TLS.
    #[must_use]
    pub fn encrypted(mut self) -> Self {
        self.encrypted = true;
        self
    }

    /// As a proxy that the config trusts.
    #[must_use]
    pub fn trusted_proxy(mut self) -> Self {
        self.is_trusted_proxy = true;
        self
    }
}

/// What a policy has said of something that it allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Names and values of all that was said of the request and its connection.
    pub tags: Vec<(String, Vec<u8>)>,
    /// Names and values of the fields that the answer gets.
    pub fields: Vec<(String, Vec<u8>)>,
    /// The subprotocol that was agreed on in an opening handshake.
    pub subprotocol: Option<String>,
}

impl Allowed {
    /// What was said by that name; none when it is not UTF-8.
    #[must_use]
    pub fn tag(&self, name: &str) -> Option<&str> {
        let (_, value) = self.tags.iter().find(|(other, _)| other == name)?;
        str::from_utf8(value).ok()
    }

    /// The value of the first field of that name, in any case of letters; none when it is not UTF-8.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        let (_, value) = fields.find(|(other, _)| other.eq_ignore_ascii_case(name))?;
        str::from_utf8(value).ok()
    }
}

/// A connection that a policy judges. Dropped, it is over.
pub struct PolicyConnection {
    host: Rc<Inner>,
    part: Part,
    /// The instance that was told of it, and is told of its end.
    instance: Instance,
    id: u64,
    peer: TestPeer,
    known: RefCell<Known>,
}

/// What becomes known of a connection.
#[derive(Default)]
struct Known {
    is_refused: bool,
    certificate: Option<Vec<u8>>,
    tags: Vec<(String, Vec<u8>)>,
    options: Vec<ConnectionOption>,
    failures: Vec<String>,
    requests: u64,
}

/// A hook of the ABI about a connection or a request.
type Hook = unsafe extern "C" fn(instance: *mut c_void, judged: *const abi::Judged) -> Status;

impl PolicyConnection {
    pub(super) fn open(host: &Rc<Inner>, policy: &str, peer: TestPeer) -> Self {
        let part = host.policy_part(policy);
        let instance = host.instance(part);
        let id = host.last_id.get() + 1;
        host.last_id.set(id);
        let connection = Self {
            host: Rc::clone(host),
            part,
            instance,
            id,
            peer,
            known: RefCell::default(),
        };
        let block = host.policy(part);
        let hooks: [(Stage, Hook); 3] = [
            (Stage::Bare, block.created),
            (Stage::Bare, block.accept),
            (Stage::Setup, block.connection),
        ];
        for (stage, hook) in hooks {
            if connection.is_accepted() {
                connection.judge(stage, hook);
            }
        }
        connection
    }

    /// Whether it stays, as far as it was asked.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        !self.known.borrow().is_refused
    }

    /// The peer shows a certificate, DER, which counts as checked. Whether the connection stays.
    ///
    /// # Panics
    ///
    /// If the connection is not encrypted, or was refused.
    pub fn certificate(&self, der: impl Into<Vec<u8>>) -> bool {
        assert!(self.peer.encrypted, "a certificate is shown with TLS");
        self.must_be_accepted();
        self.known.borrow_mut().certificate = Some(der.into());
        self.judge(Stage::Secured, self.host.policy(self.part).certificate);
        self.is_accepted()
    }

    /// A request comes; when the policy does not know at once, this waits until it does. Of `request` the head counts,
    /// and its peer when the connection is that of a trusted proxy.
    ///
    /// # Errors
    ///
    /// The answer when it is refused.
    ///
    /// # Panics
    ///
    /// If the connection was refused, or the policy does not ask to be asked again.
    pub fn request(&self, request: TestRequest) -> Result<Allowed, Refused> {
        self.ask(request).wait()
    }

    /// A request comes, and its policy is asked once.
    ///
    /// # Panics
    ///
    /// If the connection was refused.
    #[must_use]
    pub fn ask(&self, request: TestRequest) -> Undecided<'_> {
        Undecided::ask(self, request, false)
    }

    /// A request for an opening handshake comes, and the policy is asked about both.
    ///
    /// # Errors
    ///
    /// The answer when one of them is refused.
    ///
    /// # Panics
    ///
    /// As [`request`](Self::request).
    pub fn handshake(&self, handshake: Handshake) -> Result<Allowed, Refused> {
        let allowed = Undecided::ask(self, head_of(&handshake), true).wait()?;
        let handshake = Handshake {
            peer: self.client(handshake.peer),
            encrypted: self.peer.encrypted,
            peer_certificate: self.known.borrow().certificate.clone(),
            tags: allowed.tags.clone(),
            ..handshake
        };
        let facts = KnownFacts::new(handshake.clone(), "", 0, abi::ROLE_SERVER);
        let opening = Opening::new(facts, handshake);
        let instance = self.host.instance(self.part);
        let raw = abi::Handshake {
            context: ptr::from_ref(&opening).cast_mut().cast(),
            calls: &handshake_calls::CALLS,
            thread: instance.thread,
        };
        let hook = self.host.policy(self.part).handshake;
        // SAFETY: the instance is alive, and the handshake is ours until the call returns.
        match unsafe { hook(instance.instance, &raw const raw) } {
            abi::STATUS_OK => Ok(Allowed {
                tags: allowed.tags,
                fields: [allowed.fields, opening.take_fields()].concat(),
                subprotocol: opening.subprotocol().map(str::to_owned),
            }),
            abi::STATUS_NONE => Err(opening.refused()),
            _ => Err(Refused::failed(&opening.failures.take())),
        }
    }

    /// What was said of it by that name; none when it is not UTF-8.
    #[must_use]
    pub fn tag(&self, name: &str) -> Option<String> {
        let known = self.known.borrow();
        let (_, value) = known.tags.iter().find(|(other, _)| other == name)?;
        String::from_utf8(value.clone()).ok()
    }

    /// The options that were set, in their order.
    #[must_use]
    pub fn options(&self) -> Vec<ConnectionOption> {
        self.known.borrow().options.clone()
    }

    /// Why hooks that concern the whole connection failed, as the host would log it.
    #[must_use]
    pub fn failures(&self) -> Vec<String> {
        self.known.borrow().failures.clone()
    }

    /// The number of its [`SessionId`](crate::SessionId).
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Calls a hook that concerns the whole connection, and keeps what it has said.
    fn judge(&self, stage: Stage, hook: Hook) {
        let judging = self.judging(stage, self.peer.address, None);
        let status = call(hook, self.instance, &judging);
        let mut known = self.known.borrow_mut();
        known.is_refused |= status != abi::STATUS_OK;
        known.tags = judging.tags.take();
        known.options.append(&mut judging.options.take());
        known.failures.append(&mut judging.failures.take());
    }

    fn judging(
        &self,
        stage: Stage,
        peer: Option<SocketAddr>,
        request: Option<JudgedRequest>,
    ) -> Judging {
        let known = self.known.borrow();
        // What was agreed on is known once there is something to ask about it.
        let is_secured = matches!(stage, Stage::Secured | Stage::Request);
        let handshake = Handshake {
            peer,
            encrypted: self.peer.encrypted && is_secured,
            peer_certificate: known.certificate.clone(),
            ..Handshake::at("/")
        };
        Judging {
            id: self.id,
            stage,
            facts: KnownFacts::new(handshake, "", 0, abi::ROLE_SERVER),
            is_encrypted: self.peer.encrypted,
            is_trusted_proxy: self.peer.is_trusted_proxy,
            request,
            tags: known.tags.clone().into(),
            options: RefCell::default(),
            fields: RefCell::default(),
            refusal: RefCell::default(),
            failures: RefCell::default(),
        }
    }

    /// Whom a request is from that says so itself, where the host believes that.
    fn client(&self, said: Option<SocketAddr>) -> Option<SocketAddr> {
        if self.peer.is_trusted_proxy {
            said
        } else {
            self.peer.address
        }
    }

    fn must_be_accepted(&self) {
        let failures = self.failures();
        assert!(
            self.is_accepted(),
            "the connection was refused: {failures:?}"
        );
    }
}

impl Drop for PolicyConnection {
    fn drop(&mut self) {
        self.judge(Stage::Bare, self.host.policy(self.part).destroyed);
    }
}

/// A request that a policy was asked about. Dropped, its peer goes away.
pub struct Undecided<'c> {
    connection: &'c PolicyConnection,
    number: u64,
    judging: Judging,
    verdict: Option<Result<Allowed, Refused>>,
    was_pending: bool,
}

impl<'c> Undecided<'c> {
    fn ask(connection: &'c PolicyConnection, request: TestRequest, is_handshake: bool) -> Self {
        connection.must_be_accepted();
        let number = {
            let mut known = connection.known.borrow_mut();
            known.requests += 1;
            known.requests
        };
        let client = connection.client(request.peer);
        let tags = request.tags.clone();
        let request = JudgedRequest::new(request, number, is_handshake);
        let judging = connection.judging(Stage::Request, client, Some(request));
        judging.tags.borrow_mut().extend(tags);
        let shared = connection.host.shared;
        // Before it is asked: another thread of it may know before it has said that it does not.
        shared.exchange_opened(connection.id, number);
        let mut asked = Self {
            connection,
            number,
            judging,
            verdict: None,
            was_pending: false,
        };
        asked.ask_policy();
        asked.was_pending = asked.verdict.is_none();
        asked
    }

    /// Whether the policy did not know when it was asked for the first time.
    #[must_use]
    pub const fn was_pending(&self) -> bool {
        self.was_pending
    }

    /// Whether the policy still does not know. It is asked again when it wanted that meanwhile.
    pub fn is_pending(&mut self) -> bool {
        self.look(Duration::ZERO);
        self.verdict.is_none()
    }

    /// What it says, once it knows.
    ///
    /// # Errors
    ///
    /// The answer when the request is refused.
    ///
    /// # Panics
    ///
    /// If it does not ask to be asked again.
    pub fn wait(mut self) -> Result<Allowed, Refused> {
        loop {
            if let Some(verdict) = self.verdict.take() {
                return verdict;
            }
            let was_asked = self.look(PATIENCE);
            assert!(
                was_asked,
                "the policy has said Later, and then never asked to be asked again"
            );
        }
    }

    fn look(&mut self, patience: Duration) -> bool {
        let request = (self.connection.id, self.number);
        let shared = self.connection.host.shared;
        let is_due = self.verdict.is_none() && shared.is_asked_again(request, patience);
        if is_due {
            self.ask_policy();
        }
        is_due
    }

    fn ask_policy(&mut self) {
        let PolicyConnection { host, part, .. } = self.connection;
        let judging = &self.judging;
        let status = call(host.policy(*part).request, host.instance(*part), judging);
        self.verdict = match status {
            abi::STATUS_PENDING => {
                // As in the host, it adds them again.
                judging.fields.take();
                None
            }
            abi::STATUS_OK => Some(Ok(Allowed {
                tags: judging.tags.take(),
                fields: judging.fields.take(),
                subprotocol: None,
            })),
            abi::STATUS_NONE => Some(Err(Refused::with(
                judging.refusal.take(),
                judging.fields.take(),
            ))),
            _ => Some(Err(Refused::failed(&judging.failures.take()))),
        };
        if self.verdict.is_some() {
            self.forget();
        }
    }

    fn forget(&self) {
        let connection = self.connection;
        let shared = connection.host.shared;
        shared.exchange_ended(connection.id, self.number);
    }
}

impl Drop for Undecided<'_> {
    fn drop(&mut self) {
        self.forget();
    }
}

fn call(hook: Hook, instance: Instance, judging: &Judging) -> Status {
    let raw = abi::Judged {
        context: ptr::from_ref(judging).cast_mut().cast(),
        calls: &CALLS,
        thread: instance.thread,
    };
    // SAFETY: the instance lives as long as the host, and what is judged is ours until the call returns.
    unsafe { hook(instance.instance, &raw const raw) }
}

/// The request that an opening handshake is.
fn head_of(handshake: &Handshake) -> TestRequest {
    let mut target = handshake.path.clone();
    if let Some(query) = &handshake.query {
        target = format!("{target}?{query}");
    }
    let mut request = TestRequest::get(&target);
    request.peer = handshake.peer;
    request.tags.clone_from(&handshake.tags);
    request.fields = vec![
        ("Host".to_owned(), handshake.authority.clone()),
        ("Connection".to_owned(), "Upgrade".to_owned()),
        ("Upgrade".to_owned(), "websocket".to_owned()),
    ];
    let fields = handshake.fields.iter();
    let offered = handshake.offered.join(", ");
    if !offered.is_empty() {
        let name = "Sec-WebSocket-Protocol".to_owned();
        request.fields.push((name, offered));
    }
    request.fields.extend(
        fields.map(|(name, value)| (name.clone(), String::from_utf8_lossy(value).into_owned())),
    );
    request
}
