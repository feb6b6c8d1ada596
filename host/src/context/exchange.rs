//! One HTTP exchange as the context and a handler of a plugin know it.

use std::{borrow::Cow, path::Path, sync::Arc};

use crate::{
    connection::content::FileAnswer,
    context::{
        files::{Cold, Conditions, Reach, answer_path},
        handler::{ProtocolFacts, ThreadState},
        held_head::HeldHead,
        http_handler::ExchangeState,
        offload::OffloadDesk,
        site::Site,
        tags::Tags,
        told::Told,
    },
    net::{
        http_port::{Content, HttpPort},
        peer::{AddressBytes, Peer},
        port::Sent,
        service::EndedBy,
        tls::TlsFacts,
        token::ConnectionId,
    },
    wire::fields::Fields,
};

/// What is kept of an exchange while it goes on.
#[derive(Debug)]
pub struct Exchange {
    pub(super) doing: Doing,
    /// Of its vhost.
    pub(super) site: Arc<Site>,
    /// What the access log is to tell, if there is one.
    pub(super) told: Option<Box<Told>>,
}

/// Who answers.
#[derive(Debug)]
pub(super) enum Doing {
    /// The host itself, and it has.
    Answered,
    /// A protocol.
    Handler(Box<Handled>),
}

impl Exchange {
    /// The host has answered by itself.
    pub(super) fn answered(site: &Arc<Site>) -> Self {
        Self {
            doing: Doing::Answered,
            site: Arc::clone(site),
            told: None,
        }
    }

    /// What a protocol answers, if one does.
    pub(super) fn handled(&mut self) -> Option<&mut Handled> {
        match &mut self.doing {
            Doing::Answered => None,
            Doing::Handler(handled) => Some(handled),
        }
    }
}

/// An exchange that a protocol answers.
#[derive(Debug)]
pub(super) struct Handled {
    /// Of its vhost.
    pub(super) site: Arc<Site>,
    /// The handler's own state; none before it is open, and after a hook has panicked.
    pub(super) state: Option<ExchangeState>,
    /// The protocol's instance on this service thread.
    pub(super) instance: u32,
    /// Which request of its connection it is.
    pub(super) number: u32,
    pub(super) head: HeldHead,
    /// What policies have said of it.
    pub(super) tags: Arc<Tags>,
    pub(super) mountpoint: Arc<str>,
    pub(super) body: Body,
    /// Fields of the answer's head, and after it has begun of its trailer.
    pub(super) fields: Fields,
    /// The answer was begun with a length.
    pub(super) has_length: bool,
    /// Whether the transport is, or was, encrypted.
    pub(super) is_encrypted: bool,
    pub(super) file: Option<FileFate>,
    /// Why it is over, where the connection cannot know: the answer is the host's own, in place of the handler's.
    pub(super) instead: Option<(EndedBy, Cow<'static, str>)>,
}

/// The body of a request on its way to a handler.
#[derive(Debug)]
pub(super) struct Body {
    /// What its head announces; none for a chunked one.
    pub(super) length: Option<u64>,
    /// It is gathered, up to so many bytes, and given whole.
    pub(super) whole: Option<u64>,
    /// Bytes that have come.
    pub(super) seen: u64,
    /// A piece was given.
    pub(super) has_begun: bool,
    /// The last piece is due when the handler wants it.
    pub(super) owes_last: bool,
    /// Behind a chunked body, once it is read.
    pub(super) trailer: Fields,
}

/// What became of a file that an exchange is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileFate {
    /// Somebody is opening it.
    Awaited,
    /// It was opened and is being sent.
    Opened,
    /// It could not be opened.
    Missing,
    /// It could not be read.
    Broken,
}

impl FileFate {
    /// What an answer out of a file says of it.
    fn of(answer: &FileAnswer) -> Self {
        match answer.status {
            404 => Self::Missing,
            500.. => Self::Broken,
            _ => Self::Opened,
        }
    }
}

impl Handled {
    /// Gives the answer that was made out of a file, unless there is another one meanwhile.
    pub(super) fn give_file(&mut self, port: &mut HttpPort<'_>, answer: FileAnswer) {
        self.file = Some(FileFate::of(&answer));
        port.answer(answer.status, &answer.fields, Content::Parts(answer.parts));
    }

    /// Notes why it is over, before the host answers in the handler's place.
    pub(super) fn note(&mut self, by: EndedBy, why: impl Into<Cow<'static, str>>) {
        self.instead.get_or_insert_with(|| (by, why.into()));
    }
}

/// An exchange while one of its hooks runs: all that the hook may ask.
pub struct ExchangeCall<'a, 'p> {
    pub(super) exchange: &'a mut Handled,
    pub(super) id: ConnectionId,
    pub(super) peer: Peer,
    /// The connection; none once the exchange has ended.
    pub(super) port: Option<&'a mut HttpPort<'p>>,
    pub(super) desk: &'a OffloadDesk,
    pub(super) protocol: &'a ProtocolFacts,
    pub(crate) thread: ThreadState,
    /// How many bytes of fields an answer may have.
    pub(super) fields_bytes: u64,
    /// Why the hook is about to fail, in its own words.
    pub(crate) fault: String,
    /// Holds the address that [`Self::peer_ip`] gives.
    pub(super) ip: Option<AddressBytes>,
    /// Holds the address that [`Self::local`] gives.
    pub(super) local: String,
}

/// Answering.
impl ExchangeCall<'_, '_> {
    /// Adds a field to the head of the answer, or when that has left to the trailer of a body whose length is not known.
    pub fn add_field(&mut self, name: &str, value: &[u8]) -> Sent {
        let Some(port) = &self.port else {
            return Sent::Closed;
        };
        let is_late = port.is_over() || port.is_answered() && self.exchange.has_length;
        if is_late || self.exchange.file.is_some() {
            return Sent::Closed;
        }
        let fields = &mut self.exchange.fields;
        let before = fields.as_bytes().len();
        // As it is written: a colon and a space behind the name, and the end of the line.
        let after = (before + name.len() + value.len() + 4) as u64;
        if after > self.fields_bytes {
            return Sent::Full;
        }
        match fields.add(name, value) {
            Ok(()) => Sent::Queued,
            Err(_) => Sent::Refused,
        }
    }

    /// Answers with all there is to say.
    pub fn respond(&mut self, status: u16, content: &[u8]) -> Sent {
        if matches!(status, 204 | 205 | 304) && !content.is_empty() {
            return Sent::Refused;
        }
        self.answer(status, Content::Whole(content))
    }

    /// Begins an answer of so many bytes, or of as many as come.
    pub fn start(&mut self, status: u16, length: Option<u64>) -> Sent {
        self.answer(status, Content::Streamed(length))
    }

    fn answer(&mut self, status: u16, content: Content<'_>) -> Sent {
        let Some(port) = &mut self.port else {
            return Sent::Closed;
        };
        if port.is_answered() || self.exchange.file.is_some() {
            return Sent::Closed;
        }
        let has_length = !matches!(content, Content::Streamed(None));
        let sent = port.answer(status, &self.exchange.fields, content);
        if sent == Sent::Queued {
            self.exchange.fields = Fields::new();
            self.exchange.has_length = has_length;
        }
        sent
    }

    /// Queues a piece of content, or nothing when the connection is full.
    pub fn send(&mut self, piece: &[u8]) -> Sent {
        self.port
            .as_mut()
            .map_or(Sent::Closed, |port| port.send(piece))
    }

    /// Ends the content.
    pub fn finish(&mut self) -> Sent {
        let Some(port) = &mut self.port else {
            return Sent::Closed;
        };
        if !port.is_answered() {
            return Sent::Refused;
        }
        port.finish(&self.exchange.fields)
    }

    /// Answers with the file at an absolute path. One that is not in memory is opened off the service thread.
    pub fn respond_file(&mut self, path: &Path) -> Sent {
        let Some(port) = &mut self.port else {
            return Sent::Closed;
        };
        if port.is_over() || port.is_answered() || self.exchange.file.is_some() {
            return Sent::Closed;
        }
        if path.is_relative() {
            return Sent::Refused;
        }
        let conditions = Conditions::of(&self.exchange.head.lend(), port.limits());
        let fields = std::mem::take(&mut self.exchange.fields);
        self.exchange.file = Some(FileFate::Awaited);
        match answer_path(path, &conditions, fields.clone(), Reach::Memory) {
            Ok(answer) => self.exchange.give_file(port, answer),
            Err(Cold) => {
                let path = path.to_owned();
                let make = move || answer_path(&path, &conditions, fields, Reach::Disk);
                let of = (self.id, self.exchange.number);
                if !self.desk.answer(of, make) {
                    self.exchange.file = Some(FileFate::Broken);
                    let why = "too many files are being opened: see limits.file_jobs_count";
                    self.exchange.note(EndedBy::Host, why);
                    self.exchange
                        .site
                        .refuse(port, 503, "the server is busy; ask again");
                }
            }
        }
        Sent::Queued
    }

    /// The connection ends with this answer.
    pub fn close_after(&mut self) {
        if let Some(port) = &mut self.port {
            port.close_after();
        }
    }

    /// Ends the transport once the hook has returned.
    pub fn abort(&mut self) {
        if let Some(port) = &mut self.port {
            port.cut_off(EndedBy::Handler, "the handler cut it off");
        }
    }
}

/// Flow and time.
impl ExchangeCall<'_, '_> {
    /// Bytes the socket has not taken.
    #[must_use]
    pub fn queued_bytes(&self) -> u64 {
        self.port
            .as_ref()
            .map_or(0, |port| port.queued_bytes() as u64)
    }

    /// Asks for one call when there is room to send.
    pub fn ask_writable(&mut self) {
        if let Some(port) = &mut self.port {
            port.ask_writable();
        }
    }

    /// Nothing of the body until [`Self::resume`].
    pub fn pause(&mut self) {
        if let Some(port) = &mut self.port {
            port.pause();
        }
    }

    /// The body again.
    pub fn resume(&mut self) {
        if let Some(port) = &mut self.port {
            port.resume();
        }
    }

    /// Sets a timer, or sets it anew.
    pub fn set_timer(&mut self, id: u64, after_ms: u64) -> Sent {
        self.port
            .as_mut()
            .map_or(Sent::Closed, |port| port.set_timer(id, after_ms))
    }

    /// Takes a timer back; false when it was not set.
    pub fn cancel_timer(&mut self, id: u64) -> bool {
        self.port.as_mut().is_some_and(|port| port.cancel_timer(id))
    }
}

/// What is known of it.
impl ExchangeCall<'_, '_> {
    /// Its connection.
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// Which request of its connection it is, counted from 1.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.exchange.number
    }

    /// The head of the request.
    #[must_use]
    pub fn head(&self) -> &HeldHead {
        &self.exchange.head
    }

    /// The fields behind a chunked body; none before it is read.
    #[must_use]
    pub fn trailer(&self) -> &Fields {
        &self.exchange.body.trailer
    }

    /// What a policy has said by that name.
    #[must_use]
    pub fn tag(&self, name: &str) -> Option<&[u8]> {
        self.exchange.tags.get(name)
    }

    /// The mountpoint that leads here.
    #[must_use]
    pub fn mountpoint(&self) -> &str {
        &self.exchange.mountpoint
    }

    /// Bytes of the body that the head announces; none for a chunked one.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        self.exchange.body.length
    }

    /// The name of its vhost.
    #[must_use]
    pub fn vhost(&self) -> &str {
        &self.protocol.vhost
    }

    /// Its protocol.
    #[must_use]
    pub fn protocol(&self) -> &ProtocolFacts {
        self.protocol
    }

    /// The peer's address.
    #[must_use]
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// The peer's name, where names are looked up and once it is known; none once the exchange has ended.
    #[must_use]
    pub fn peer_name(&self) -> Option<&str> {
        self.port.as_ref()?.peer_name().map(|name| &**name)
    }

    /// Whether the transport is, or was, encrypted.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.exchange.is_encrypted
    }

    /// What was agreed on with TLS; none without it, and once the exchange has ended.
    #[must_use]
    pub fn tls(&self) -> Option<TlsFacts<'_>> {
        self.port.as_ref()?.tls()
    }

    /// The peer's IP address in network order, 4 or 16 bytes; none on a unix socket.
    pub fn peer_ip(&mut self) -> Option<&[u8]> {
        let address = self.peer.address()?;
        let bytes = self.ip.insert(AddressBytes::of(address.ip()));
        Some(bytes.as_slice())
    }

    /// The address and port that the connection was accepted on; none once the exchange has ended.
    pub fn local(&mut self) -> Option<&str> {
        if self.local.is_empty() {
            self.local = self.port.as_ref()?.local()?.to_string();
        }
        Some(&self.local)
    }
}
