//! An exchange of the test host, as its peer sees it.

use std::{net::SocketAddr, path::PathBuf, rc::Rc};

use super::{Inner, exchange_record::ExchangeRecord};
use crate::{EndedBy, FileSent};

/// A request, as a peer sends it to the test host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestRequest {
    /// The method.
    pub method: String,
    /// The request target: a path, and a query behind a `?`.
    pub target: String,
    /// Names and values of the fields.
    pub fields: Vec<(String, String)>,
    /// The body; none when it follows by [`TestExchange::receive`], without a length that is announced before.
    pub body: Option<Vec<u8>>,
    /// The mountpoint; none for `/NAME` if the path begins so, and `/` otherwise.
    pub mountpoint: Option<String>,
    /// The peer; none for a unix socket.
    pub peer: Option<SocketAddr>,
    /// The name of the peer, as if the host had looked it up.
    pub peer_name: Option<String>,
    /// Whether the transport is encrypted.
    pub encrypted: bool,
    /// The peer's own certificate in DER, which counts as checked. Only if the transport is encrypted.
    pub peer_certificate: Option<Vec<u8>>,
    /// Names and values of what policies have said of it.
    pub tags: Vec<(String, Vec<u8>)>,
    /// The minor version of HTTP/1.x.
    pub http_minor: u8,
}

impl TestRequest {
    /// A request of HTTP/1.1 without a body, to the host `localhost`, over TCP from a port of this machine.
    #[must_use]
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            fields: vec![("Host".to_owned(), "localhost".to_owned())],
            body: Some(Vec::new()),
            mountpoint: None,
            peer: Some(([127, 0, 0, 1], 50_000).into()),
            peer_name: None,
            encrypted: false,
            peer_certificate: None,
            tags: Vec::new(),
            http_minor: 1,
        }
    }

    /// A GET.
    #[must_use]
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// A POST with that body.
    #[must_use]
    pub fn post(target: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::new("POST", target).body(body)
    }

    /// With a field more.
    #[must_use]
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// As if a policy had said this of it.
    #[must_use]
    pub fn tag(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.tags.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// With that body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// With a body that follows by [`TestExchange::receive`].
    #[must_use]
    pub fn streamed(mut self) -> Self {
        self.body = None;
        self
    }

    /// To a handler that is mounted there.
    #[must_use]
    pub fn mounted_at(mut self, mountpoint: &str) -> Self {
        self.mountpoint = Some(mountpoint.to_owned());
        self
    }
}

/// A request and its answer, seen from the peer. Dropped before its end, the peer goes away.
///
/// Each exchange has a connection of its own.
pub struct TestExchange {
    record: Rc<ExchangeRecord>,
}

/// What the peer does.
impl TestExchange {
    pub(super) fn open(host: &Rc<Inner>, index: usize, request: TestRequest) -> Self {
        let record = ExchangeRecord::open(host, index, request);
        host.turn();
        Self { record }
    }

    /// A piece of the body comes, of a request that is [`streamed`](TestRequest::streamed). While the exchange is paused
    /// it waits.
    pub fn receive(&self, piece: impl AsRef<[u8]>) {
        self.record.receive(piece.as_ref(), false);
        self.record.host().turn();
    }

    /// The last piece of such a body comes, and with it the trailer fields.
    pub fn receive_last(&self, piece: impl AsRef<[u8]>, trailers: &[(&str, &str)]) {
        self.record.set_trailers(trailers);
        self.record.receive(piece.as_ref(), true);
        self.record.host().turn();
    }

    /// Whether too much is queued for the connection. When it no longer is, what was sent is taken, and the writable
    /// hook is called if it was asked for.
    pub fn set_full(&self, full: bool) {
        self.record.full.set(full);
        self.record.host().turn();
    }

    /// The file that the exchange is answered with has been sent, or not. The test host sends none by itself.
    ///
    /// # Panics
    ///
    /// If it is not answered with a file.
    pub fn file_sent(&self, outcome: FileSent) {
        self.record.file_sent(outcome);
        self.record.host().turn();
    }

    /// The peer goes away.
    pub fn leave(&self) {
        self.record.end(EndedBy::Peer, "the peer left");
        self.record.host().turn();
    }
}

/// What the peer sees.
impl TestExchange {
    /// The status of the answer; none before there is one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.record.answer.borrow().status
    }

    /// The value of a field of the answer, in any case of letters; the first one if there are several.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<String> {
        let fields = self.fields().into_iter();
        let mut found = fields.filter(|(other, _)| other.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value)
    }

    /// The fields that the handler gave the answer, as text; the host's own are not among them.
    #[must_use]
    pub fn fields(&self) -> Vec<(String, String)> {
        self.record.answer.borrow().fields.clone()
    }

    /// The trailer fields of the answer.
    #[must_use]
    pub fn trailers(&self) -> Vec<(String, String)> {
        self.record.answer.borrow().trailers.clone()
    }

    /// The content that was sent so far.
    #[must_use]
    pub fn content(&self) -> Vec<u8> {
        self.record.answer.borrow().content.clone()
    }

    /// The content that was sent so far, as text.
    ///
    /// # Panics
    ///
    /// If it is not UTF-8.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8(self.content()).expect("the content is UTF-8")
    }

    /// The length of the content, if it was announced.
    #[must_use]
    pub fn announced(&self) -> Option<u64> {
        self.record.answer.borrow().announced
    }

    /// The file that the exchange is answered with.
    #[must_use]
    pub fn file(&self) -> Option<PathBuf> {
        self.record.answer.borrow().file.clone()
    }

    /// Whether the answer is complete.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.record.answer.borrow().is_finished
    }

    /// Whether the connection ends with the answer.
    #[must_use]
    pub fn is_closed_after(&self) -> bool {
        self.record.close_after.get()
    }

    /// Whether it was aborted, or failed when its answer had begun.
    #[must_use]
    pub fn is_cut_off(&self) -> bool {
        self.record.cut_off.get()
    }

    /// Whether nothing of the body is read.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.record.paused.get()
    }

    /// How it ended, if it did.
    #[must_use]
    pub fn ending(&self) -> Option<ExchangeEnding> {
        self.record.ending.borrow().clone()
    }

    /// Why its hooks failed, as the host would log it.
    #[must_use]
    pub fn failures(&self) -> Vec<String> {
        self.record.failures.borrow().clone()
    }
}

impl Drop for TestExchange {
    fn drop(&mut self) {
        self.record.end(EndedBy::Peer, "the peer left");
    }
}

/// How an exchange ended: what [`ExchangeEnd`](crate::ExchangeEnd) tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExchangeEnding {
    /// Who ended it.
    pub by: EndedBy,
    /// The status of the answer.
    pub status: Option<u16>,
    /// Bytes of content that the peer has taken.
    pub sent: u64,
    /// What the host has to say.
    pub reason: String,
}
