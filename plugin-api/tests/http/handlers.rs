//! The handlers that are tested, and an extension and protocols beside them.

use std::{cell::RefCell, sync::mpsc, time::Duration};

use hotsocket_plugin::{Transport, prelude::*};
use serde::{Deserialize, Serialize};

/// The smallest one.
#[derive(Default)]
pub(crate) struct Hello;

impl HttpHandler for Hello {
    const NAME: &'static str = "hello";
    fn on_request(&mut self, exchange: &mut Exchange) {
        exchange.respond(Response::text(200, "hello"));
    }
}

/// What happens to the exchanges of one instance, in order.
pub(crate) type Diary = mpsc::Sender<String>;

/// Does what the path says, and writes down what it hears.
pub(crate) struct Obedient {
    diary: Diary,
    order: String,
    pieces_left: u32,
}

pub(crate) struct Orders {
    diary: Diary,
    handles: mpsc::Sender<ExchangeHandle>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoteBook {
    #[serde(default)]
    closed: bool,
}

thread_local! {
    /// How the test gets at what the instance hears.
    pub(crate) static ENDS: RefCell<Option<(Diary, mpsc::Sender<ExchangeHandle>)>> = const { RefCell::new(None) };
}

impl HttpInstance for Orders {
    type Exchange = Obedient;
    type Options = NoteBook;
    type Thread = u32;

    fn new(_host: &Host, options: NoteBook) -> Result<Self, PluginError> {
        if options.closed {
            return Err(PluginError::new("the book is closed"));
        }
        let (diary, handles) = ENDS
            .take()
            .unwrap_or_else(|| (mpsc::channel().0, mpsc::channel().0));
        Ok(Self { diary, handles })
    }

    fn thread(&self, _host: &Host) -> u32 {
        0
    }

    fn open(&self, exchange: &mut Exchange) -> Result<Obedient, PluginError> {
        let order = exchange.path_below().to_owned();
        if order == "/refuse" {
            return Err(PluginError::new("not today"));
        }
        if let Some(mut opened) = exchange.thread::<u32>() {
            *opened += 1;
        }
        let _ = self.handles.send(exchange.handle());
        Ok(Obedient {
            diary: self.diary.clone(),
            order,
            pieces_left: 3,
        })
    }

    fn on_retire(&self) {
        let _ = self.diary.send("retired".to_owned());
    }
}

impl Obedient {
    fn note(&self, what: impl Into<String>) {
        let _ = self.diary.send(what.into());
    }

    fn send_what_is_left(&mut self, exchange: &Exchange) {
        while self.pieces_left > 0 {
            if exchange.send(format!("piece {}\n", self.pieces_left)) == Sent::Full {
                exchange.ask_writable();
                return;
            }
            self.pieces_left -= 1;
        }
        assert_eq!(exchange.trailer("X-Sum", "3"), Sent::Queued);
        assert_eq!(exchange.finish(), Sent::Queued);
        assert_eq!(exchange.finish(), Sent::Closed);
        assert_eq!(exchange.send("late"), Sent::Closed);
        assert_eq!(exchange.trailer("X-Late", "1"), Sent::Closed);
    }
}

impl HttpHandler for Obedient {
    const NAME: &'static str = "obedient";
    const ID: u32 = 7;

    fn on_request(&mut self, exchange: &mut Exchange) {
        match self.order.as_str() {
            "/stream" => {
                assert_eq!(exchange.send("too early"), Sent::Refused);
                assert_eq!(exchange.finish(), Sent::Refused);
                assert_eq!(exchange.trailer("X-Early", "1"), Sent::Refused);
                let response = Response::new(200).field("Content-Type", "text/plain");
                assert_eq!(exchange.start(response, None), Sent::Queued);
                assert_eq!(exchange.trailer("X:", "1"), Sent::Refused);
                self.send_what_is_left(exchange);
            }
            "/measured" => {
                exchange.start(Response::new(200), Some(4));
                assert_eq!(exchange.send("12345"), Sent::Refused);
                exchange.send("1234");
                assert_eq!(exchange.queued_bytes(), 4);
                exchange.finish();
            }
            "/too-short" => {
                exchange.start(Response::new(200), Some(4));
                exchange.send("123");
                assert_eq!(exchange.finish(), Sent::Refused);
            }
            "/file" => {
                let fields = Fields::new().field("Cache-Control", "max-age=60");
                assert_eq!(exchange.respond_file("/srv/a.txt", fields), Sent::Queued);
                assert_eq!(exchange.respond(Response::new(200)), Sent::Closed);
            }
            "/relative-file" => {
                exchange.respond_file("a.txt", Fields::new());
            }
            "/twice" => {
                assert!(!exchange.is_answered());
                exchange.respond(Response::text(200, "first").field("X-First", "1"));
                assert!(exchange.is_answered());
                let second = Response::text(200, "second").field("X-Second", "1");
                assert_eq!(exchange.respond(second.clone()), Sent::Closed);
                let bare = second.content(b"");
                assert_eq!(exchange.start(bare, None), Sent::Closed);
            }
            "/split" => {
                let to = exchange.query_value("to").unwrap_or_default();
                exchange.respond(Response::redirect(302, &to));
            }
            "/split-mended" => {
                let bad = Response::new(200).field("X-Name", "a\nb");
                assert_eq!(exchange.respond(bad), Sent::Refused);
                assert_eq!(exchange.respond(Response::new(204)), Sent::Queued);
            }
            "/long-fields" => {
                let long = Response::new(200).field("X-Long", "x".repeat(70_000));
                assert_eq!(exchange.respond(long), Sent::Refused);
                assert_eq!(exchange.respond(Response::new(200)), Sent::Closed);
            }
            "/started-with-content" => {
                exchange.start(Response::text(200, "x"), None);
            }
            "/timers" => {
                assert!(exchange.set_timer(TimerId(1), Duration::from_millis(10)));
                assert!(exchange.set_timer(TimerId(2), Duration::from_millis(20)));
                assert!(exchange.cancel_timer(TimerId(2)) && !exchange.cancel_timer(TimerId(2)));
            }
            "/pause" => exchange.pause(),
            "/abort" => {
                exchange.respond(Response::text(200, "never mind"));
                exchange.abort();
            }
            "/last" => {
                exchange.close_after();
                exchange.respond(Response::new(204));
            }
            "/thread" => {
                let opened = exchange.thread::<u32>().expect("it is of this type");
                assert!(exchange.thread::<String>().is_none());
                exchange.respond(Response::text(200, opened.to_string()));
            }
            _ => {}
        }
    }

    fn on_body(&mut self, exchange: &mut Exchange, body: BodyPiece<'_>) {
        let BodyPiece { bytes, first, last } = body;
        let text = String::from_utf8_lossy(bytes);
        self.note(format!("body {text:?} first {first} last {last}"));
        if self.order == "/echo" {
            if first {
                exchange.start(Response::new(200), exchange.content_length());
            }
            exchange.send(bytes);
            if last {
                exchange.finish();
            }
        }
        if self.order == "/trailers" {
            let before: Vec<_> = exchange.trailers("X-Sum").collect();
            assert_eq!(before.is_empty(), !last);
            if last {
                assert_eq!(exchange.trailer_value("x-sum"), Some(&b"1"[..]));
                assert_eq!(exchange.all_trailers().count(), 2);
                exchange.respond(Response::new(204));
            }
        }
    }

    fn on_writable(&mut self, exchange: &mut Exchange) {
        self.note("writable");
        if self.order == "/stream-later" {
            self.send_what_is_left(exchange);
        }
    }

    fn on_timer(&mut self, exchange: &mut Exchange, timer: TimerId) {
        self.note(format!("timer {}", timer.0));
        exchange.respond(Response::text(200, "in time"));
    }

    fn on_notify(&mut self, exchange: &mut Exchange, payload: &[u8]) {
        if self.order == "/stream-later" {
            exchange.start(Response::new(200), None);
            self.send_what_is_left(exchange);
            return;
        }
        exchange.respond(Response::bytes(200, "text/plain", payload));
    }

    fn on_sent(&mut self, _exchange: &mut Exchange, outcome: FileSent) {
        self.note(format!("file {outcome:?}"));
    }

    fn on_end(&mut self, exchange: &mut Exchange, end: &ExchangeEnd<'_>) {
        assert_eq!(exchange.send("after the end"), Sent::Closed);
        self.note(format!("end by {:?} {:?} {}", end.by, end.status, end.sent));
    }
}

/// Wants bodies whole, and tells what it knows of the request as JSON.
#[derive(Default)]
pub(crate) struct Curious;

#[derive(Serialize)]
pub(crate) struct Known<'a> {
    method: &'a str,
    target: &'a str,
    mountpoint: &'a str,
    below: &'a str,
    pairs: Vec<(String, String)>,
    cookies: Vec<String>,
    length: Option<u64>,
    body: String,
}

impl HttpHandler for Curious {
    const NAME: &'static str = "curious";
    const BODY: BodyDelivery = BodyDelivery::Whole { most_bytes: 8 };

    fn on_body(&mut self, exchange: &mut Exchange, body: BodyPiece<'_>) {
        assert!(body.first && body.last);
        assert_eq!(exchange.vhost(), "test");
        assert_eq!(
            (exchange.protocol(), exchange.protocol_id()),
            ("curious", 0)
        );
        assert_eq!(exchange.peer().map(|peer| peer.port()), Some(50_000));
        assert!(exchange.local().is_some());
        assert_eq!(exchange.transport(), Transport::Tcp);
        assert!(!exchange.is_encrypted());
        assert_eq!(exchange.http_minor(), 1);
        assert_eq!(exchange.authority(), Some("localhost"));
        assert_eq!(exchange.header("absent"), None);
        assert_eq!(exchange.header_str("HOST"), Some("localhost"));
        let names: Vec<_> = exchange.all_headers().map(|(name, _)| name).collect();
        assert_eq!(names.first(), Some(&"Host"));
        let id = exchange.id();
        assert_eq!(ExchangeId::new(id.connection(), id.number()), Some(id));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        exchange.respond(Response::json(
            200,
            &Known {
                method: exchange.method(),
                target: exchange.target(),
                mountpoint: exchange.mountpoint(),
                below: exchange.path_below(),
                pairs: exchange
                    .query_pairs()
                    .map(|(name, value)| (name.into_owned(), value.into_owned()))
                    .collect(),
                cookies: exchange.headers("cookie").map(text).collect(),
                length: exchange.content_length(),
                body: text(body.bytes),
            },
        ));
    }
}

/// A protocol without HTTP.
#[derive(Default)]
pub(crate) struct Plain;

impl Protocol for Plain {
    const NAME: &'static str = "plain";
}

/// A protocol that answers HTTP from the instance of its sessions.
pub(crate) struct Room;

pub(crate) struct Guest;

impl Protocol for Guest {
    const NAME: &'static str = "room";
    const ID: u32 = 9;

    fn on_message(&mut self, session: &mut Session, message: Message<'_>) {
        session.send(message);
    }
}

impl Instance for Room {
    type Session = Guest;
    type Options = NoOptions;
    type Thread = u32;

    fn new(_host: &Host, _options: NoOptions) -> Result<Self, PluginError> {
        Ok(Self)
    }

    fn thread(&self, _host: &Host) -> u32 {
        0
    }

    fn open(&self, session: &mut Session) -> Result<Guest, PluginError> {
        *session.thread::<u32>().expect("it is of this type") += 1;
        Ok(Guest)
    }
}

pub(crate) struct Look;

impl HttpHandler for Look {
    const BODY: BodyDelivery = BodyDelivery::Whole { most_bytes: 100 };
}

impl ServesHttp for Room {
    type Exchange = Look;

    fn open_exchange(&self, exchange: &mut Exchange) -> Result<Look, PluginError> {
        let mut sessions = 0;
        exchange.host().sessions().for_each(|_| sessions += 1);
        let opened = *exchange
            .thread::<u32>()
            .expect("it is that of the sessions");
        let id = exchange.protocol_id();
        exchange.respond(Response::text(200, format!("{id}: {sessions} of {opened}")));
        Ok(Look)
    }
}

/// An extension that is never agreed on.
pub(crate) struct Nothing;

pub(crate) struct NoCodec;

impl Codec for NoCodec {
    type Thread = ();

    fn inbound(
        &mut self,
        _call: &Call<()>,
        piece: FramePiece<'_>,
        sink: &mut FrameSink,
    ) -> Result<(), Stop> {
        sink.put(piece)
    }

    fn outbound(
        &mut self,
        _call: &Call<()>,
        piece: FramePiece<'_>,
        sink: &mut FrameSink,
    ) -> Result<(), Stop> {
        sink.put(piece)
    }
}

impl Extension for Nothing {
    const NAME: &'static str = "x-nothing";
    type Codec = NoCodec;
    type Options = NoOptions;
    type Thread = ();

    fn new(_host: &Host, _options: NoOptions) -> Result<Self, PluginError> {
        Ok(Self)
    }

    fn thread(&self, _host: &Host) {}

    fn accept(
        &self,
        _call: &Call<()>,
        _offer: &Parameters<'_>,
    ) -> Result<Option<Agreed<NoCodec>>, PluginError> {
        Ok(None)
    }
}
