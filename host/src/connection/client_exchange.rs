//! One HTTP exchange as the client has it: the request that goes out, with its body, and the answer that comes in.
//! RFC 9112 sections 6, 7 and 9.
//!
//! Whoever has the socket calls [`ClientExchange::begin`] and sends what it wrote; [`ClientExchange::read`] with what
//! comes, until it needs more; and [`ClientExchange::ended`] when nothing comes any more. Requests of a connection follow
//! each other: the next one begins when [`ClientExchange::is_over`] and [`ClientExchange::persists`].

use crate::{
    connection::answer_body::{AnswerBody, AnswerBodyEvent},
    limits::Limits,
    wire::{
        answer_head::{AnswerHead, AnswerHeadError, AnswerParsed},
        answer_length::AnswerLength,
        body_length::LengthError,
        chunked::{self, ChunkError},
        client_fields::ClientFields,
        credentials::Credentials,
        fields::{Fields, is_token},
        response_head::put_field,
    },
};

/// A request.
#[derive(Clone, Copy, Debug)]
pub struct ClientRequest<'a> {
    /// The method; letters count (`get` is not `GET`).
    pub method: &'a str,
    /// Path and query; with scheme and authority when a proxy is asked without a tunnel.
    pub target: &'a str,
    /// The value of the Host field.
    pub host: &'a str,
    /// Further fields.
    pub fields: &'a ClientFields,
    /// Name and password for the server, where `fields` have no Authorization.
    pub credentials: Option<&'a Credentials>,
    /// Name and password for a proxy that is asked without a tunnel.
    pub proxy_credentials: Option<&'a Credentials>,
    /// What follows the head.
    pub body: RequestBody,
    /// Whether the body waits for a word of the server (RFC 9110 section 10.1.1). Without a body this means nothing.
    pub awaits_continue: bool,
    /// Whether another request may follow.
    pub keep_alive: bool,
}

/// How long the body of a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestBody {
    /// There is none.
    None,
    /// So many bytes.
    Exact(u64),
    /// As many as are given.
    Chunked,
}

/// Why a request is not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Not a token, or CONNECT, after which no HTTP is spoken.
    #[error(
        "method `{0}` cannot be sent: use GET, POST or another one that is a token; a tunnel is opened by a proxy"
    )]
    Method(String),
    /// Not as RFC 9112 section 3.2 has it.
    #[error("request target {0:?} cannot be sent: begin it with a slash, and write blanks as %20")]
    Target(String),
    /// Empty, or with blanks or control characters.
    #[error("host {0:?} cannot be sent: write a host and, where it has another, its port")]
    Host(String),
}

/// Why a piece of a body cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PutError {
    /// The server has not said yet that it wants the body, or has answered without.
    #[error("the server does not want the body, or not yet")]
    Unwanted,
    /// More than was announced, or less at the end.
    #[error("the body has another length than was announced")]
    Length,
    /// The body is complete already.
    #[error("the body is complete already")]
    Late,
}

/// What came of an answer.
#[derive(Debug)]
pub enum AnswerEvent<'a> {
    /// Nothing without more input.
    Need,
    /// An answer before the final one, such as 100 or 103.
    Interim(AnswerHead<'a>),
    /// The head of the final answer; its content follows, and then `End`.
    Head(AnswerHead<'a>),
    /// Content.
    Piece(&'a [u8]),
    /// The answer is complete, with the trailer of its content.
    End(Fields),
    /// The answer cannot be read, or not to its end. Told once; the connection is of no use.
    Failed(ExchangeError),
}

/// Why an answer cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExchangeError {
    /// Its head.
    #[error(transparent)]
    Head(#[from] AnswerHeadError),
    /// How long its body is.
    #[error("the length of the response cannot be told: {0}")]
    Length(#[from] LengthError),
    /// The coding of its body.
    #[error("the body of the response is broken: {0}")]
    Chunk(ChunkError),
    /// Above `limits.response_head_bytes`.
    #[error("the trailer of the response is too large: see limits.response_head_bytes")]
    Trailer,
    /// Above `limits.interim_responses_count`.
    #[error(
        "the server sends one interim response after the other: see limits.interim_responses_count"
    )]
    Interim,
    /// 101 without having been asked for.
    #[error("the server switches to a protocol that it was not asked for")]
    Switched,
    /// Nothing of an answer has come. A connection that was used before may have been closed while it was idle: another
    /// one may answer.
    #[error("the server closed the connection without an answer")]
    NoAnswer,
    /// A part of the answer has come.
    #[error("the server closed the connection in the middle of the response")]
    Truncated,
}

/// One exchange.
#[derive(Debug)]
pub struct ClientExchange {
    request: Request,
    answer: Answer,
    is_head: bool,
    /// The server was told that we wait for its word.
    awaits_continue: bool,
    /// Another request may follow.
    persists: bool,
    /// A byte of an answer has come.
    is_touched: bool,
    interim_count: u64,
    limits: Limits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Request {
    Exact {
        left: u64,
    },
    Chunked,
    Complete,
    /// Answered without the rest of it.
    GivenUp,
}

#[derive(Debug)]
enum Answer {
    Awaited,
    Body(AnswerBody),
    Complete,
}

impl ClientExchange {
    /// Begins an exchange: appends the head of the request.
    ///
    /// # Errors
    ///
    /// [`RequestError`]; nothing is appended.
    pub fn begin(
        out: &mut Vec<u8>,
        request: &ClientRequest<'_>,
        limits: &Limits,
    ) -> Result<Self, RequestError> {
        request.refuse()?;
        request.put_head(out);
        let has_body = !matches!(request.body, RequestBody::None | RequestBody::Exact(0));
        Ok(Self {
            request: match request.body {
                RequestBody::None | RequestBody::Exact(0) => Request::Complete,
                RequestBody::Exact(left) => Request::Exact { left },
                RequestBody::Chunked => Request::Chunked,
            },
            answer: Answer::Awaited,
            is_head: request.method == "HEAD",
            awaits_continue: request.awaits_continue && has_body,
            persists: request.keep_alive,
            is_touched: false,
            interim_count: 0,
            limits: limits.clone(),
        })
    }

    /// Whether body is missing and the server takes it.
    #[must_use]
    pub fn takes_body(&self) -> bool {
        let is_open = matches!(self.request, Request::Exact { .. } | Request::Chunked);
        is_open && !self.awaits_continue
    }

    /// Whether the body waits for the server. Since not every server says the word, the wait is to be bounded, and ended
    /// by [`Self::go_on`].
    #[must_use]
    pub fn awaits_continue(&self) -> bool {
        self.awaits_continue
    }

    /// Sends the body without the word.
    pub fn go_on(&mut self) {
        self.awaits_continue = false;
    }

    /// Appends a piece of the body.
    ///
    /// # Errors
    ///
    /// [`PutError`]; nothing is appended.
    pub fn put(&mut self, out: &mut Vec<u8>, piece: &[u8]) -> Result<(), PutError> {
        self.refuse_body()?;
        match &mut self.request {
            Request::Exact { left } => {
                let rest = left.checked_sub(piece.len() as u64);
                *left = rest.ok_or(PutError::Length)?;
                out.extend_from_slice(piece);
            }
            _ => chunked::put_chunk(out, piece),
        }
        Ok(())
    }

    /// Ends the body. Without chunks the trailer is left out.
    ///
    /// # Errors
    ///
    /// [`PutError`]; after [`PutError::Length`] the connection is of no use.
    pub fn finish(&mut self, out: &mut Vec<u8>, trailer: &Fields) -> Result<(), PutError> {
        self.refuse_body()?;
        match self.request {
            Request::Exact { left: 0 } => {}
            Request::Exact { .. } => {
                self.persists = false;
                return Err(PutError::Length);
            }
            _ => chunked::put_end(out, trailer),
        }
        self.request = Request::Complete;
        Ok(())
    }

    /// The whole body is sent by whoever has the socket, behind the head: none is to be [put](Self::put).
    pub fn sent_whole(&mut self) {
        self.request = Request::Complete;
        self.awaits_continue = false;
    }

    /// Reads on in the answer; says how many bytes of input that took. To be called until it needs more. What is left
    /// over then, of a head, is to be given again with what follows it.
    pub fn read<'a>(&mut self, input: &'a [u8]) -> (usize, AnswerEvent<'a>) {
        self.is_touched |= !input.is_empty();
        let (used, event) = match &mut self.answer {
            Answer::Awaited => self.read_head(input),
            Answer::Body(body) => {
                let (used, event) = body.read(input);
                (used, body_event(event))
            }
            Answer::Complete => {
                // An answer that nobody has asked for.
                self.persists &= input.is_empty();
                (input.len(), AnswerEvent::Need)
            }
        };
        match event {
            AnswerEvent::End(_) => self.complete(),
            AnswerEvent::Failed(_) => self.fail(),
            _ => {}
        }
        (used, event)
    }

    /// Nothing comes any more. `is_clean` says that the server has ended its side, over TLS with its close_notify: only
    /// then the end of the connection is the end of a body.
    pub fn ended(&mut self, is_clean: bool) -> AnswerEvent<'static> {
        self.persists = false;
        let error = match &self.answer {
            Answer::Complete => return AnswerEvent::Need,
            Answer::Body(body) if body.ends_with_the_connection() && is_clean => {
                self.complete();
                return AnswerEvent::End(Fields::new());
            }
            Answer::Body(_) => ExchangeError::Truncated,
            Answer::Awaited if self.is_touched => ExchangeError::Truncated,
            Answer::Awaited => ExchangeError::NoAnswer,
        };
        self.fail();
        AnswerEvent::Failed(error)
    }

    /// Whether a byte of an answer has come. Without one another connection may answer the same request.
    #[must_use]
    pub fn is_touched(&self) -> bool {
        self.is_touched
    }

    /// Whether the head of the final answer has come.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        !matches!(self.answer, Answer::Awaited)
    }

    /// Whether nothing is left to do: the answer is complete, and the request complete or given up.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let is_sent = matches!(self.request, Request::Complete | Request::GivenUp);
        matches!(self.answer, Answer::Complete) && is_sent
    }

    /// Whether another request may follow on the connection.
    #[must_use]
    pub fn persists(&self) -> bool {
        self.persists
    }

    fn read_head<'a>(&mut self, input: &'a [u8]) -> (usize, AnswerEvent<'a>) {
        if input.is_empty() {
            return (0, AnswerEvent::Need);
        }
        let head = match AnswerHead::parse(input, &self.limits) {
            AnswerParsed::Done(head) => head,
            AnswerParsed::Partial => return (0, AnswerEvent::Need),
            AnswerParsed::Wrong(error) => {
                return (input.len(), AnswerEvent::Failed(error.into()));
            }
        };
        let len = head.len;
        let event = if head.status < 200 {
            self.interim(head)
        } else {
            self.final_head(head)
        };
        (len, event)
    }

    fn interim<'a>(&mut self, head: AnswerHead<'a>) -> AnswerEvent<'a> {
        self.interim_count += 1;
        if head.status == 101 {
            AnswerEvent::Failed(ExchangeError::Switched)
        } else if self.interim_count > self.limits.interim_responses_count {
            AnswerEvent::Failed(ExchangeError::Interim)
        } else {
            self.awaits_continue &= head.status != 100;
            AnswerEvent::Interim(head)
        }
    }

    fn final_head<'a>(&mut self, head: AnswerHead<'a>) -> AnswerEvent<'a> {
        let method = if self.is_head { "HEAD" } else { "" };
        let length = match AnswerLength::of(&head, method) {
            Ok(length) => length,
            Err(error) => return AnswerEvent::Failed(error.into()),
        };
        let is_old = head.minor_version == 0;
        self.persists &= length != AnswerLength::UntilClose
            && !head.says("Connection", "close")
            && (!is_old || head.says("Connection", "keep-alive"));
        // Whoever has refused reads no body any more, or only to throw it away.
        if self.awaits_continue || head.status >= 300 {
            self.give_up_body();
        }
        self.answer = Answer::Body(AnswerBody::new(length, &self.limits));
        AnswerEvent::Head(head)
    }

    fn give_up_body(&mut self) {
        self.awaits_continue = false;
        if self.request != Request::Complete {
            self.request = Request::GivenUp;
            self.persists = false;
        }
    }

    fn complete(&mut self) {
        self.answer = Answer::Complete;
    }

    fn fail(&mut self) {
        self.give_up_body();
        self.answer = Answer::Complete;
        self.persists = false;
    }

    fn refuse_body(&self) -> Result<(), PutError> {
        match self.request {
            Request::Complete => Err(PutError::Late),
            Request::GivenUp => Err(PutError::Unwanted),
            _ if self.awaits_continue => Err(PutError::Unwanted),
            _ => Ok(()),
        }
    }
}

fn body_event(event: AnswerBodyEvent<'_>) -> AnswerEvent<'_> {
    match event {
        AnswerBodyEvent::Need => AnswerEvent::Need,
        AnswerBodyEvent::Piece(piece) => AnswerEvent::Piece(piece),
        AnswerBodyEvent::End(trailer) => AnswerEvent::End(trailer),
        AnswerBodyEvent::Wrong(ChunkError::TrailerTooLarge) => {
            AnswerEvent::Failed(ExchangeError::Trailer)
        }
        AnswerBodyEvent::Wrong(error) => AnswerEvent::Failed(ExchangeError::Chunk(error)),
    }
}

impl ClientRequest<'_> {
    fn refuse(&self) -> Result<(), RequestError> {
        let is_visible = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_token(self.method.as_bytes()) || self.method == "CONNECT" {
            return Err(RequestError::Method(self.method.to_owned()));
        }
        let is_form = self.target.starts_with('/')
            || self.target.starts_with("http://")
            || self.target == "*" && self.method == "OPTIONS";
        if !is_form || !is_visible(self.target) || self.target.contains('#') {
            return Err(RequestError::Target(self.target.to_owned()));
        }
        if self.host.is_empty() || !is_visible(self.host) {
            return Err(RequestError::Host(self.host.to_owned()));
        }
        Ok(())
    }

    fn put_head(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("{} {} HTTP/1.1\r\n", self.method, self.target).as_bytes());
        put_field(out, "Host", self.host);
        if let Some(credentials) = self.credentials
            && !self.fields.has("Authorization")
        {
            put_field(out, "Authorization", credentials.basic());
        }
        if let Some(credentials) = self.proxy_credentials {
            put_field(out, "Proxy-Authorization", credentials.basic());
        }
        out.extend_from_slice(self.fields.as_bytes());
        match self.body {
            RequestBody::Exact(length) => put_field(out, "Content-Length", length),
            RequestBody::Chunked => put_field(out, "Transfer-Encoding", "chunked"),
            // RFC 9110 section 8.6: these are expected to have content.
            RequestBody::None if matches!(self.method, "POST" | "PUT" | "PATCH") => {
                put_field(out, "Content-Length", 0);
            }
            RequestBody::None => {}
        }
        let has_body = !matches!(self.body, RequestBody::None | RequestBody::Exact(0));
        if self.awaits_continue && has_body {
            put_field(out, "Expect", "100-continue");
        }
        if !self.keep_alive {
            put_field(out, "Connection", "close");
        }
        out.extend_from_slice(b"\r\n");
    }
}
