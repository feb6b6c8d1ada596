//! How a client's connection becomes a WebSocket: a tunnel through a proxy if there is one, TLS if the URL asks for it,
//! the opening handshake. RFC 6455 section 4.1, without the socket. Or how it gets ready for plain requests, which is the
//! same without the handshake, and without the tunnel where nothing is encrypted.
//!
//! Whoever has the socket connects it to the proxy of the request, or else to the host of its URL; calls
//! [`Opening::connected`]; and does after each call what the [`Step`] says, once what was appended to `out` is sent. It
//! bounds the time, and calls [`Opening::expired`] when that is over. To go elsewhere before the handshake is answered, such
//! as after a redirect, is to begin another [`Opening`].

use std::{borrow::Cow, fmt};

use crate::{
    connection::answer_body::{AnswerBody, AnswerBodyEvent},
    limits::Limits,
    wire::{
        answer_head::{AnswerHead, AnswerHeadError, AnswerParsed, HeldAnswer},
        answer_length::AnswerLength,
        client_fields::ClientFields,
        client_handshake::{ClientHandshake, OfferError, Unaccepted},
        header_list::{ExtensionOffer, extensions},
        proxy::Proxy,
        url::Url,
    },
};

/// What is to be opened.
#[derive(Clone, Debug)]
pub struct OpeningRequest {
    /// Whom it is for. `http` and `https` mean what `ws` and `wss` do.
    pub url: Url,
    /// The value of the Host field, in place of what the URL says.
    pub host: Option<String>,
    /// Sixteen random bytes, new for each connection.
    pub nonce: [u8; 16],
    /// The page that asks, as browsers send it.
    pub origin: Option<String>,
    /// The subprotocols to offer, the preferred one first.
    pub subprotocols: Vec<String>,
    /// The value of the extensions field, empty for none.
    pub extensions: String,
    /// Further fields.
    pub fields: ClientFields,
    /// The proxy that is asked for a tunnel.
    pub proxy: Option<Proxy>,
}

/// A connection on its way to become a WebSocket.
#[derive(Debug)]
pub struct Opening {
    request: OpeningRequest,
    state: State,
    /// It is for plain requests.
    is_for_requests: bool,
    interim_count: u64,
    limits: Limits,
}

#[derive(Debug)]
enum State {
    Connecting,
    Tunnel,
    Securing,
    Handshake,
    /// It failed; what the server says of it is read.
    Refused(Box<Refused>),
    Over,
}

#[derive(Debug)]
struct Refused {
    error: OpeningError,
    answer: HeldAnswer,
    body: AnswerBody,
}

/// What is to be done now.
#[derive(Debug)]
pub enum Step {
    /// More input is needed.
    Read,
    /// TLS is to be spoken from here on, with the host of the URL for its name; then [`Opening::secured`].
    Secure,
    /// The WebSocket is open, unless the caller has something against the answer. What is left of the input is frames.
    Open(Box<Opened>),
    /// Requests may be sent; all of the input is done with.
    Ready,
    /// It is not; the connection is to be closed.
    Failed(Box<OpeningError>),
}

/// A handshake that succeeded.
#[derive(Debug)]
pub struct Opened {
    /// The subprotocol that the server chose, one of those offered.
    pub subprotocol: Option<String>,
    /// All that it answered.
    pub answer: HeldAnswer,
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The addresses of the host were looked up.
    Resolve,
    /// The transport was connected.
    Connect,
    /// The proxy was looked up, connected to or asked for a tunnel.
    Proxy,
    /// TLS was agreed on.
    Tls,
    /// The opening handshake was sent.
    Handshake,
    /// The server answered with another status than 101.
    Status,
}

/// Why a connection did not become a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{stage}: {cause}")]
pub struct OpeningError {
    /// How far it came.
    pub stage: Stage,
    /// What happened there.
    pub cause: OpeningCause,
    /// What the server, or the proxy, answered, with the start of its content.
    pub answer: Option<HeldAnswer>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpeningCause {
    /// The answer cannot be read.
    #[error(transparent)]
    Head(#[from] AnswerHeadError),
    /// Above `limits.interim_responses_count`.
    #[error("one interim response comes after the other: see limits.interim_responses_count")]
    Interim,
    /// The proxy wants a name and a password, or others.
    #[error("the proxy asks who we are: write [http://]NAME:PASSWORD@HOST:PORT for the proxy")]
    ProxyCredentials,
    /// The proxy has another reason.
    #[error("the proxy answered with status {0} in place of a tunnel")]
    ProxyStatus(u16),
    /// Bytes behind the proxy's answer, where nobody has spoken to the server yet.
    #[error("the proxy sends bytes through the tunnel before anything was sent there")]
    EarlyBytes,
    /// The server does not accept the handshake, or not as it should.
    #[error(transparent)]
    Unaccepted(#[from] Unaccepted),
    /// The peer closed the connection.
    #[error("the connection was closed without an answer")]
    Ended,
    /// It took too long.
    #[error("no answer in time: see limits.dial_ms, or the time that was given")]
    Late,
    /// What the transport has to say.
    #[error("{0}")]
    Transport(String),
    /// Our side gave it up.
    #[error("{0}")]
    GivenUp(String),
    /// The caller has something against the answer.
    #[error("the answer was refused: {0}")]
    Unwanted(Cow<'static, str>),
}

impl Opening {
    /// Begins.
    ///
    /// # Errors
    ///
    /// [`OfferError`] when the handshake cannot be written.
    pub fn new(request: OpeningRequest, limits: &Limits) -> Result<Self, OfferError> {
        request.put_handshake(&mut Vec::new())?;
        Ok(Self {
            is_for_requests: false,
            ..Self::for_requests(request, limits)
        })
    }

    /// Begins the way to where plain requests are taken. What the request says of a handshake means nothing.
    #[must_use]
    pub fn for_requests(request: OpeningRequest, limits: &Limits) -> Self {
        Self {
            request,
            state: State::Connecting,
            is_for_requests: true,
            interim_count: 0,
            limits: limits.clone(),
        }
    }

    /// What is to be opened.
    #[must_use]
    pub fn request(&self) -> &OpeningRequest {
        &self.request
    }

    /// How far it has come, for errors of the transport.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match &self.state {
            State::Connecting if self.request.proxy.is_none() => Stage::Connect,
            State::Connecting | State::Tunnel => Stage::Proxy,
            State::Securing => Stage::Tls,
            State::Handshake | State::Over => Stage::Handshake,
            State::Refused(refused) => refused.error.stage,
        }
    }

    /// The transport is connected, to the proxy if there is one.
    pub fn connected(&mut self, out: &mut Vec<u8>) -> Step {
        // A proxy is asked for what is not encrypted itself.
        let is_asked_itself = self.is_for_requests && !self.request.url.scheme().is_secure();
        match &self.request.proxy {
            Some(proxy) if !is_asked_itself => {
                proxy.put_connect(out, &self.request.url);
                self.state = State::Tunnel;
                Step::Read
            }
            _ => self.reached(out),
        }
    }

    /// TLS is agreed on.
    pub fn secured(&mut self, out: &mut Vec<u8>) -> Step {
        self.ask(out)
    }

    /// Reads what came; says how many bytes of it are done with. What is left over is to be given again with what follows it,
    /// or is frames when the WebSocket is open.
    pub fn read(&mut self, input: &[u8], out: &mut Vec<u8>) -> (usize, Step) {
        let mut at = 0;
        loop {
            let rest = &input[at..];
            let (used, step) = match &mut self.state {
                State::Tunnel | State::Handshake => self.read_head(rest, out),
                State::Refused(_) => self.read_refusal(rest),
                State::Connecting | State::Securing | State::Over => return (at, Step::Read),
            };
            at += used;
            if let Some(step) = step {
                return (at, step);
            }
        }
    }

    /// Nothing comes any more.
    pub fn ended(&mut self) -> Step {
        self.give_up(OpeningCause::Ended)
    }

    /// The time is over.
    pub fn expired(&mut self) -> Step {
        self.give_up(OpeningCause::Late)
    }

    /// The transport failed, for the reason that `told` says.
    pub fn transport_failed(&mut self, told: String) -> Step {
        self.give_up(OpeningCause::Transport(told))
    }

    /// The server is reached.
    fn reached(&mut self, out: &mut Vec<u8>) -> Step {
        if self.request.url.scheme().is_secure() {
            self.state = State::Securing;
            Step::Secure
        } else {
            self.ask(out)
        }
    }

    fn ask(&mut self, out: &mut Vec<u8>) -> Step {
        if self.is_for_requests {
            self.state = State::Over;
            return Step::Ready;
        }
        // It could be written when this began.
        let _ = self.request.put_handshake(out);
        self.state = State::Handshake;
        self.interim_count = 0;
        Step::Read
    }

    /// `None` when there is more to be seen in the input.
    fn read_head(&mut self, input: &[u8], out: &mut Vec<u8>) -> (usize, Option<Step>) {
        if input.is_empty() {
            return (0, Some(Step::Read));
        }
        let head = match AnswerHead::parse(input, &self.limits) {
            AnswerParsed::Done(head) => head,
            AnswerParsed::Partial => return (0, Some(Step::Read)),
            AnswerParsed::Wrong(error) => {
                return (input.len(), Some(self.fail(error.into(), None)));
            }
        };
        let step = match (&self.state, head.status) {
            (_, 100 | 102..200) => self.interim(),
            (State::Tunnel, 200..300) if head.len < input.len() => {
                Some(self.fail(OpeningCause::EarlyBytes, Some(head.held())))
            }
            (State::Tunnel, 200..300) => Some(self.reached(out)),
            (State::Tunnel, 407) => self.refused(&head, OpeningCause::ProxyCredentials),
            (State::Tunnel, status) => self.refused(&head, OpeningCause::ProxyStatus(status)),
            _ => self.judge(&head),
        };
        (head.len, step)
    }

    fn interim(&mut self) -> Option<Step> {
        self.interim_count += 1;
        let is_too_much = self.interim_count > self.limits.interim_responses_count;
        is_too_much.then(|| self.fail(OpeningCause::Interim, None))
    }

    fn judge(&mut self, head: &AnswerHead<'_>) -> Option<Step> {
        let host = self.request.host();
        let target = self.request.url.target();
        match self.request.handshake(&host, &target).judge(head) {
            Ok(accepted) => {
                let opened = Opened {
                    subprotocol: accepted.subprotocol.map(str::to_owned),
                    answer: head.held(),
                };
                self.state = State::Over;
                Some(Step::Open(Box::new(opened)))
            }
            Err(cause @ Unaccepted::Status(_)) => self.refused(head, cause.into()),
            Err(cause) => Some(self.fail(cause.into(), Some(head.held()))),
        }
    }

    /// Reads what the server says of its refusal, before that is told.
    fn refused(&mut self, head: &AnswerHead<'_>, cause: OpeningCause) -> Option<Step> {
        let stage = match self.stage() {
            Stage::Handshake => Stage::Status,
            stage => stage,
        };
        let error = OpeningError {
            stage,
            cause,
            answer: None,
        };
        let method = if stage == Stage::Proxy {
            "CONNECT"
        } else {
            "GET"
        };
        // Where the length cannot be told there is nothing that could be trusted.
        let length = AnswerLength::of(head, method).unwrap_or(AnswerLength::Exact(0));
        self.state = State::Refused(Box::new(Refused {
            error,
            answer: head.held(),
            body: AnswerBody::new(length, &self.limits),
        }));
        None
    }

    fn read_refusal(&mut self, input: &[u8]) -> (usize, Option<Step>) {
        let State::Refused(refused) = &mut self.state else {
            return (0, Some(Step::Read));
        };
        let most = usize::try_from(self.limits.refusal_content_bytes).unwrap_or(usize::MAX);
        let (used, event) = refused.body.read(input);
        match event {
            AnswerBodyEvent::Need => return (used, Some(Step::Read)),
            AnswerBodyEvent::Piece(piece) => {
                let content = &mut refused.answer.content;
                content.extend_from_slice(&piece[..piece.len().min(most - content.len())]);
                if content.len() < most {
                    return (used, None);
                }
            }
            AnswerBodyEvent::End(_) | AnswerBodyEvent::Wrong(_) => {}
        }
        (used, Some(self.give_up(OpeningCause::Ended)))
    }

    /// Nothing more is waited for. A refusal that has come goes before any other cause.
    fn give_up(&mut self, cause: OpeningCause) -> Step {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Refused(refused) => {
                let Refused { error, answer, .. } = *refused;
                Step::Failed(Box::new(OpeningError {
                    answer: Some(answer),
                    ..error
                }))
            }
            state => {
                self.state = state;
                self.fail(cause, None)
            }
        }
    }

    fn fail(&mut self, cause: OpeningCause, answer: Option<HeldAnswer>) -> Step {
        let stage = self.stage();
        self.state = State::Over;
        Step::Failed(Box::new(OpeningError {
            stage,
            cause,
            answer,
        }))
    }
}

impl OpeningRequest {
    fn host(&self) -> String {
        let of_url = || self.url.host_field();
        self.host.clone().unwrap_or_else(of_url)
    }

    fn handshake<'a>(&'a self, host: &'a str, target: &'a str) -> ClientHandshake<'a> {
        ClientHandshake {
            host,
            target,
            nonce: self.nonce,
            origin: self.origin.as_deref(),
            subprotocols: &self.subprotocols,
            extensions: &self.extensions,
            fields: &self.fields,
        }
    }

    fn put_handshake(&self, out: &mut Vec<u8>) -> Result<(), OfferError> {
        let host = self.host();
        self.handshake(&host, &self.url.target()).put_request(out)
    }
}

impl Opened {
    /// The extensions that the server chose, each of a name that was offered, in its order. Their parameters are for the
    /// extensions to judge.
    #[must_use]
    pub fn extensions(&self) -> Vec<ExtensionOffer<'_>> {
        let mut chosen = Vec::new();
        for (name, value) in self.answer.fields.iter() {
            if name.eq_ignore_ascii_case(b"Sec-WebSocket-Extensions") {
                // The answer was judged by the same reader.
                let _ = extensions(value, &mut chosen);
            }
        }
        chosen
    }
}

impl OpeningError {
    /// A failure before there was an [`Opening`] to tell it: the host has no address, or none of them takes a connection.
    #[must_use]
    pub const fn before(stage: Stage, told: String) -> Self {
        Self {
            stage,
            cause: OpeningCause::Transport(told),
            answer: None,
        }
    }

    /// Whether the same may succeed later: the peer could not be reached or was too busy, and did not refuse us.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match &self.cause {
            OpeningCause::Ended | OpeningCause::Late => true,
            OpeningCause::Transport(_) => self.stage != Stage::Tls,
            OpeningCause::ProxyStatus(status)
            | OpeningCause::Unaccepted(Unaccepted::Status(status)) => {
                matches!(status, 408 | 425 | 429 | 500 | 502..=504)
            }
            _ => false,
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "looking up the host",
            Self::Connect => "connecting",
            Self::Proxy => "asking the proxy for a tunnel",
            Self::Tls => "agreeing on TLS",
            Self::Handshake | Self::Status => "opening handshake",
        })
    }
}
